# SPDX-License-Identifier: GPL-2.0
"""What the guests measured, as tables, JSON and charts.

report.py jobs exact|gate|refill|smp
                                    the jobs for measure-in-guest; gate: all but SLUB's
report.py budget FILE               the exact figures in it, for the file budget
report.py explained FILE            TAP: are the instructions those that fastpath.py explains?
report.py report FOLDER             reads FOLDER/KERNEL/* of all kernels that are there, writes
                                    FOLDER/results.json and, beside this script, RESULTS.md
                                    and the charts

An exact figure is instructions an object (or a pair): the least of the repetitions, minus
those of the loop and the calls, which the backend `none` took.
"""
import json
import math
import os
import statistics
import sys

import fastpath

HERE = os.path.dirname(os.path.abspath(__file__))

# pattern, what SLUB serves it with, what it is, instructions that mode percpu may take
EXACT = [
    ('pair_fixed', 'cache', 'pair, 64 B, size known beforehand', 36),
    ('pair_var', 'kmalloc', 'pair, 64 B, size read each time', 37),
    ('pair_const', 'kmalloc', 'pair, 64 B, constant size', 25),
    ('pair_hardirq', 'cache', 'pair, 64 B, in a hard interrupt', 75),
    ('pair_softirq', 'cache', 'pair, 64 B, in a soft interrupt', None),
    ('batch_alloc', 'cache', '4096 × 64 B: alloc', 24),
    ('batch_fifo', 'cache', '4096 × 64 B: free, first in first out', 25),
    ('batch_lifo', 'cache', '4096 × 64 B: free, last in first out', 25),
    ('cross_free', 'cache', '4096 × 64 B: free what another CPU had', 25),
    ('bulk16_alloc', 'cache', 'bulks of 16 × 64 B: alloc', None),
    ('bulk16_free', 'cache', 'bulks of 16 × 64 B: free', None),
    ('bulk64_alloc', 'cache', 'bulks of 64 × 64 B: alloc', 9),
    ('bulk64_free', 'cache', 'bulks of 64 × 64 B: free', 12),
    ('bulk256_alloc', 'cache', 'bulks of 256 × 64 B: alloc', None),
    ('bulk256_free', 'cache', 'bulks of 256 × 64 B: free', None),
    ('mixed_alloc', 'kmalloc', '100,000 × 1 to 512 B: alloc', None),
    ('mixed_random_free', 'kmalloc', '100,000 × 1 to 512 B: free in random order', 32),
    ('churn', 'kmalloc', '100,000 × 1 to 512 B: free one, alloc another', 48),
    ('pair_large', 'kmalloc', 'pair, 1064 B, no small block', None),
]
TRACES = ['kmalloc', 'cache']       # what SLUB serves a recorded program with, beside ours
NO_MEAN = {'pair_large'}    # not ours: it goes to kmalloc
NO_ALLOC = ('fifo', 'lifo', 'free')     # nothing is zeroed in patterns whose names end so

# What is to be reached; the figures above and these were set for one kernel.
GOAL_KERNEL = '6.12'
MEAN = {'exact-off': 5, 'exact-default': 4}     # SLUB ÷ percpu
CLASSIC = 1.25                                  # classic ÷ SLUB
LARGE = 1.10                                    # percpu ÷ kmalloc
CYCLES = 3                                      # SLUB ÷ percpu
SCALING = 1.9                                   # 2 CPUs ÷ 1
TRANSFER = 2                                    # percpu ÷ SLUB
HELD = 1.03                                     # pages ÷ blocks of their class
LEFT = 1                                        # arenas, after everything was freed
POOLS = 1.02                                    # pages ÷ pools in use, trimmed, release=pool

# Blocks of which one in so many stayed while the others were freed, the allocator was trimmed,
# and they were had again: with 32 no page went back, with 4096 most did.
REFILL = {'refill32': 32, 'refill4096': 4096}
REFILLED = 64                           # bytes of a block
SLAB = 4096, 4096 // REFILLED           # bytes, blocks
POOL = 16384, (16384 - 48) // REFILLED

ARENA = 1024                            # KiB of preset=cpython-3.10, whose pools these are

KVM = [('ns', 5), ('cycles', 6)]                # and the column of the results

SMP = [
    ('smp_pairs', 'cache', 'pairs, 64 B'),
    ('smp_batch256', 'cache', 'batches of 256 × 64 B'),
    ('producer_consumer', 'cache', 'one allocates, the other frees'),
]

PARTS = ['exact-off', 'exact-default', 'refill', 'smp', 'memory']    # `native`, `kvm` may be missing

OPTIONS = [('exact-off', 'init_on_alloc=0'), ('exact-default', 'default options')]


def jobs(kind):
    if kind in ('exact', 'gate'):
        for pattern, slub, *_ in EXACT:
            for backend in ('none', 'kpymalloc', slub)[:3 if kind == 'exact' else 2]:
                print(backend, pattern)
        for backend in ('none', 'kpymalloc', *TRACES) if kind == 'exact' else ():
            print(backend, 'trace')
        return
    if kind == 'refill':
        for pattern in REFILL:
            for backend in ('none', 'kpymalloc', 'cache'):
                print(backend, pattern)
        return
    for pattern, slub, _ in SMP:
        for backend in ('kpymalloc', slub):
            if pattern == 'producer_consumer':
                print(backend, pattern)
                continue
            print(backend, pattern + '_one')
            print(backend, pattern + '_all')


def read(path):
    """(first line, [(backend, pattern, ops, min)])"""
    head, rows = '', []
    with open(path, encoding='utf-8') as lines:
        for line in lines:
            if line.startswith('# '):
                head = line[2:].strip()
                continue
            backend, pattern, _, ops, least, _, _ = line.split()
            rows.append((backend, pattern, int(ops), int(least)))
    return head, rows


def exact(path):
    """{pattern: {backend: instructions an object}}, without those of the loop"""
    _, rows = read(path)
    least = {(b, p): (ns, ops) for b, p, ops, ns in rows}
    table = {}
    for pattern in dict.fromkeys(p for _, p in least):
        loop, _ = least['none', pattern]
        table[pattern] = {b: round((ns - loop) / ops, 1)
                          for (b, p), (ns, ops) in least.items() if p == pattern and b != 'none'}
    return table


def refill(path):
    """{pattern: {backend: instructions a block that was had again}}"""
    return {pattern: {b: round(figure / (1 - 1 / REFILL[pattern]), 1) for b, figure in figures.items()}
            for pattern, figures in exact(path).items()}


def cycles(path):
    """{pattern: {backend: cycles an object}}, the least of the rounds, the loop included"""
    table = {}
    with open(path, encoding='utf-8') as lines:
        for line in lines:
            backend, pattern, _, ops, _, _, least = line.split()
            figures = table.setdefault(pattern, {})
            figures[backend] = min(figures.get(backend, math.inf), round(int(least) / int(ops), 1))
    return table


def clock(path, column):
    """{pattern: {backend: what the column has, an object}}, the median of the rounds, the loop
    included"""
    rounds = {}
    with open(path, encoding='utf-8') as lines:
        for words in (line.split() for line in lines if not line.startswith('# ')):
            figures = rounds.setdefault(words[1], {}).setdefault(words[0], [])
            figures.append(int(words[column]) / int(words[3]))
    return {pattern: {b: round(statistics.median(f), 1) for b, f in backends.items()}
            for pattern, backends in rounds.items()}


def smp(path):
    """{pattern: {backend: million ops a second}}, the median of the rounds' best"""
    _, rows = read(path)
    rates = {}
    for backend, pattern, ops, least in rows:
        threads = 2 if pattern.endswith('_all') else 1
        rates.setdefault(pattern, {}).setdefault(backend, []).append(threads * ops / least * 1e3)
    return {p: {b: round(statistics.median(r), 2) for b, r in backends.items()}
            for p, backends in rates.items()}


def memory(path):
    """{what: {when: {name: KiB}}}"""
    held = {}
    with open(path, encoding='utf-8') as lines:
        for line in lines:
            if line.startswith('# '):
                continue
            name, what, when, kib = line.split()
            held.setdefault(what, {}).setdefault(when, {})[name] = int(kib)
    return held


def heaps(*files):
    """{name: parameters}"""
    named = {}
    for file in files or ('heaps',):
        with open(os.path.join(HERE, file), encoding='utf-8') as lines:
            named.update(line.strip().split(' ', 1) for line in lines)
    return named


def all_heaps():
    return heaps('heaps', 'memory-heaps')


def heaps_of_pools():
    """those that give pools back"""
    return [name for name, parameters in all_heaps().items() if 'release=pool' in parameters]


def gather(folder):
    data = {}
    kernels = [k for k in os.listdir(folder)
               if all(os.path.exists(os.path.join(folder, k, part)) for part in PARTS)]
    for kernel in sorted(kernels, key=lambda k: [-int(n) for n in k.split('.')]):
        at = lambda name: os.path.join(folder, kernel, name)
        data[kernel] = {
            'release': read(at('exact-off'))[0].split()[0],
            'exact': {name: exact(at(name)) for name, _ in OPTIONS},
            'refill': refill(at('refill')),
            'cycles': cycles(at('native')) if os.path.exists(at('native')) else {},
            'kvm': {unit: clock(at('kvm'), column) for unit, column in KVM}
                   if os.path.exists(at('kvm')) else {},
            'smp': smp(at('smp')),
            'memory': memory(at('memory')),
        }
    return data


def budget(path):
    for pattern, backends in exact(path).items():
        for name, figure in backends.items():
            print(name, pattern, figure)


def explained(path):
    """the loop that fastpath.py walks takes what was counted"""
    counted = {(b, p): round(ns / ops) for b, p, ops, ns in read(path)[1]}['percpu', 'pair_fixed']
    total = fastpath.account()[1][-1][-1]
    print('ok' if counted == total else 'not ok',
          f'a pair by a handle: {counted} instructions, {total} of them explained')
    return counted != total


def mean(ratios):
    return math.exp(statistics.fmean(math.log(r) for r in ratios))


def table(head, rows):
    """a table for people and for Markdown"""
    rows = [[str(cell) for cell in row] for row in rows]
    width = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    line = lambda row: '| ' + ' | '.join(
        c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(row, width))) + ' |'
    rule = '|' + '|'.join('-' * (w + 2) if i == 0 else '-' * (w + 1) + ':'
                          for i, w in enumerate(width)) + '|'
    return '\n'.join([line(head), rule, *map(line, rows)])


def cycles_table(figures, unit='cycles'):
    names = heaps()
    rows = []
    for pattern, slub, text, _ in EXACT:
        if pattern not in figures:
            continue
        ours = figures[pattern]
        row = [text, f'{ours["none"]:.1f}', f'{ours[slub]:.1f}', slub]
        for name in names:
            row += [f'{ours[name]:.1f}', f'{ours[slub] / ours[name]:.2f}']
        rows.append(row)
    last = ['geometric mean', '', '', '']
    for name in names:
        last += ['', f'{mean(ratios(figures, name).values()):.2f}']
    head = [f'{unit}, the loop included', 'loop', 'SLUB', 'by']
    for name in names:
        head += [name, 'SLUB ÷ it']
    return table(head, [*rows, last])


def trace_table(figures):
    names = [*TRACES, *heaps()]
    traces = [pattern for pattern in figures if pattern.startswith('trace:')]
    rows = []
    for pattern in traces:
        ours = figures[pattern]
        rows.append([pattern[6:], *(f'{ours[name]:.1f}' for name in names),
                     f'{ours["kmalloc"] / ours["percpu"]:.2f}'])
    head = ['instructions a request', *names, 'kmalloc ÷ percpu']
    return table(head, rows)


def reached(good):
    return 'yes' if good else 'no'


def ratios(figures, name):
    """SLUB ÷ the heap, a pattern each"""
    return {pattern: figures[pattern][slub] / figures[pattern][name]
            for pattern, slub, *_ in EXACT if pattern in figures and pattern not in NO_MEAN}


def exact_table(figures, goals):
    names = heaps()
    rows = []
    for pattern, slub, text, most in EXACT:
        base = figures[pattern][slub]
        row = [text, f'{base:.1f}', slub]
        for name in names:
            ours = figures[pattern][name]
            row += [f'{ours:.1f}', f'{base / ours:.2f}']
        if goals:
            row += [most, reached(figures[pattern]['percpu'] <= most)] if most else ['', '']
        rows.append(row)
    last = ['geometric mean of all but the last', '', '']
    for name in names:
        last += ['', f'{mean(ratios(figures, name).values()):.2f}']
    head = ['instructions', 'SLUB', 'by']
    for name in names:
        head += [name, 'SLUB ÷ it']
    if goals:
        head += ['percpu at most', 'reached']
        last += ['', '']
    return table(head, [*rows, last])


def ratios_table(data):
    """of all kernels and options, a column each"""
    columns = {f'{name}, {kernel}{", by default" if options == "exact-default" else ""}':
               ratios(figures['exact'][options], name)
               for name in heaps() for kernel, figures in data.items() for options, _ in OPTIONS}
    rows = [[text, *(f'{column[pattern]:.2f}' for column in columns.values())]
            for pattern, _, text, _ in EXACT if pattern not in NO_MEAN]
    rows.append(['geometric mean', *(f'{mean(column.values()):.2f}' for column in columns.values())])
    return table(['SLUB ÷ it', *columns], rows)


def dearer_by_default(data):
    """{pattern: what zeroing makes percpu dearer by, less what it does to SLUB}"""
    ours_less_slub = lambda figures, pattern, slub: figures[pattern]['percpu'] - figures[pattern][slub]
    return {text: ours_less_slub(data['exact-default'], pattern, slub) -
                  ours_less_slub(data['exact-off'], pattern, slub)
            for pattern, slub, text, _ in EXACT if not pattern.endswith(NO_ALLOC)}


def worst(named):
    return max(named.items(), key=lambda item: item[1])


def goal_rows(data):
    """(what, figure, goal, is it reached), but for the patterns, which have their own"""
    for name, options in OPTIONS:
        value = mean(ratios(data['exact'][name], 'percpu').values())
        yield f'SLUB ÷ percpu, geometric mean, {options}', value, '≥', MEAN[name]
    what, value = worst(dearer_by_default(data['exact']))
    yield f'percpu − SLUB by default − the same with init_on_alloc=0, worst: {what}', value, '≤', 0
    off = data['exact']['exact-off']
    what, value = worst({text: off[pattern]['classic'] / off[pattern][slub]
                         for pattern, slub, text, _ in EXACT if pattern not in NO_MEAN})
    yield f'classic ÷ SLUB, worst: {what}', value, '≤', CLASSIC
    value = mean(1 / r for r in ratios(off, 'classic').values())
    yield 'classic ÷ SLUB, geometric mean', value, '≤', CLASSIC
    for name in 'percpu', 'classic':
        value = off['pair_large'][name] / off['pair_large']['kmalloc']
        yield f'{name} ÷ kmalloc, {EXACT[-1][2]}', value, '≤', LARGE
    if data['cycles']:
        value = mean(ratios(data['cycles'], 'percpu').values())
        yield 'SLUB ÷ percpu, cycles, geometric mean', value, '≥', CYCLES
    for pattern, _, text in SMP[:2]:
        value = data['smp'][pattern + '_all']['percpu'] / data['smp'][pattern + '_one']['percpu']
        yield f'2 CPUs ÷ 1, percpu, {text}', value, '≥', SCALING
    transfer = data['smp']['producer_consumer']
    yield f'percpu ÷ SLUB, {SMP[2][2]}', transfer['percpu'] / transfer['cache'], '≥', TRANSFER
    for name in heaps():
        value = data['memory']['72']['all'][name] * 1024 / (1e6 * 80)
        yield f'pages of {name} ÷ 1,000,000 × 80 B, the class of 72 B', value, '≤', HELD
    what, value = worst({f'{name}, {SETS[size]}': data['memory'][size]['none-later-arenas'][name] / ARENA
                         for name in all_heaps() for size in SETS})
    yield f'arenas 2 s after all was freed, nobody asked, worst: {what}', value, '≤', LEFT
    for name in heaps_of_pools():
        held = data['memory']['mixed']
        value = held['tenth-trimmed'][name] / held['tenth-trimmed-used'][name]
        yield f'pages of {name} ÷ pools in use, 90 % of the mixed set freed, trimmed', value, '≤', POOLS
        what, value = worst(held_by_used(data['memory'], name))
        yield f'arenas of {name} but for holes ÷ pools in use, trimmed, worst: {what}', value, '≤', POOLS


def held_by_used(held, name):
    """{what: KiB of the heap's arenas ÷ KiB of its pools in use}, after it was trimmed"""
    return {f'{SETS.get(what, what)}: {text}': moments[when + '-arenas'][name] / moments[when + '-used'][name]
            for what, moments in held.items() for when, text in TRIMMED.items() if when in moments}


def held_by_used_table(held):
    columns = {name: held_by_used(held, name) for name in all_heaps()}
    pools = heaps_of_pools()
    rows = [[what, *(f'{column[what]:.2f}' for column in columns.values()),
             reached(all(columns[name][what] <= POOLS for name in pools))]
            for what in columns[pools[0]]]
    return table(['arenas but for holes ÷ pools in use', *columns,
                  f'{" and ".join(pools)} ≤ {POOLS}'], rows)


def goals_table(data):
    rows = []
    for what, value, sign, goal in goal_rows(data):
        good = value >= goal if sign == '≥' else value <= goal
        rows.append([what, f'{value:.3f}', f'{sign} {goal}', reached(good)])
    return table(['figure', 'is', 'goal', 'reached'], rows)


def smp_table(figures):
    names = heaps()
    rows = []
    for pattern, slub, text in SMP:
        row = [text]
        for name in (slub, *names):
            if pattern in figures:
                row += ['', f'{figures[pattern][name]:.2f}', '']
                continue
            one, both = figures[pattern + '_one'][name], figures[pattern + '_all'][name]
            row += [f'{one:.2f}', f'{both:.2f}', f'{both / one:.2f}']
        rows.append(row)
    head = ['million a second']
    for name in ('SLUB', *names):
        head += [f'{name}, 1 CPU', '2 CPUs', '2 ÷ 1']
    return table(head, rows)


def refill_table(figures):
    rows = []
    for name in ('cache', *all_heaps()):
        kept, again = (figures[pattern][name] for pattern in REFILL)
        size, blocks = SLAB if name == 'cache' else POOL
        taken = (again - kept) * blocks
        rows.append([name, f'{kept:.1f}', f'{again:.1f}', f'{size >> 10} KiB', f'{taken:.0f}',
                     f'{taken * 4096 / size:.0f}'])
    head = ['instructions', 'a block, no page went back', 'a block, most did',
            'size of a slab or pool', 'so one costs', '4 KiB of it']
    return table(head, rows)


WHENS = [('all', 'all'), ('tenth', '90 % freed at random'), ('tenth-trimmed', '… and trimmed'),
         ('none', 'all freed'), ('none-later', '… 2 s later, nobody asked'),
         ('none-trimmed', '… then trimmed'),
         ('peak', 'at its peak'), ('end', 'at its end'), ('end-later', '… 2 s later, nobody asked'),
         ('end-trimmed', '… then trimmed')]
TRIMMED = {'tenth-trimmed': '90 % freed at random', 'end-trimmed': 'at its end'}
SETS = {'72': '1,000,000 × 72 B', 'mixed': '1,000,000 × 1 to 512 B'}


def memory_table(held):
    names = ['kmalloc', 'cache', *all_heaps()]
    rows = []
    for what, moments in held.items():
        for when, text in WHENS:
            if when in moments:
                rows.append([f'{SETS.get(what, what)}: {text}',
                             *(moments[when].get(name, '') for name in names)])
    return table(['KiB held', *names], rows)


def chart(figures, title):
    """an SVG of the exact figures: a bar a backend, a group a pattern"""
    names = heaps()
    colours = ['#888', '#2a6fbb', '#3a9a4a', '#c8782a']
    bar, gap, left, wide = 9, 8, 330, 560
    top_figure = max(max(figures[pattern].values()) for pattern, *_ in EXACT)
    body, y = [], 50
    for i, name in enumerate(('SLUB', *names)):
        body.append(f'<rect x="{left + i * 110}" y="28" width="10" height="10" fill="{colours[i]}"/>'
                    f'<text x="{left + 14 + i * 110}" y="37">{name}</text>')
    for pattern, slub, text, _ in EXACT:
        body.append(f'<text x="{left - 8}" y="{y + bar + 1}" text-anchor="end">{text}</text>')
        for i, name in enumerate((slub, *names)):
            value = figures[pattern][name]
            width = value / top_figure * wide
            body.append(f'<rect x="{left}" y="{y}" width="{width:.1f}" height="{bar - 1}" '
                        f'fill="{colours[i]}"/><text x="{left + width + 4:.1f}" y="{y + bar - 1}" '
                        f'class="n">{value:.0f}</text>')
            y += bar
        y += gap
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + wide + 60} {y}" '
            f'font-family="sans-serif" font-size="11"><style>.n{{font-size:9px}}</style>'
            f'<rect width="100%" height="100%" fill="#fff"/>'
            f'<text x="{left}" y="18" font-size="14">{title}</text>{"".join(body)}</svg>\n')


def markdown(data):
    text = ['# What kpymalloc costs beside SLUB', '',
            'Made by `make bench`; see [run](run) and [report.py](report.py) for how. Instructions are '
            'counted by QEMU on one processor, with interrupts off, without those of the loop and of '
            'calling, an object or a pair each; cycles are counted '
            'natively ([native/run](native/run)), the same machine code in a process, the loop and '
            'calls included; rates are those of QEMU\'s emulation on two. '
            'Pages held are those that the page allocator lacks, caches dropped and slabs shrunk; '
            '`cache` is a kmem_cache of the size, or one for each 16 bytes.', '',
            'The heaps are ' + ', '.join(f'{name}: `{how}`' for name, how in all_heaps().items()) + '.', '',
            '## SLUB ÷ kpymalloc, instructions', '',
            'With init_on_alloc=0, and with the options that the kernel has by default.', '',
            ratios_table(data), '']
    for kernel, figures in data.items():
        text += [f'## {kernel}: Linux {figures["release"]}, Debian, as shipped', '']
        if kernel == GOAL_KERNEL:
            text += ['### What is to be reached', '', goals_table(figures), '']
        for name, options in OPTIONS:
            goals = kernel == GOAL_KERNEL and name == 'exact-off'
            text += [f'### Instructions, {options}', '', exact_table(figures['exact'][name], goals), '']
        if figures['cycles']:
            text += ['### Cycles of a real processor, init_on_alloc=0', '',
                     cycles_table(figures['cycles']), '']
        for unit in figures['kvm']:
            text += [f'### In a KVM guest, {unit}, init_on_alloc=0', '',
                     cycles_table(figures['kvm'][unit], unit), '']
        for name, options in OPTIONS:
            text += [f'### Recorded programs, requests of up to 512 B, {options}', '',
                     trace_table(figures['exact'][name]), '']
        if kernel == GOAL_KERNEL:
            text += ['### What the instructions of the fast paths buy', '',
                     table(*fastpath.account()), '']
        text += ['### Pages that come again, init_on_alloc=0', '',
                 f'Of 65,536 blocks of {REFILLED} B all are freed but one in 32, so that no page goes '
                 'back, or one in 4096; what is free is given back; then they are had again.', '',
                 refill_table(figures['refill']), '']
        text += [f'![instructions on {kernel} with init_on_alloc=0](chart-{kernel}.svg)', '',
                 '### Two processors, init_on_alloc=0', '', smp_table(figures['smp']), '',
                 '### Pages held', '', memory_table(figures['memory']), '',
                 '### Pages held by who was trimmed', '', held_by_used_table(figures['memory']), '']
    return '\n'.join(text)


def report(folder):
    data = gather(folder)
    write = lambda path, text: open(path, 'w', encoding='utf-8').write(text)
    write(os.path.join(folder, 'results.json'), json.dumps(data, indent=1) + '\n')
    for kernel, figures in data.items():
        write(os.path.join(HERE, f'chart-{kernel}.svg'),
              chart(figures['exact']['exact-off'], f'Instructions, {figures["release"]}, init_on_alloc=0'))
    write(os.path.join(HERE, 'RESULTS.md'), markdown(data))
    print(markdown(data))


if __name__ == '__main__':
    {'jobs': lambda: jobs(sys.argv[2]),
     'budget': lambda: budget(sys.argv[2]),
     'explained': lambda: sys.exit(explained(sys.argv[2])),
     'report': lambda: report(sys.argv[2])}[sys.argv[1]]()
