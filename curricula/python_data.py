"""Draw synthetic Python functions from a typed random grammar over integers, lists and strings.

All draws use the `random.Random` that is passed in. The result is text; the domain runs it in the sandbox to find out
whether it is an acceptable task. Left out: floats, dicts and recursion.
Not guaranteed: that the functions resemble code that people write.
"""

from __future__ import annotations

import ast
import random
import re
from collections.abc import Callable, Sequence

from curricula.python_code import FUNCTION, Code, count_features, level_of, parse_code
from curricula.python_tasks import FEWEST, INDUCTION, MOST, Task
from curricula.values import Value, show_value

INT, LIST, STR = "int", "list", "str"
NAMES = {INT: ("a", "b", "k", "n", "m"), LIST: ("xs", "ys", "zs"), STR: ("s", "t", "u")}
LETTERS = "abcde"
# Statements before the result, and how deep expressions go, by level.
STATEMENTS = {1: (0, 0), 2: (0, 1), 3: (0, 1), 4: (1, 2), 5: (1, 2), 6: (2, 4)}
DEPTHS = {1: (1, 1), 2: (2, 2), 3: (2, 2), 4: (1, 2), 5: (1, 2), 6: (1, 2)}


def draw_function(rng: random.Random, level: int) -> tuple[Code, tuple[str, ...]]:
    """Draw a function of the given level (1 to 6). Returns it with the types of its arguments.

    Raises:
        ValueError: there is no such level.
    """
    if level not in STATEMENTS:
        raise ValueError(f"levels are 1 to {max(STATEMENTS)}, got {level}")
    while True:
        types = tuple(rng.choice((INT, LIST, STR)) for _ in range(rng.choice((1, 1, 2))))
        text = _Writer(rng, types).function(rng.randint(*STATEMENTS[level]), rng.randint(*DEPTHS[level]))
        tree = ast.parse(text)
        if level_of(count_features(tree)) == level and _all_used(tree):
            code = parse_code(text)
            if isinstance(code, Code):
                return code, types


def draw_input(rng: random.Random, types: Sequence[str]) -> tuple[Value, ...]:
    """Draw arguments of the given types: integers from 0 to 12, lists and strings of 2 to 5 digits or letters."""
    drawn: list[Value] = []
    for kind in types:
        size = rng.randint(2, 5)
        if kind == INT:
            drawn.append(rng.randint(0, 12))
        elif kind == LIST:
            drawn.append([rng.randint(0, 9) for _ in range(size)])
        else:
            drawn.append("".join(rng.choice(LETTERS) for _ in range(size)))
    return tuple(drawn)


def draw_task(rng: random.Random, kind: str, depth: int) -> str:
    """Draw the text of a task. It has not been run, so the domain may still reject it."""
    code, types = draw_function(rng, depth)
    count = rng.randint(FEWEST, MOST) if kind == INDUCTION else 1
    drawn = {show_value(args): args for args in (draw_input(rng, types) for _ in range(3 * count))}
    return Task(kind, code, tuple(drawn.values())[:count]).text


def like(value: Value, rng: random.Random) -> Value:
    """Draw a value of the same shape; items of lists, sets and dicts have the shape of the first item."""
    if type(value) is bool:
        return rng.random() < 0.5
    if type(value) is int:
        return rng.choice((rng.randint(0, 5), rng.randint(-9, 20)))
    if type(value) is float:
        return rng.randint(-90, 200) / 10
    if type(value) is str:
        return "".join(rng.choice("abcde aeXY19") for _ in range(rng.randint(0, 6)))
    if type(value) is tuple:
        return tuple(like(part, rng) for part in value)
    if type(value) is list:
        return [like(value[0] if value else 0, rng) for _ in range(rng.randint(0, 5))]
    if type(value) is set:
        first = min(value, key=repr) if value else 0
        return {like(first, rng) for _ in range(rng.randint(0, 5))}
    if type(value) is dict:
        key, part = next(iter(value.items()), ("", 0))
        return {like(key, rng): like(part, rng) for _ in range(rng.randint(0, 4))}
    return value


def _all_used(tree: ast.Module) -> bool:
    """Whether every argument and statement may affect the result: a backward liveness pass over the statements."""
    main = next(node for node in tree.body if isinstance(node, ast.FunctionDef))
    needed = set[str]()
    for statement in reversed(main.body):
        reads, sets = set[str](), set[str]()
        for node in ast.walk(statement):
            if isinstance(node, ast.Name):
                (reads if isinstance(node.ctx, ast.Load) else sets).add(node.id)
            elif isinstance(node, ast.Attribute) and node.attr == "append" and isinstance(node.value, ast.Name):
                sets.add(node.value.id)
        if not isinstance(statement, ast.Return) and not sets & needed:
            return False
        if isinstance(statement, ast.Assign):
            needed -= sets
        needed |= reads
    return {arg.arg for arg in main.args.args} <= needed


class _Writer:
    """Writes one function. `known` holds the names in scope, by type."""

    def __init__(self, rng: random.Random, types: Sequence[str]) -> None:
        self.rng = rng
        self.known: dict[str, list[str]] = {INT: [], LIST: [], STR: []}
        self.counting = set[str]()
        self.looping = 0  # number of enclosing loops; inside, no statement may double a value
        self.params = [self.fresh(kind) for kind in types]

    def function(self, statements: int, depth: int) -> str:
        lines = [line for _ in range(statements) for line in self.statement(depth, 0)]
        kind, name = self.rng.choice(self._unread(lines) or [(self.rng.choice((INT, LIST, STR)), "")])
        result = self.expression(kind, depth)
        if name and not re.search(rf"\b{name}\b", result):
            result = f"{name} + {result}"
        lines.append(f"return {result}")
        body = "\n".join(f"    {line}" for line in lines)
        return f"def {FUNCTION}({', '.join(self.params)}):\n{body}"

    def _unread(self, lines: Sequence[str]) -> list[tuple[str, str]]:
        """Types and names that are not read yet; the result should use one."""
        text = "\n".join(lines)
        uses = {name: len(re.findall(rf"\b{name}\b", text)) for names in self.known.values() for name in names}
        once = [(k, n) for k, names in self.known.items() for n in names if uses[n] <= (n not in self.params)]
        return once[-1:] or [(k, n) for k, names in self.known.items() for n in names if n not in self.params][-1:]

    def free(self, kind: str) -> list[str]:
        """Names of a type that may be reassigned: all except loop variables."""
        return [name for name in self.known[kind] if name not in self.counting]

    def fresh(self, kind: str) -> str:
        taken = {name for names in self.known.values() for name in names}
        new = [name for name in NAMES[kind] if name not in taken]
        name = self.rng.choice(new) if new else self.rng.choice(NAMES[kind])
        if name not in self.known[kind]:
            self.known[kind].append(name)
        return name

    # -- statements, as lines ------------------------------------------------------------------------------------------

    def statement(self, depth: int, inside: int) -> list[str]:
        kinds = ("assign", "assign", "change", "if", "for", "for", "while") if inside < 2 else ("assign", "change")
        written: list[str] = getattr(self, f"_{self.rng.choice(kinds)}")(depth, inside)
        return written

    def _assign(self, depth: int, inside: int) -> list[str]:
        kind = self.rng.choice((INT, INT, LIST, STR))
        if inside:  # a name bound only in a block may be unbound after it, so only existing names are assigned
            names = self.free(kind)
            if not names:
                return self._change(depth, inside)
            return [f"{self.rng.choice(names)} = {self.expression(kind, depth)}"]
        value = self.expression(kind, depth)
        return [f"{self.fresh(kind)} = {value}"]

    def _change(self, depth: int, inside: int) -> list[str]:
        kind = self.rng.choice([kind for kind in self.known if self.free(kind)])
        name = self.rng.choice(self.free(kind))
        if kind == INT:
            return [f"{name} {self.rng.choice('+-+-' if self.looping else '+-+*')}= {self.expression(INT, 1)}"]
        if kind == STR:
            letters = [c for c in self.known[STR] if c in self.counting] or [repr(self.rng.choice(LETTERS))]
            return [f"{name} += {self.rng.choice(letters) if self.looping else self.expression(STR, 1)}"]
        return [f"{name}.append({self.expression(INT, 1)})"] if inside else [f"{name} = {self.expression(LIST, depth)}"]

    def _block(self, depth: int, inside: int, loop: bool = False) -> list[str]:
        self.looping += loop
        before = {kind: list(names) for kind, names in self.known.items()}
        lines = [x for _ in range(self.rng.choice((1, 1, 2))) for x in self.statement(min(depth, 1), inside + 1)]
        self.known = before
        self.looping -= loop
        return [f"    {line}" for line in lines]

    def _if(self, depth: int, inside: int) -> list[str]:
        lines = [f"if {self.condition(1)}:", *self._block(depth, inside)]
        if self.rng.random() < 0.4:
            lines += ["else:", *self._block(depth, inside)]
        return lines

    def _for(self, depth: int, inside: int) -> list[str]:
        """A for loop that accumulates into a new name."""
        made = []
        if not inside:
            kind = self.rng.choice((INT, INT, LIST, STR))
            start = {INT: self.rng.choice(("0", "1")), LIST: "[]", STR: "''"}[kind]
            made = [f"{self.fresh(kind)} = {start}"]
        source, kind, name = self.rng.choice(
            [(xs, INT, "x") for xs in self.known[LIST]]
            + [(s, STR, "c") for s in self.known[STR]]
            + [(f"range({n} % {self.rng.randint(3, 6)})", INT, "i") for n in self.known[INT]]
            + [(f"range({self.rng.randint(2, 4)})", INT, "i")]
        )
        if source in self.known[LIST]:
            source = f"{source}[:]" if self.rng.random() < 0.2 else f"list({source})"
        name = name if name not in self.known[kind] else name * 2
        outer = {kind: list(names) for kind, names in self.known.items()}
        self.known[kind].append(name)
        self.counting.add(name)
        block = self._block(depth, inside, loop=True)
        gathers = [n for n in self.free(kind) if n in outer[kind]]
        if gathers and not re.search(rf"\b{name}\b", "\n".join(block)):
            block.append(f"    {gathers[-1]} += {name}")
        self.known = outer
        self.counting.discard(name)
        return [*made, f"for {name} in {source}:", *block]

    def _while(self, depth: int, inside: int) -> list[str]:
        """A while loop that decreases a counter."""
        if not self.free(INT) or inside:
            return self._if(depth, inside)
        name = self.rng.choice(self.free(INT))
        made = [f"{self.fresh(INT)} = 0"]
        step = f"{name} //= 2"
        if self.rng.random() < 0.5:  # start small, so that the loop ends soon
            made.append(f"{name} %= {self.rng.randint(6, 12)}")
            step = f"{name} -= {self.rng.randint(1, 3)}"
        self.counting.add(name)
        block = self._block(depth, inside, loop=True)
        self.counting.discard(name)
        return [*made, f"while {name} > {self.rng.randint(0, 3)}:", *block, f"    {step}"]

    # -- expressions ---------------------------------------------------------------------------------------------------

    def expression(self, kind: str, depth: int) -> str:
        if depth <= 0:
            return self.atom(kind)
        written: str = getattr(self, f"_{kind}")(depth - 1)
        return written

    def atom(self, kind: str) -> str:
        if self.known[kind] and self.rng.random() < 0.8:
            return self.rng.choice(self.known[kind])
        if kind == INT:
            return str(self.rng.randint(1, 9))
        if kind == LIST:
            source = self.known[LIST] or [f"[{self.rng.randint(0, 9)}, {self.rng.randint(0, 9)}]"]
            return self.rng.choice(source)
        return self.rng.choice(self.known[STR] or [repr(self.rng.choice(LETTERS))])

    def varying(self, depth: int) -> str:
        """An integer expression that depends on a variable, if there is one."""
        if depth > 0:
            return self.expression(INT, depth)
        counted = [f"len({name})" for name in (*self.known[LIST], *self.known[STR])]
        return self.rng.choice(self.known[INT] or counted or [self.atom(INT)])

    def condition(self, depth: int) -> str:
        left, rng = self.varying(depth), self.rng
        choices: list[Callable[[], str]] = [
            lambda: f"{left} {rng.choice(('<', '>', '<=', '>=', '==', '!='))} {self.atom(INT)}",
            lambda: f"{left} % {rng.randint(2, 4)} == {rng.randint(0, 1)}",
        ]
        if self.known[STR]:
            choices.append(lambda: f"{rng.choice(LETTERS)!r} in {rng.choice(self.known[STR])}")
        if self.known[LIST]:
            choices.append(lambda: f"{self.atom(INT)} in {rng.choice(self.known[LIST])}")
        return rng.choice(choices)()

    def _int(self, depth: int) -> str:
        rng, signs = self.rng, "+-" if self.looping else "+-*"
        forms: list[Callable[[], str]] = [
            lambda: f"({self.varying(depth)} {rng.choice(signs)} {self.expression(INT, depth)})",
            lambda: f"({self.varying(depth)} {rng.choice(('//', '%'))} {rng.randint(2, 5)})",
            lambda: f"{rng.choice(('max', 'min'))}({self.varying(depth)}, {rng.randint(2, 9)})",
            lambda: f"abs({self.varying(depth)} - {rng.randint(2, 9)})",
        ]
        if self.known[LIST]:
            forms += [
                lambda: f"{rng.choice(('sum', 'len', 'max', 'min'))}({self.atom(LIST)})",
                lambda: f"{self.atom(LIST)}[{rng.choice((0, 1, -1))}]",
                lambda: f"sum({self.expression(LIST, depth)})",
            ]
        if self.known[STR]:
            forms += [
                lambda: f"len({self.expression(STR, depth)})",
                lambda: f"{self.atom(STR)}.count({rng.choice(LETTERS)!r})",
                lambda: f"{self.atom(STR)}.find({rng.choice(LETTERS)!r})",
            ]
        return rng.choice(forms)()

    def _list(self, depth: int) -> str:
        rng, signs = self.rng, "+-" if self.looping else "+-*"
        forms: list[Callable[[], str]] = [
            lambda: f"sorted({self.expression(LIST, depth)})",
            lambda: f"{self.expression(LIST, depth)}{rng.choice(('[::-1]', '[1:]', '[:-1]', '[::2]', '[:2]'))}",
            lambda: f"({self.expression(LIST, depth)} + [{self.expression(INT, depth)}])",
            lambda: f"[x {rng.choice(signs)} {self.atom(INT)} for x in {self.expression(LIST, depth)}]",
            lambda: f"[x for x in {self.atom(LIST)} if x {rng.choice(('<', '>', '!='))} {self.atom(INT)}]",
            lambda: f"[x for x in {self.atom(LIST)} if x % 2 == {rng.randint(0, 1)}]",
            lambda: f"list(range({self.atom(INT)} % {rng.randint(3, 6)}))",
        ]
        if self.known[STR]:
            forms.append(lambda: f"[ord(c) - 97 for c in {self.atom(STR)}]")
        return rng.choice(forms)()

    def _str(self, depth: int) -> str:
        rng = self.rng
        forms: list[Callable[[], str]] = [lambda: f"str({self.expression(INT, depth)})"]
        if self.known[STR]:
            forms += [
                lambda: f"{self.expression(STR, depth)}{rng.choice(('[::-1]', '[1:]', '[:-1]', '[::2]', '[:3]'))}",
                lambda: f"{self.expression(STR, depth)}.upper()",
                lambda: f"{self.atom(STR)}.replace({rng.choice(LETTERS)!r}, {rng.choice(LETTERS)!r})",
                lambda: f"''.join(sorted({self.expression(STR, depth)}))",
                lambda: f"''.join([c for c in {self.atom(STR)} if c != {rng.choice(LETTERS)!r}])",
            ]
        if self.known[STR] and not self.looping:
            forms += [
                lambda: f"({self.expression(STR, depth)} + {self.atom(STR)})",
                lambda: f"({self.atom(STR)} * {rng.randint(2, 3)})",
            ]
        return rng.choice(forms)()
