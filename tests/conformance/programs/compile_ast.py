# The compiler's own trees and code objects, deep recursion.
import ast
source = "\n".join("def f%d(a, b=%d):\n    x = [a * i for i in range(b)]\n    return {k: v for k, v in zip(x, x)} if a else f%d" % (i, i, i - 1) for i in range(1, 300))
source = "def f0(a, b=0): return a\n" + source
for _ in range(2):
    tree = ast.parse(source)
    names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    scope = {}
    exec(compile(tree, "<demo>", "exec"), scope)
def depth(n):
    return (n, depth(n - 1)) if n else ()
print(len(names), len(scope["f299"](2)), len(depth(600)))
