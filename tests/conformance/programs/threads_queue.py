# Several threads allocate, others free.
import queue, threading
tasks, done = queue.Queue(50), queue.Queue()
def work():
    for item in iter(tasks.get, None):
        done.put({"item": item, "squares": [i * i for i in range(item % 50)], "text": str(item) * 9})
threads = [threading.Thread(target=work) for _ in range(4)]
for t in threads: t.start()
for i in range(3000): tasks.put(i)
for t in threads: tasks.put(None)
for t in threads: t.join()
print(done.qsize())
