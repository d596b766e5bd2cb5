"""Compare the default sandbox with Python on drawn programs: `python -m arena.tools.bench.agreement --calls 20000`.

Half of the programs use one construct of a table; the others combine several in statements, loops and functions. The
arguments are drawn too, some of another type. Python's value comes from the sandbox `subprocess`. A disagreement is a
call on which one gives a value and the other another value, or no value. Calls that one of them refuses as unsupported,
or on which it runs out of time or memory, are counted apart.

Not guaranteed: that the programs resemble what models write; the table covers what the interpreter knows.
"""

from __future__ import annotations

import argparse
import ast
import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from textwrap import indent
from typing import Any

from curricula.sandbox import CallResult, Limits, Sandbox
from curricula.sandbox_differences import inspect
from curricula.sandbox_monty import Monty
from curricula.sandboxes import make_sandbox
from curricula.values import same_value, show_value

TOGETHER = 10
"""Calls of a program."""
OPEN = ("unsupported", "time", "memory", "recursion", "crashed")
"""Reasons with which a call counts as not compared."""
SHARED = 20
"""Programs that share a Python process."""
DRIVER = """
def run_all(define, calls):
    out = []
    for args in calls:
        try:
            out.append((True, define()(*args)))
        except Exception as error:
            out.append((False, repr(error)[:200]))
    return out
def run(i, calls):
"""
WRONG_TYPE = 0.04
"""Chance that an argument is of another type than the program expects."""

# Types: i int, f float, b bool, s str, L list of ints, F list of floats, W list of strings, G list of lists of ints,
# D dict from strings to ints, S set of ints, T tuple of ints. A template's holes are types in braces.
ROWS = {
    "i": """{i} + {i}|{i} - {i}|{i} * {i}|{i} // {i}|{i} % {i}|{i} ** 2|{i} & {i}|{i} << 2|{i} >> 1|{i} ^ {i}|-{i}
~{i}|abs({i})|len({L})|len({s})|len({D})|len({S})|sum({L})|sum({T})|max({L})|min({L})|max({i}, {i})
min({L}, default=0)|max({L}, key=abs)|{s}.count({s})|{s}.find({s})|{s}.rfind('a')|{s}.index('a')|{L}.count({i})
{L}.index({i})|{L}[0]|{L}[-1]|{L}[{i}]|{T}[{i}]|{D}['a']|{D}.get('b', 0)|{D}.get({s}, {i})|{D}.pop('a', 0)
sum({D}.values())|int({f})|round({f})|int({s})|int('0' + '12')|ord('a')|ord({s}[0])|pow({i}, 2)|pow({i}, 3, 7)
divmod({i}, 3)[1]|divmod({i}, {i})[0]|{i} if {b} else {i}|{L}.pop()|int({b})|int(str({i}))|sum(x for x in {L})
sum(x * x for x in {L} if x > 1)|sum(1 for x in {s} if x == 'a')|sum(x * y for x, y in zip({L}, {L}))
sum(i * x for i, x in enumerate({L}))|len(list(filter(None, {L})))|int(bin(5)[2:], 2)|sum(map(abs, {L}))
max(map(len, {W}))|len(set({L}))|min({S})|sum({S})|len({S} & {S})|{G}[0][0]|sum(sum(r) for r in {G})|len({s}.split())
sum(int(c) for c in str({i}) if c.isdigit())|next(x for x in {L} if x > 1)|next(iter({L}), 0)|{S}.pop()|round({i}, -1)
(lambda x: x + 1)({i})|len(max({W}, key=len))|sum([1 for x in {L} if x % 2 == 0])|{i}.bit_length()|{L}.__len__()
hash({i}) % 7|len({s}.encode())|sorted({L})[len({L}) // 2]|sum({L}[::2])|max({D}, key={D}.get) == 'a'""",
    "f": """{f} + {f}|{f} * {i}|{f} - {f}|{i} / {i}|{f} / 3|{f} // 0.7|{f} % 0.7|{f} ** 2|abs({f})|float({i})
float({s})|round({f}, 2)|round({f}, 1)|round({f}, 3)|round({f} / 7, 2)|sum({F})|max({F})|min({F})|sum({F}) / len({F})
sum({L}) / max(1, len({L}))|float('1e3')|abs({i}) ** 0.5|round({f} * 100) / 100|{F}[0]|{f} if {b} else {f}|-{f}
divmod({f}, 2)[1]|pow({f}, 2)|min({f}, {i})|{i} * 0.1|round({i} / 3, 2)|round(sum({F}) / 3, 1)|float(str({f}))
sorted({F})[0]|sum(x * 0.1 for x in {L})|round({f}, 0)""",
    "b": """{i} < {i}|{i} == {i}|{f} == {f}|{s} == {s}|{i} in {L}|{s} in {s}|{L} == {L}|not {b}|{b} and {b}|{b} or {b}
{i} in {S}|'a' in {D}|all(x > 0 for x in {L})|any(x > 5 for x in {L})|any(10 // x > 1 for x in {L})|all({L})|any({L})
{s}.isalpha()|{s}.isdigit()|{s}.isupper()|{s}.startswith('a')|{s}.endswith(('a', 'b'))|{s}.isspace()|{s}.isalnum()
{s}.istitle()|{s}.islower()|isinstance({i}, int)|{S} <= {S}|{S} == {S}|{L} < {L}|{T} < {T}|{s} < {s}|1 < {i} <= 5
bool({s})|bool({L})|{L} is {L}|{i} is None|{s} == {s}[::-1]|{S}.issubset({S})|{L} == sorted({L})|{S}.isdisjoint({L})
len({s}) == len(set({s}))|{s}.isidentifier()|{f} > {i}|all(x in {s} for x in {s})|type({i}) == int|{D} == {D}
any(map(str.isdigit, {s}))|{f}.is_integer()|callable({i})""",
    "s": """{s} + {s}|{s} * 2|{s}.upper()|{s}.lower()|{s}.title()|{s}.capitalize()|{s}.swapcase()|{s}.strip()
{s}.strip('a')|{s}[::-1]|{s}[1:3]|{s}[0]|{s}[{i}]|{s}.replace('a', 'b')|{s}.replace('a', '', 1)|{s}.zfill(6)
{s}.ljust(6, '*')|{s}.rjust(6)|{s}.center(7, '-')|str({i})|str({f})|str({L})|str({D})|str({S})|repr({s})|str({b})
bin({i})|hex({i})|oct({i})|chr(97 + abs({i}) % 26)|{s}.removeprefix('a')|' '.join({W})|','.join(str(x) for x in {L})
''.join(map(str, {L}))|''.join(sorted({s}))|''.join(reversed({s}))|'-'.join({s})
''.join(c for c in {s} if c.isalpha())|f'{{i}}'|f'{{f}:.2f}'|f'{{i}:05d}'|f'{{s}:>8}'|f'{{i}:,}'|f'{{f}:.3e}'|f'{{L}}'
f'{{i}:x}'|'%d' % {i}|'%.2f' % {f}|'%s-%r' % ({s}, {s})|'{}-{:>4}'.format({i}, {s})|format({f}, '.1f')
format({i}, 'b')|{W}[0]|max({s})|{s} or 'z'|{s}.split(',')[0]|' '.join({s}.split()[::-1])|{s}.expandtabs(4)
max({W}, key=len)|{s}.partition('a')[2]|{s}.casefold()|''.join(set({s}))|''.join(dict.fromkeys({s}))
{s}.translate({97: 'b'})|{s}.lstrip()|f'{{s}!r:>9}'|f'{{f}:g}'|f'{{b}}'|ascii({s})|max(set({s}), key={s}.count)
{s}.join(['x', 'y'])|'yes' if {b} else 'no'|str({T})|str(type({i}))|str(zip({L}))|repr({F})""",
    "L": """{L} + {L}|{L} * 2|{L}[1:]|{L}[::-1]|{L}[::2]|{L}[{i}:]|{L}[:-1]|sorted({L})|sorted({L}, reverse=True)
sorted({L}, key=abs)|sorted({L}, key=lambda x: (x % 3, -x))|list(range({i}))|list(range({i}, 10, 2))
list(range(5, -5, -2))|list({T})|list({S})|sorted({S})|[x * 2 for x in {L}]|[x for x in {L} if x % 2]
[x for r in {G} for x in r]|list(map(abs, {L}))|list(map(lambda x: x + 1, {L}))|list(filter(lambda x: x > 1, {L}))
list(reversed({L}))|[len(w) for w in {W}]|[int(c) for c in str(abs({i}))]|[ord(c) for c in {s}]
[x + y for x, y in zip({L}, {L})]|[i * x for i, x in enumerate({L}, 1)]|list({D}.values())|[*{L}, *{T}]|{G}[0]
sum({G}, [])|[max({L}), min({L})]|[x for x in set({L})]|sorted(set({L}))|[y for x in {L} if (y := x * 2) > 2]
list(dict.fromkeys({L}))|{L}.copy()|[{L}.index(x) for x in {L}]|[a for a, b in zip({L}, {L}[1:]) if a < b]
[sum({L}[:k]) for k in range(len({L}))]|map(abs, {L})|reversed({L})|(x for x in {L})|list(map(max, zip({L}, {L})))
[x // 2 if x > 2 else -x for x in {L}]|list(divmod({i}, 3))|[{D}.get(w, 0) for w in {W}]|list({S} | {S})
[x for x in {L} if x not in {S}]|[i for i, c in enumerate({s}) if c == 'a']|list(map(int, {W}))""",
    "F": """[{f}, {f}]|sorted({F})|[x / 2 for x in {F}]|[round(x, 1) for x in {F}]|[x / 3 for x in {L}]|{F}[::-1]
{F} + [{f}]|[x * 0.1 for x in {L}]|[float(x) for x in {L}]|list(map(float, {L}))
[x - sum({F}) / len({F}) for x in {F}]|[round(x) for x in {F}]""",
    "W": """{W} + [{s}]|{s}.split()|{s}.split(',')|{s}.split('a', 1)|{s}.rsplit(',', 1)|list({s})|sorted({W})
sorted({W}, key=len)|{W}[::-1]|[w.upper() for w in {W}]|[w[::-1] for w in {W}]|list({D})|list({D}.keys())|sorted({D})
[str(x) for x in {L}]|list(map(str, {L}))|sorted({D}, key=lambda k: (-{D}[k], k))|[c for c in {s} if c not in 'ab']
{s}.splitlines()|sorted(set({s}))|list(set({W}))|[a + b for a, b in zip({s}, {s}[1:])]|{s}.splitlines(True)
list(map(str.upper, {W}))|sorted({W}, key=str.lower)|list({s}.partition('a'))|[w for w in {W} if len(w) > 1]
sorted({D}, key={D}.get)|[f'{i}:{w}' for i, w in enumerate({W})]|sorted({s}, key=lambda c: ({s}.count(c), c))""",
    "G": """[{L}, {L}]|[r[::-1] for r in {G}]|[list(r) for r in zip(*{G})]|[[x] for x in {L}]
[{L}[i:i + 2] for i in range(0, len({L}), 2)]|sorted({G})|sorted({G}, key=len)|{G} + [{L}]|[sorted(r) for r in {G}]
[[0] * 2 for x in {L}]|list(map(list, zip(*{G})))|[[x, y] for x in {L} for y in {T}]
[list(t) for t in {D}.items() and enumerate({L})]|[[i, x] for i, x in enumerate({L})]
[[k for k in range(abs(x) % 5)] for x in {L}]""",
    "D": """{'a': {i}}|dict(zip({W}, {L}))|dict.fromkeys({s}, {i})|{w: len(w) for w in {W}}
{c: {s}.count(c) for c in {s}}|{**{D}, 'c': {i}}|{D} | {'a': {i}}|dict({D})|{k: v + 1 for k, v in {D}.items()}
dict(sorted({D}.items()))|{str(x): x for x in {L}}|{k: v for k, v in {D}.items() if v > 1}|dict(a={i})
dict([('a', {i}), ({s}, {i})])|{s: i for i, s in enumerate({W})}|{c: 0 for c in set({s})}
dict(sorted({D}.items(), key=lambda p: p[1]))""",
    "S": """set({L})|{x % 3 for x in {L}}|{S} | {S}|{S} & {S}|{S} - {S}|{S} ^ {S}|{S}.union({L})|{S}.union({L}, {T})
{S}.intersection({L})|{S}.difference({T})|{S}.difference({L}, {T})|{S}.copy()|set({T})|{x for x in {L} if x > 0}
set(range(3))|{S}.symmetric_difference({L})""",
    "T": """tuple({L})|({i}, {i})|{T} + ({i},)|{T}[::-1]|tuple(sorted({L}))|divmod({i}, 4)|tuple(x for x in {L})
tuple(map(abs, {T}))|tuple(set({L}))|tuple({S})|({i},) * 3|tuple(reversed({T}))|tuple(zip({L}, {L}))[:0]
(max({L}), min({L}))|(*{L}, {i})""",
}  # fmt: skip
STATEMENTS = """v = []|for x in {L}:|    if x > {i}:|        v.append(x)
v = 0|for i, x in enumerate({L}):|    v += i * x
v = {}|for c in {s}:|    v[c] = v.get(c, 0) + 1
v = set()|for x in {L}:|    v.add(x % 4)
v = 0|while v < 6 and v < {i}:|    v += 2
try:|    v = {i} // {i}|except ZeroDivisionError:|    v = -1
v = zip({L}, {L})|v = [list(v), list(v)]
v = list({L})|v.sort(key=lambda x: -x)
v = list({L})|v.insert(1, {i})
v = 0|for x in {L}:|    if x < 0:|        break|    v += x|else:|    v = -v
v = []|for x, y in zip({L}, {W}):|    v.append((y, x))
v = {}|for w in {W}:|    v.setdefault(len(w), []).append(w)
a, *v = {L}
v, b = {i}, {i}|v, b = b, v + b
def g(n):|    return 1 if n < 2 else n * g(n - 1)|v = g(abs({i}) % 8)
v = (x * x for x in {L})|v = sum(v) + sum(v)
v = []|for x in set({L}):|    v.append(x)
v = list({L})|for i, x in enumerate(v):|    if x > 3:|        v.pop()
v = list({L})|for x in v:|    if x % 2:|        v.remove(x)
v = list({L})|v += {T}
v = list({L})|v += {L}
v = list({L})|v.extend(x + 1 for x in {L})
v = [list(r) for r in {G}]|v[0][0] = {i}
v = list({L})|v[1:2] = [7, 7]
v = list({L})|del v[0]
v = ''|for c in {s}:|    v = c + v
v = 0|for a, b in zip({s}, {s}[1:]):|    v += a == b
v = iter({L})|v = [next(v, 0), list(v)]
v = map(lambda x: x + 1, {L})|v = [x for x in v]
v = list({L})|for i in range(len(v)):|    for j in range(i):|        if v[j] > v[i]:|            v[j], v[i] = v[i], v[j]
match {L}:|    case [a, b]:|        v = a|    case [a, *r]:|        v = r|    case _:|        v = 0
def g(x, d=[]):|    d.append(x)|    return len(d)|v = [g(x) for x in {L}]
seen = set()|v = [x for x in {L} if not (x in seen or seen.add(x))]
v = 0|for k, w in {D}.items():|    v += w if k == 'a' else 1
v = dict({D})|for k in list(v):|    if v[k] > 1:|        v.pop(k)
try:|    v = {L}[{i}]|except IndexError as e:|    v = str(e)
v = 0|for x in reversed({L}):|    v = v * 2 + x
v = round(sum({L}) / 7, 2)
v = sorted(zip({W}, {L}))
v = {S}|v.discard({i})|v = sorted(v)
v = []|for x in {L}:|    try:|        v.append(12 / x)|    except ZeroDivisionError:|        continue
v = max(enumerate({L}), key=lambda p: p[1])
v = all(x < 5 or 1 // 0 for x in {L})
v = list(zip(*[iter({L})] * 2))
import math|v = math.gcd({i}, {i}) + math.isqrt(abs({i}))
import math|v = [math.sqrt(abs({i})), math.floor({f}), math.ceil({f})]
def g():|    yield from {L}|v = list(g())
class A:|    def __init__(self, n):|        self.n = n|v = A({i}).n + 1
v = [y for x, y in sorted(zip({L}, {W}))]
v = list({L})|v = [v.pop() for _ in range(2)]
v = 0|for x in filter(lambda y: y % 2, {L}):|    if x > 5:|        break|    v += 10 // x
v = len({s})|assert v > 1"""  # fmt: skip
NAMES = {
    "i": "n",
    "f": "q",
    "b": "b",
    "s": "s",
    "L": "xs",
    "F": "qs",
    "W": "ws",
    "G": "rows",
    "D": "d",
    "S": "ys",
    "T": "t",
}
HOLE = re.compile(r"\{([ifbsLFWGDST])\}")
LETTERS = "aabbcxyzAB  ,.1-"


@dataclass(frozen=True)
class Program:
    code: str
    construct: str
    calls: tuple[tuple[Any, ...], ...]


def draw_value(rng: random.Random, kind: str) -> Any:
    """Draw an argument of a type."""
    if kind == "i":
        return rng.choice(
            (rng.randint(-3, 12), rng.randint(-3, 12), rng.randint(-999, 10**6), rng.choice((0, 2**40, 10**25)))
        )
    if kind == "f":
        return rng.choice(
            (
                rng.randint(-9999, 9999) / 1000,
                rng.randint(-20, 20) / 2,
                rng.uniform(-1e3, 1e3),
                rng.randint(0, 999) + 0.005,
            )
        )
    if kind == "b":
        return rng.random() < 0.5
    if kind == "s":
        return "".join(rng.choice(LETTERS) for _ in range(rng.randint(0, 8)))
    if kind == "D":
        return {rng.choice("abcd"): rng.randint(-2, 9) for _ in range(rng.randint(0, 4))}
    inner = {"L": "i", "T": "i", "S": "i", "F": "f", "W": "s", "G": "L"}[kind]
    drawn = [draw_value(rng, inner) if inner != "i" else rng.randint(-9, 20) for _ in range(rng.randint(0, 6))]
    return tuple(drawn) if kind == "T" else set(drawn) if kind == "S" else drawn


class _Writer:
    """Writes one program; `used` are the types of its arguments."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.used: dict[str, None] = {}

    def fill(self, template: str, depth: int) -> str:
        return HOLE.sub(lambda found: self.term(found[1], depth), template)

    def term(self, kind: str, depth: int) -> str:
        chance = self.rng.random()
        if depth > 0 and chance < 0.5:
            return f"({self.fill(self.rng.choice(TABLE[kind]), depth - 1)})"
        if kind == "S" and self.rng.random() < 0.7:
            return self.fill("set({L})", 0)
        if chance < 0.9 or kind == "S":
            self.used[kind] = None
            return NAMES[kind]
        return f"({draw_value(self.rng, kind)!r})"

    def program(self, lines: Sequence[str], last: str) -> str:
        body = "".join(f"    {line}\n" for line in lines)
        return f"def f({', '.join(NAMES[kind] for kind in self.used)}):\n{body}    return {last}"


BLOCKS = STATEMENTS.splitlines()
TABLE = {kind: re.split(r"(?<! )\|(?! )|\n", rows) for kind, rows in ROWS.items()}


def draw_program(rng: random.Random) -> Program:
    """Draw a program with its calls."""
    while True:
        writer = _Writer(rng)
        if rng.random() < 0.5:
            kind = rng.choice(list(TABLE))
            chosen = rng.choice(TABLE[kind]) if rng.random() < 0.8 else ""
            construct = chosen or rng.choice(BLOCKS)
            code = (
                writer.program([], writer.fill(chosen, 0))
                if chosen
                else writer.program(writer.fill(construct, 0).split("|"), "v")
            )
        else:
            construct, lines = "combined", list[str]()
            for i in range(rng.randint(0, 2)):
                block = re.sub(r"\bv\b", f"v{i}", rng.choice(BLOCKS))
                lines += writer.fill(block, 1).split("|")
            values = [f"v{i}" for i in range(2) if any(f"v{i}" in line for line in lines)]
            values.append(writer.fill(rng.choice(TABLE[rng.choice(list(TABLE))]), 2))
            code = writer.program(lines, f"[{', '.join(values)}]")
        if writer.used and _parses(code):
            kinds = list(writer.used)
            calls = tuple(tuple(_argument(rng, kind) for kind in kinds) for _ in range(TOGETHER))
            return Program(code, construct, calls)


def _argument(rng: random.Random, kind: str) -> Any:
    return draw_value(rng, rng.choice(list(TABLE)) if rng.random() < WRONG_TYPE else kind)


def _parses(code: str) -> bool:
    try:
        ast.parse(code)
    except SyntaxError:
        return False
    return True


@dataclass
class Agreement:
    """Counts of calls, by construct: all, not compared, in disagreement; and some of those."""

    calls: Counter[str] = field(default_factory=Counter)
    open: Counter[str] = field(default_factory=Counter)
    differ: Counter[str] = field(default_factory=Counter)
    slow: int = 0  # calls that the shipped sandbox does not leave to the fast interpreter
    shown: list[str] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Disagreements, as a share of the calls that were compared."""
        return self.differ.total() / max(1, self.calls.total() - self.open.total())


def agree(one: CallResult, two: CallResult) -> bool | None:
    """Whether two results of a call agree: the same value, or none in both. None: not comparable."""
    if one.reason in OPEN or two.reason in OPEN:
        return None
    return same_value(one.value, two.value) if one.ok and two.ok else one.ok == two.ok


def python_results(programs: Sequence[Program], python: Sandbox) -> list[list[CallResult]]:
    """What Python gives for each call of each program. Many programs share a process; if one does not end there with
    plain data, it gets its own."""
    found: list[list[CallResult]] = []
    for start in range(0, len(programs), SHARED):
        part = programs[start : start + SHARED]
        code = "".join(f"def p{i}():\n{indent(p.code, '    ')}\n    return f\n" for i, p in enumerate(part))
        code += f"{DRIVER}    return run_all([{', '.join(f'p{i}' for i in range(len(part)))}][i], calls)\n"
        together = python.call(code, "run", [(i, list(p.calls)) for i, p in enumerate(part)])
        for program, ran in zip(part, together, strict=True):
            if ran.ok:
                found.append([CallResult(ok, value, "ok" if ok else "raised") for ok, value in ran.value])
            else:
                found.append(python.call(program.code, "f", program.calls))
    return found


def compare(programs: Sequence[Program], sandboxes: dict[str, Sandbox], python: Sandbox) -> dict[str, Agreement]:
    """Compare sandboxes, given by name, with Python on the same programs."""
    found = {name: Agreement() for name in sandboxes}
    for program, wanted in zip(programs, python_results(programs, python), strict=True):
        for name, sandbox in sandboxes.items():
            into = found[name]
            for args, ran, want in zip(
                program.calls, sandbox.call(program.code, "f", program.calls), wanted, strict=True
            ):
                same = agree(ran, want)
                into.calls[program.construct] += 1
                into.open[program.construct] += same is None
                into.differ[program.construct] += same is False
                checked = inspect(program.code)
                into.slow += bool(checked.in_call(args) or checked.in_result(ran))
                if same is False:
                    into.shown.append(f"{program.code}\n  f{show_value(args)}: {ran}\n  Python: {want}")
    return found


def report(name: str, found: Agreement, say: Callable[[str], None], most: int) -> None:
    total, left_open, differ = found.calls.total(), found.open.total(), found.differ.total()
    say(f"{name}: {differ} of {total - left_open} compared calls differ ({found.rate:.2%}); {left_open} not compared")
    for construct, count in found.differ.most_common(most):
        if count:
            say(f"    {count:5} of {found.calls[construct]:5}  {construct[:100]}")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser("python -m arena.tools.bench.agreement", description=__doc__)
    parser.add_argument("--calls", type=int, default=20_000, help="number of calls (default 20000)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the drawn programs (default 0)")
    parser.add_argument("--show", type=int, default=0, help="number of disagreements to print in full")
    parser.add_argument("--constructs", type=int, default=20, help="number of constructs to print (default 20)")
    given = parser.parse_args(arguments)
    rng = random.Random(f"ratchet/agreement/{given.seed}")
    programs = [draw_program(rng) for _ in range(-(-given.calls // TOGETHER))]
    limits = Limits(time=0.5)
    sandboxes: dict[str, Sandbox] = {
        "interpreter alone": Monty(limits),
        "monty_only": make_sandbox("monty_only", limits),
    }
    for name, found in compare(programs, sandboxes, make_sandbox("subprocess", limits)).items():
        report(name, found, print, given.constructs)
        for text in found.shown[: given.show]:
            print(text)
    sandboxes["interpreter alone"].close()


if __name__ == "__main__":
    main()
