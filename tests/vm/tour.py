# SPDX-License-Identifier: GPL-2.0
"""tour.py README OUTPUT: compares what the commands printed with what the README shows.

A line of the README must come, in its place, among the lines that were printed; `...`
stands for any lines, or for the rest of one. Numbers, addresses, flags and bars may differ,
and the task of an event, whose name the kernel may have forgotten.
"""
import re
import sys

SECTION = '## Seeing it live'


def shape(line):
    line = re.sub(r'^ *\S+-[0-9]+ +(?=\[[0-9]+\])', 'TASK ', line)
    line = re.sub(r' [a-zA-Z.]{3}[0-9.]\. ', ' FLAGS ', line)
    line = re.sub(r'\b[0-9a-f]{12,}\b|0x[0-9a-f]+', 'X', line)
    line = re.sub(r'[0-9][0-9,.:]*', 'N', line)
    line = re.sub(r'[*@#+!]+( *\|)?|N[KMG]\b', lambda m: 'N' if m[0][0] == 'N' else '', line)
    return ' '.join(line.split())


def shown(readme):
    """[(command, lines)] of the section"""
    steps, on = [], False
    for line in open(readme, encoding='utf-8'):
        if line.startswith('## '):
            on = line.strip() == SECTION
        elif on and line.startswith('    # '):
            steps.append((line[6:].strip(), []))
        elif on and line.startswith('    ') and steps:
            steps[-1][1].append(line[4:].rstrip())
    return steps


def printed(output):
    """{number: (lines, status)}"""
    steps, lines, number = {}, [], 0
    for line in open(output, encoding='utf-8', errors='replace'):
        line = line.rstrip()
        if line.startswith('@@ '):
            number, lines = int(line[3:]), []
        elif line.startswith('@= '):
            steps[number] = lines, int(line[3:])
        else:
            lines.append(line)
    return steps


def missing(wanted, got):
    """the first line of the README that did not come, None if all did"""
    got = iter([shape(line) for line in got])
    for line in wanted:
        if line.strip() in ('', '...'):
            continue
        rest = line.endswith('...')
        want = shape(line.removesuffix('...'))
        if not any(g.startswith(want) if rest else g == want for g in got):
            return line
    return None


def main():
    steps, done = shown(sys.argv[1]), printed(sys.argv[2])
    failed = not steps
    for number, (command, wanted) in enumerate(steps, 1):
        got, status = done.get(number, ([], None))
        line = missing(wanted, got)
        if status == 0 and line is None:
            print('ok', command)
            continue
        failed = True
        print('not ok', command)
        print(f'# status {status}; missing: {line}' if line else f'# status {status}')
        for text in got[:30]:
            print('#   ', text)
    print(f'1..{len(steps)}')
    sys.exit(failed)


main()
