# Strings of many sizes: split, substitute, count, sort.
import collections, re
text = " ".join("%s%d-%s" % ("abcdefgh"[i % 8] * (i % 23), i, "xy" * (i % 31)) for i in range(6000))
words = re.findall(r"[a-h]*\d+|x[xy]+", text)
swapped = re.sub(r"(\w+)-(\w+)", r"\2-\1", text)
counts = collections.Counter(w[:3] for w in words)
print(len(swapped), sorted(counts.items())[:2], max(words, key=len)[:5])
