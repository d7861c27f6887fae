# SPDX-License-Identifier: GPL-2.0
"""C sources as tests/mutate.py sees them: tokens, functions, statements, structures.

No compiler: this reads the kernel's style as this project writes it.  A function's body
stands between a `{` and a `}` in the first column.  What it takes for something else than
it is makes a mutant that does not compile, and that one is not counted.
"""
import re

TOKEN = re.compile(r'''
    (?P<space> \s+ | //[^\n]* | /\*.*?\*/ | ^[ \t]*\#(?:\\\n|[^\n])* )
  | (?P<text> "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*' )
  | (?P<number> \d[\w.]* )
  | (?P<name> [A-Za-z_]\w* )
  | (?P<sign> -> | \+\+ | -- | <<= | >>= | && | \|\| | [-+*/%&|^<>=!]= | << | >> | . )
''', re.S | re.M | re.X)

CLOSES = {'(': ')', '[': ']', '{': '}'}
TYPES = {'struct', 'enum', 'union', 'const', 'static', 'unsigned', 'volatile', 'typeof'}
LOOPS = {'for', 'while', 'do'}

# Nothing a test could notice: assertions, messages, barriers, hints.
MUTE = re.compile(r'^(lockdep_\w+|WARN\w*|pr_\w+|barrier|smp_(mb|rmb|wmb)\w*|BUILD_BUG\w*|'
                  r'static_assert|might_\w+|cond_resched|cpu_relax|prefetch\w*|kasan_\w+|'
                  r'kmsan_\w+|kmemleak_\w+|__acquire|__release|KUNIT_\w+)$')


# What these say of why something is refused, behind their first string.
REASON = {'fail', 'lab_refuse', 'lab_report_refuse'}


class Token:
    def __init__(self, kind, text, start):
        self.kind, self.text, self.start, self.end = kind, text, start, start + len(text)


class Statement:
    """Tokens FIRST to LAST (not included) of a SORT: a keyword, call, set, other.

    `if` and the loops stand for their conditions, `else` for all of its branch.
    INSIDE is the loop or switch it stands in, TOP whether no block is between it
    and the function.
    """
    def __init__(self, sort, first, last, inside, depth):
        self.sort, self.first, self.last = sort, first, last
        self.inside, self.depth = inside, depth


class Function:
    def __init__(self, name, returns, first, last):
        self.name, self.returns = name, returns
        self.first, self.last = first, last         # tokens of the body
        self.statements = []


class Source:
    def __init__(self, path, text):
        self.path, self.text = path, text
        self.tokens = [Token(m.lastgroup, m.group(), m.start()) for m in TOKEN.finditer(text)
                       if m.lastgroup != 'space']
        self.pair = self._pairs()
        self.mute = set()               # tokens that are not to be touched
        self.functions = []
        self._mute_reasons()
        self._find_functions()
        for function in self.functions:
            Reader(self, function).block(function.first, function.last)

    def word(self, i):
        return self.tokens[i].text if 0 <= i < len(self.tokens) else ''

    def kind(self, i):
        return self.tokens[i].kind if 0 <= i < len(self.tokens) else ''

    def code(self, first, last):
        """The text of tokens FIRST to LAST, not included."""
        return self.text[self.tokens[first].start:self.tokens[last - 1].end]

    def is_call(self, i):
        return self.kind(i) == 'name' and self.word(i + 1) == '('

    def arguments(self, i):
        """[(first, last)] of the arguments in the bracket I."""
        end, parts, first = self.pair[i], [], i + 1
        j = first
        while j < end:
            if self.word(j) == ',':
                parts.append((first, j))
                first = j + 1
            j = self.pair[j] + 1 if self.word(j) in CLOSES else j + 1
        return parts + [(first, end)] if end > first else parts

    def _pairs(self):
        pair, open_ones = {}, []
        for i, token in enumerate(self.tokens):
            if token.text in CLOSES:
                open_ones.append(i)
            elif open_ones and token.text == CLOSES[self.tokens[open_ones[-1]].text]:
                pair[open_ones[-1]] = i
                pair[i] = open_ones.pop()
        return pair

    def _mute_reasons(self):
        for i, token in enumerate(self.tokens):
            if token.text in REASON and self.is_call(i):
                end = self.pair[i + 1]
                text = next((j for j in range(i, end) if self.kind(j) == 'text'), end)
                self.mute.update(range(text, end))

    def _find_functions(self):
        for i, token in enumerate(self.tokens):
            start = token.start
            if token.text == '{' and self.text[start - 1:start] == '\n' and i in self.pair:
                function = self._function(i)
                if function:
                    self.functions.append(function)

    def _function(self, brace):
        first = brace
        while first and self.word(first - 1) not in (';', '}'):
            first -= 1
        name = next((i for i in range(first, brace)
                     if self.is_call(i) and not self.word(i).startswith('__')), None)
        if name is None:
            return None
        before = [self.word(i) for i in range(first, name)]
        inline = 'static' in before and any('inline' in word for word in before)
        if self.path.endswith('.h') and not inline:
            return None
        return Function(self.word(name), returned(before), brace + 1, self.pair[brace])


def returned(words):
    """What a function that begins with WORDS can return as a constant."""
    if '*' in words:
        return 'NULL'
    if 'void' in words:
        return ''
    return 'false' if 'bool' in words else '0'


class Reader:
    """Finds the statements of a function."""

    def __init__(self, source, function):
        self.source, self.function = source, function

    def add(self, sort, first, last, inside, depth):
        self.function.statements.append(Statement(sort, first, last, inside, depth))

    def block(self, i, end, inside='', depth=0):
        while i < end:
            i = self.statement(i, inside, depth)

    def to_semicolon(self, i):
        source = self.source
        while source.word(i) != ';' and i < self.function.last:
            i = source.pair[i] + 1 if source.word(i) in CLOSES else i + 1
        return i

    def statement(self, i, inside, depth):
        """Reads the one at I, gives the token behind it."""
        word, source = self.source.word(i), self.source
        if word == '{':
            self.block(i + 1, source.pair[i], inside, depth + 1)
            return source.pair[i] + 1
        if word in ('if', 'while', 'for', 'switch'):
            return self.controlled(word, i, inside, depth)
        if word == 'do':
            end = self.statement(i + 1, 'do', depth + 1)        # then: while (...);
            self.add('while', end + 2, source.pair[end + 1], inside, depth)
            return source.pair[end + 1] + 2
        if word in ('case', 'default'):
            while source.word(i) != ':':
                i += 1
            return i + 1
        if source.kind(i) == 'name' and source.word(i + 1) == ':':
            return i + 2
        return self.plain(i, inside, depth)

    def controlled(self, word, i, inside, depth):
        source = self.source
        close = source.pair[i + 1]
        if word in ('if', 'while'):
            self.add(word, i + 2, close, inside, depth)
        end = self.statement(close + 1, inside if word == 'if' else word, depth + 1)
        if word == 'if' and source.word(end) == 'else':
            start, end = end, self.statement(end + 1, inside, depth + 1)
            self.add('else', start, end, inside, depth)
        return end

    def plain(self, i, inside, depth):
        source = self.source
        word, close = source.word(i), source.pair.get(i + 1)
        if source.is_call(i) and word not in ('return', 'typeof') and \
                (source.kind(close + 1) == 'name' or source.word(close + 1) == '{'):
            return self.statement(close + 1, 'for', depth + 1)  # list_for_each_entry() ...
        end = self.to_semicolon(i)
        if MUTE.match(word):
            self.source.mute.update(range(i, end))
        else:
            self.add(self.sort(i, end), i, end, inside, depth)
        return end + 1

    def sort(self, i, end):
        source, word = self.source, self.source.word(i)
        if word in ('return', 'break', 'continue', 'goto'):
            return word
        if word in TYPES or source.kind(i + 1) == 'name' or \
                (source.word(i + 1) == '*' and source.kind(i + 2) == 'name'):
            return 'other'                                      # a declaration
        if any(source.word(j) in ('++', '--') or re.fullmatch(r'(<<|>>|[-+*/%&|^])?=', source.word(j))
               for j in self.outside_brackets(i, end)):
            return 'set'
        return 'call' if source.word(end - 1) == ')' else 'other'

    def outside_brackets(self, i, end):
        while i < end:
            yield i
            i = self.source.pair[i] + 1 if self.source.word(i) in CLOSES else i + 1


FIELD = re.compile(r'^\s+((?:(?:struct|enum|union|const|unsigned)\s+)*\w+(?:\s+__\w+)*\s*\**)\s*'
                   r'(\w+)(\[[^\]]*\])?;', re.M)
STRUCT = re.compile(r'^struct \w+ \{\n(.*?)^\}', re.M | re.S)
ENUM = re.compile(r'\benum(?:\s+\w+)?\s*\{(.*?)\}', re.S)
FAR = 2         # fields: further apart they are no family


def field_families(texts):
    """{field: fields of the same type that stand beside it in a structure}"""
    families = {}
    for text in texts:
        for body in STRUCT.findall(text):
            fields = [(re.sub(r'\s', '', kind) + array, name)
                      for kind, name, array in FIELD.findall(body)]
            for i, (kind, name) in enumerate(fields):
                near = fields[max(0, i - FAR):i] + fields[i + 1:i + 1 + FAR]
                families.setdefault(name, set()).update(n for k, n in near if k == kind)
    return {name: sorted(others - {name}) for name, others in families.items()}


def constant_families(texts):
    """{constant: the other ones of its enum}"""
    families = {}
    for text in texts:
        for body in ENUM.findall(text):
            names = re.findall(r'^\s*([A-Z]\w+)', body, re.M) or re.findall(r'[A-Z]\w+', body)
            for name in names:
                families[name] = sorted(set(names) - {name})
    return families
