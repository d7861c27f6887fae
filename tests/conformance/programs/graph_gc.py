# Objects in cycles, given back by the collector only.
import gc
class Node:
    __slots__ = ("peer", "data", "name")
    def __init__(self, name):
        self.name, self.peer, self.data = name, None, {}
def ring(n):
    nodes = [Node(str(i)) for i in range(n)]
    for a, b in zip(nodes, nodes[1:] + nodes[:1]):
        a.peer, a.data[b.name] = b, [b]
for round in range(12):
    ring(400 + 150 * (round % 4))
print(gc.collect() >= 0)
