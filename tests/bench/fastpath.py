# SPDX-License-Identifier: GPL-2.0
"""What each instruction of the fast paths buys.

fastpath.py [FOLDER]    reads kpymalloc.ko and kpylab.ko of build/6.12/src, or FOLDER, and
                        prints the table; fails at the first instruction it cannot explain

A fast path is walked as a processor would, with init_on_alloc=0 and nobody tracing: each
instruction must match a rule of RULES, which says what it is for, and if it sets flags,
how the conditional jumps behind it go.
"""
import os
import re
import subprocess
import sys

MODULES = os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../build/6.12/src')

# what is bought, in the order of the table
BUYS = {
    'enter': 'being called: indirect-branch landing pad, NOP of ftrace',
    'return': 'returning',
    'loop': 'the loop, fields of the handle',
    'size': 'size or tag → front of the class',
    'zero': 'init_on_alloc and `__GFP_ZERO` looked at',
    'context': 'not in an interrupt?',
    'preempt': 'staying on this CPU: preemption off and on',
    'event': 'NOP that leads to who traces',
    'tag': 'free: is it a block of this heap, or class?',
    'twice': 'free: was it freed just now already?',
    'room': 'is there a block, is there room?',
    'front': 'the block itself: to or from the top',
    'count': 'the top moves, what was handed out is counted',
}

# instruction (R: any register, {key}: a static branch on it), purpose, what holds on the fast path
RULES = [(re.compile(pattern), purpose, holds.split()) for pattern, purpose, holds in (
    ('endbr64', 'enter', ''),
    ('call __fentry__', 'enter', ''),
    ('jmp __x86_return_thunk', 'return', ''),
    (r'mov R,R', 'return', ''),
    (r'cmp R,\(R\)', 'size', 'ae'),
    (r'mov 0x[0-9a-f]+\(R,R,8\),R', 'size', ''),
    (r'add 0x[0-9a-f]+\(R\),R', 'size', ''),
    ('{init_on_alloc}', 'zero', ''),
    (r'(test|and) \$0x1,Rh', 'zero', 'e'),
    (r'testl \$0xff0100,%gs:pcpu_hot', 'context', 'e'),
    (r'incl %gs:pcpu_hot', 'preempt', ''),
    (r'decl %gs:pcpu_hot', 'preempt', 'ne'),
    ('{kpy_no_fast_path}', 'event', ''),
    (r'movzwl %gs:\(R\),R', 'front', ''),
    (r'mov %gs:\(R,R,1\),R', 'front', ''),
    (r'mov R,%gs:0x8\(R,R,1\)', 'front', ''),
    (r'cmp \$0x1f7,Rw', 'room', 'be'),
    (r'cmp %gs:\(R,R,1\),R', 'twice', 'ne'),
    (r'cmp R,%gs:\(R,R,1\)', 'twice', 'ne'),
    (r'addq \$0x8,%gs:\(R\)', 'count', ''),
    (r'addq \$0xfff8,%gs:\(R\)', 'count', ''),
    (r'and (R|0x[0-9a-f]+\(R\)),R', 'tag', 's'),
    (r'xor (R|0x[0-9a-f]+\(R\)),R', 'tag', ''),
    (r'cmp \$0xffff,R', 'tag', 'be'),
)]

# where the same instruction means something else
OF_ALLOC = [(re.compile('test R,R'), 'room', ['ne'])]
OF_FREE = [
    (re.compile(r'mov 0x[0-9a-f]+\(R\),R'), 'tag', []),
]
OF_PAIR = [
    (re.compile('test R,R'), 'room', ['ne']),
    (re.compile(r'mov 0x18\(R\),R'), 'tag', []),
    (re.compile(r'cmp (R,0x18\(R\)|0x18\(R\),R)'), 'tag', ['e']),
    (re.compile(r'mov 0x(10|20)\(R\),R'), 'loop', []),
    (re.compile(r'mov 0x28\(R\),R'), 'zero', []),
    (re.compile(r'add \$0x1,R'), 'loop', []),
    (re.compile(r'cmp R,R'), 'loop', ['ne', 'b']),
]
TO_THE_LOOP = [(re.compile(r'(push R|mov R,R|jmp [0-9a-f]+)$'), 'loop', [])]

PATHS = [
    ('kpy_alloc()', 'kpymalloc.ko', 'kpy_alloc', OF_ALLOC),
    ('kpy_free()', 'kpymalloc.ko', 'kpy_free', OF_FREE),
    ('a handle, pair', 'kpylab.ko', 'kpymalloc_pair_fixed', [*OF_PAIR, *TO_THE_LOOP]),
]

OPPOSITE = {a: b for pair in (('a', 'be'), ('ae', 'b'), ('e', 'ne'), ('s', 'ns')) for a, b in
            (pair, pair[::-1])}
REGISTER = re.compile(r'%(?!gs)[a-z0-9]+')


def objdump(*args):
    return subprocess.run(['objdump', *args], check=True, capture_output=True, text=True).stdout


def static_branches(module):
    """{address: (key, does it jump while the key is off)}"""
    fields, found = [], {}
    for line in objdump('-r', '-j', '__jump_table', module).splitlines():
        words = line.split()
        if len(words) == 3 and words[1].startswith('R_X86_64_PC'):
            name, _, addend = words[2].partition('+')
            fields.append((name, int(addend or '0', 16)))
    for (section, address), (_, target), (key, addend) in zip(*[iter(fields)] * 3):
        if section == '.text':
            found[address] = key, bool(addend & 1), target
    return found


def register(match):
    """a register's kind: of 8 bits (high half), of 16, or any"""
    name = match.group(0)[1:]
    return 'R' + ('h' if name[-1] == 'h' else 'w' if re.fullmatch('[abcd]x|[sd]i|r[0-9]+w', name) else '')


def instructions(module, function):
    """{address: (text, target, next address)}, with symbols in place of what the linker fills in"""
    code, last = {}, None
    for line in objdump('-dr', '--no-show-raw-insn', module).split(f'<{function}>:\n')[1].splitlines():
        if not line.strip():
            break
        words = line.split(None, 2)
        if words[1].startswith('R_X86_64'):
            symbol = re.split('[+-]', words[2])[0]
            code[last] = re.sub(r'0x0\(%rip\)|(?<= )[0-9a-f]+$', symbol, code[last])
            continue
        last = int(words[0].rstrip(':'), 16)
        code[last] = ' '.join(line.split('#')[0].split('<')[0].split()[1:])
    following = dict(zip(code, [*code][1:]))
    return {address: (text, following.get(address)) for address, text in code.items()}


def explain(text, rules):
    for pattern, purpose, holds in rules:
        if pattern.fullmatch(text):
            return purpose, holds
    sys.exit(f'fastpath.py: nobody knows what "{text}" is for')


def jump(text, purpose, holds):
    """does the conditional jump go, on the fast path?"""
    condition = text[1:].split()[0]
    if condition in holds or OPPOSITE.get(condition) in holds:
        return condition in holds
    sys.exit(f'fastpath.py: nobody knows where "{text}" goes, after what is for: {BUYS[purpose]}')


def walk(module, function, rules):
    """[(address, purpose)] from the entry to the return, or once around the loop"""
    code, branches = instructions(module, function), static_branches(module)
    path, at, purpose, holds = [], min(code), None, []
    while at not in [address for address, _ in path]:
        text, after = code[at]
        target = int(text.split()[-1], 16) if re.fullmatch('j[a-z]+ [0-9a-f]+', text) else None
        if at in branches:
            key, jumps, target = branches[at]
            path.append((at, explain(f'{{{key}}}', RULES)[0]))
            at = target if jumps else after
        elif target and not text.startswith('jmp'):
            path.append((at, purpose))
            at = target if jump(text, purpose, holds) else after
        else:
            mine, told = explain(REGISTER.sub(register, text), [*rules, *RULES])
            purpose, holds = (mine, told) if told else (purpose, holds)
            path.append((at, mine))
            if mine == 'return' and text.startswith('jmp'):
                return path
            at = target or after
    return path[[address for address, _ in path].index(at):]


def account(folder=MODULES):
    """(head, rows) of the table"""
    counts = []
    for _, module, function, rules in PATHS:
        purposes = [purpose for _, purpose in walk(os.path.join(folder, module), function, rules)]
        counts.append({buy: purposes.count(buy) for buy in BUYS})
    rows = [[text, *(count[buy] or '' for count in counts)] for buy, text in BUYS.items()]
    rows.append(['all', *(sum(count.values()) for count in counts)])
    return ['what an instruction buys', *(name for name, *_ in PATHS)], rows


if __name__ == '__main__':
    import report
    print(report.table(*account(*sys.argv[1:])))
