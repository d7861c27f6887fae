# Grow to a peak, keep every fiftieth object: arenas that cannot be given back.
data = [(i, "v%d" % i, float(i)) for i in range(40000)]
kept = data[::50]
del data
again = [bytes(i % 700) for i in range(20000)]
del again[::2]
print(len(kept), sum(map(len, again)))
