# Numbers that live on the heap, rows that come and go.
import csv, decimal, fractions, io
out = io.StringIO()
writer = csv.writer(out)
for i in range(4000):
    writer.writerow([i, decimal.Decimal(i) / 7, fractions.Fraction(i + 1, 9), "x" * (i % 60)])
total = decimal.Decimal(0)
for row in csv.reader(io.StringIO(out.getvalue())):
    total += decimal.Decimal(row[1])
print(total.quantize(decimal.Decimal("0.01")))
