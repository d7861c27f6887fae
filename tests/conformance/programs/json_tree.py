# Nested containers: parse, walk, print again.
import json
tree = {"k%d" % i: [{"id": i, "name": "n" * (i % 40), "tags": [j for j in range(i % 9)]}] for i in range(1500)}
for _ in range(3):
    text = json.dumps(tree, indent=1)
    tree = json.loads(text)
print(len(text))
