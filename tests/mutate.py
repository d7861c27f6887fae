# SPDX-License-Identifier: GPL-2.0
"""What can be done wrong in a C source: its mutants, one small change each.

They are the mistakes a reviewer looks for: a forgotten unlock, a bound that is off by
one, the wrong one of two fields, a condition turned around.  mutants() gives all of them in
the order of the text; each has an id that stays as long as its lines do, wherever in the
function they go.
"""
import hashlib
import re

from csource import (CLOSES, LOOPS, MUTE, Source, constant_families, field_families)

COMPARE = {'<': ['<=', '>='], '<=': ['<', '>'], '>': ['>=', '<='], '>=': ['>', '<'],
           '==': ['!='], '!=': ['==']}
SIGNS = {'++': '--', '--': '++', '+=': '-=', '-=': '+=', '|=': '&=', '&=': '|=',
         '<<': '>>', '>>': '<<'}
TWINS = {}
for one, other in (('min', 'max'), ('min_t', 'max_t'), ('round_up', 'round_down'),
                   ('roundup', 'rounddown'), ('true', 'false'), ('hlist_add_head', 'hlist_add_behind'),
                   ('list_add', 'list_add_tail'), ('list_first_entry', 'list_last_entry'),
                   ('list_move', 'list_move_tail'), ('test_bit', '!test_bit'),
                   ('__set_bit', '__clear_bit'), ('set_bit', 'clear_bit'),
                   ('BITS_TO_LONGS', 'BITS_TO_BYTES'), ('list_next_entry', 'list_prev_entry')):
    TWINS[one], TWINS[other] = other, one

LOGIC_ENDS = {'&&', '||', '?', ':', ',', ';', '=', 'return'}
BOUND_ENDS = LOGIC_ENDS | set(COMPARE) | {'|', '^'}
ORDERLESS = {'min', 'max', 'min_t', 'max_t', 'swap', 'sizeof', 'offsetof', 'container_of',
             'READ_ONCE', 'WRITE_ONCE', 'if', 'while', 'for', 'switch', 'return'}
MACRO = re.compile(r'^KPY_[A-Z][A-Z_]*$')
NUMBER = re.compile(r'^(0[xX][0-9a-fA-F]+|0|[1-9]\d*)([uUlL]*)$')

# How often each sort of mistake is taken, when chance decides.
WEIGHTS = {'call': 10, 'set': 8, 'negate': 7, 'logic': 6, 'compare': 7, 'bound': 4, 'index': 3,
           'sign': 4, 'arith': 4, 'field': 5, 'twin': 5, 'return': 5, 'early': 4, 'swap': 5,
           'constant': 6, 'else': 3, 'leave': 3, 'goto': 2}


class Mutant:
    def __init__(self, source, function, sort, start, end, new):
        self.path, self.function, self.sort = source.path, function.name, sort
        text = source.text
        new += '\n' * (text[start:end].count('\n') - new.count('\n'))     # __LINE__ stays
        self.source, self.start, self.end, self.with_ = source, start, end, new
        self.line = text.count('\n', 0, start) + 1
        first, last = text.rfind('\n', 0, start) + 1, (text + '\n').index('\n', end)
        self.old = text[first:last]
        self.new = text[first:start] + new + text[end:last]

    def text(self):
        """The whole file."""
        return self.source.text[:self.start] + self.with_ + self.source.text[self.end:]

    def identify(self, ordinal):
        words = [self.path, self.function, self.old, self.new] + [str(ordinal)] * bool(ordinal)
        self.id = hashlib.sha256('\0'.join(words).encode()).hexdigest()[:10]

    def __str__(self):
        return '%s %s:%d %s(): %s' % (self.id, self.path, self.line, self.function, self.sort)


class Mutator:
    """The mutants of one function."""

    def __init__(self, source, function, fields, constants):
        self.source, self.function = source, function
        self.fields, self.constants = fields, constants
        self.found = []

    def put(self, sort, first, last, new):
        """Tokens FIRST to LAST (not included) become NEW."""
        tokens = self.source.tokens
        self.found.append(Mutant(self.source, self.function, sort, tokens[first].start,
                                 tokens[last - 1].end, new))

    def all(self):
        for statement in self.function.statements:
            self.of_statement(statement)
        for i in range(self.function.first, self.function.last):
            if i not in self.source.mute:
                self.of_token(i)
        return self.found

    def of_statement(self, s):
        code = self.source.code(s.first, s.last) if s.last > s.first else ''
        if s.sort in ('call', 'set'):
            self.put(s.sort, s.first, s.last, '')
            if s.sort == 'call' and self.source.kind(s.first) == 'text':
                self.found.pop()                        # part of a message
        elif s.sort in ('if', 'while') and code not in ('true', 'false', '0', '1'):
            self.put('negate', s.first, s.last, '!(%s)' % code)
        elif s.sort == 'else':
            self.put('else', s.first, s.last, '')
        elif s.sort in ('break', 'continue') and s.inside in LOOPS:
            self.put('leave', s.first, s.last, 'continue' if s.sort == 'break' else 'break')
        elif s.sort == 'return':
            self.of_return(s)
        elif s.sort == 'goto':
            self.of_goto(s)
        if s.sort in ('call', 'set', 'goto'):
            self.put('early', s.first, s.first + 1, 'return %s; ' % self.function.returns
                     + self.source.word(s.first) if self.function.returns
                     else 'return; ' + self.source.word(s.first))
            self.drop_if_unsafe(s)

    def drop_if_unsafe(self, s):
        """Two statements where C takes one would change more than meant."""
        if self.source.word(s.first - 1) in (')', 'else'):
            self.found.pop()

    def of_return(self, s):
        value, constant = self.source.code(s.first, s.last)[6:].strip(), self.function.returns
        if value and value != constant and value not in ('true', 'false'):
            self.put('return', s.first, s.last, 'return ' + constant)

    def of_goto(self, s):
        source, f = self.source, self.function
        labels = [source.word(i) for i in range(f.first, f.last)
                  if source.kind(i) == 'name' and source.word(i + 1) == ':'
                  and source.word(i - 1) in (';', '}', ':')]
        for label in labels:
            if label != source.word(s.first + 1) and label != 'default':
                self.put('goto', s.first, s.last, 'goto ' + label)

    def of_token(self, i):
        source, word = self.source, self.source.word(i)
        if word in ('&&', '||'):
            self.of_logic(i)
        elif word in COMPARE:
            for other in COMPARE[word]:
                self.put('compare', i, i + 1, other)
            self.of_bound(i)
        elif word in SIGNS:
            self.put('sign', i, i + 1, SIGNS[word])
        elif word in '+-' and (source.kind(i - 1) in ('name', 'number') or source.word(i - 1) in (')', ']')) \
                and source.word(i - 1) != 'return':
            self.put('arith', i, i + 1, '-' if word == '+' else '+')
        elif word == '[':
            self.of_index(i)
        elif source.kind(i) == 'number':
            self.of_number(i)
        elif source.kind(i) == 'name':
            self.of_name(i)

    def operand_end(self, i, ends):
        source = self.source
        i += 1
        while source.word(i) not in ends and source.word(i) not in (')', ']', '}'):
            i = source.pair[i] + 1 if source.word(i) in CLOSES else i + 1
        return i

    def operand_start(self, i, ends):
        source = self.source
        while source.word(i - 1) not in ends and source.word(i - 1) not in CLOSES:
            i = source.pair[i - 1] if source.word(i - 1) in CLOSES.values() else i - 1
        return i

    def of_logic(self, i):
        ends = LOGIC_ENDS if self.source.word(i) == '&&' else LOGIC_ENDS - {'&&'}
        first, last = self.operand_start(i, ends), self.operand_end(i, ends)
        if first < i:
            self.put('logic', first, last, self.source.code(first, i))
            self.put('logic', first, last, self.source.code(i + 1, last))

    def of_bound(self, i):
        if self.source.word(i) in ('==', '!='):
            return
        last = self.operand_end(i, BOUND_ENDS)
        code = self.source.code(i + 1, last)
        if not NUMBER.match(code):
            self.put('bound', i + 1, last, code + ' + 1')
            self.put('bound', i + 1, last, code + ' - 1')

    def of_index(self, i):
        last = self.source.pair[i]
        if last > i + 1 and self.source.kind(i - 1) == 'name' and self.source.kind(i - 2) != 'name':
            code = self.source.code(i + 1, last)
            self.put('index', i + 1, last, code + ' + 1')
            self.put('index', i + 1, last, code + ' - 1')

    def of_number(self, i):
        match = NUMBER.match(self.source.word(i))
        if not match:
            return
        value, suffix = int(match[1], 0), match[2]
        self.put('constant', i, i + 1, '%d%s' % (value + 1, suffix))
        if value:
            self.put('constant', i, i + 1, '%d%s' % (value - 1, suffix))

    def of_name(self, i):
        source, word = self.source, self.source.word(i)
        if source.word(i - 1) in ('->', '.'):
            for other in self.fields.get(word, []):
                self.put('field', i, i + 1, other)
        elif word in TWINS:
            self.put('twin', i, i + 1, TWINS[word])
        elif word in self.constants:
            for other in self.constants[word]:
                self.put('constant', i, i + 1, other)
        elif MACRO.match(word) and source.word(i + 1) != '(':
            self.put('constant', i, i + 1, '(%s + 1)' % word)
            self.put('constant', i, i + 1, '(%s - 1)' % word)
        if source.is_call(i) and word not in ORDERLESS and not MUTE.match(word):
            self.of_arguments(i)

    def of_arguments(self, i):
        parts = self.source.arguments(i + 1)
        for (a, b), (c, d) in zip(parts, parts[1:]):
            one, other = self.source.code(a, b), self.source.code(c, d)
            if one != other and '"' not in one + other:
                between = self.source.text[self.source.tokens[b - 1].end:self.source.tokens[c].start]
                self.put('swap', a, d, other + between + one)


def mutants(paths, texts):
    """All mutants of the files PATHS.

    TEXTS is {path: text} of all files, for the structures and enums that are in them.
    """
    fields, constants = field_families(texts.values()), constant_families(texts.values())
    found, seen = [], {}
    for path in paths:
        source = Source(path, texts[path])
        for function in source.functions:
            found += Mutator(source, function, fields, constants).all()
    found = list({(m.path, m.start, m.end, m.with_): m for m in found}.values())
    for mutant in found:
        key = mutant.path, mutant.function, mutant.old, mutant.new
        mutant.identify(seen.get(key, 0))
        seen[key] = seen.get(key, 0) + 1
    return found


def in_chances_order(found, chance):
    """Every mutant once: a sort by its weight, then one of that sort."""
    by_sort = {}
    for mutant in found:
        by_sort.setdefault(mutant.sort, []).append(mutant)
    for sort in by_sort:
        chance.shuffle(by_sort[sort])
    while by_sort:
        sorts = sorted(by_sort)
        sort = chance.choices(sorts, [WEIGHTS[s] for s in sorts])[0]
        yield by_sort[sort].pop()
        if not by_sort[sort]:
            del by_sort[sort]
