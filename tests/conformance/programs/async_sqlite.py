# Coroutines, exceptions and a C extension with its own memory.
import asyncio, sqlite3
db = sqlite3.connect(":memory:")
db.execute("create table t (id integer, name text, blob_ blob)")
async def put(i):
    await asyncio.sleep(0)
    db.execute("insert into t values (?, ?, ?)", (i, "name%d" % i, b"b" * (i % 300)))
    if i % 7 == 0:
        raise ValueError(i)
async def main():
    results = await asyncio.gather(*(put(i) for i in range(2500)), return_exceptions=True)
    return sum(isinstance(r, ValueError) for r in results)
failed = asyncio.run(main())
print(failed, len(db.execute("select * from t where id % 3 = 0").fetchall()))
