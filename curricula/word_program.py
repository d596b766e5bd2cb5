"""Parse the program of a word problem: one function `answer` without arguments that returns the answer.

The text is parsed with `ast` and written back from its tree, without annotations and bare strings. Nothing is run
here. Parsing is total: any text gives a `Program` or a `Rejection` with one of `REASONS`. Imports of modules other than
math, classes, dunder names, private attributes and access to the environment are rejected. This keeps the reasons for
rejection clear; it is not a security measure, which is the sandbox's task.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from fractions import Fraction

from curricula.domain import Rejection, digest
from curricula.plain_numbers import numbers_in
from curricula.python_normalize import Normalizer, is_text, parse_source, walk

FUNCTION = "answer"
LONGEST = 1200
MOST_NODES = 300
DEEPEST = 30
REASONS = ("malformed", "syntax", "forbidden", "too long", "no computation")

_REFUSED = (ast.ClassDef, ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Await, ast.Global, ast.With)
_OUTSIDE = (
    "open input print eval exec compile globals locals vars dir breakpoint help exit quit id hash object type super "
    "getattr setattr delattr memoryview"
)
_NAMES = frozenset(_OUTSIDE.split())
_WORK = (ast.BinOp, ast.AugAssign, ast.Call)
_CHOICES = (ast.If, ast.IfExp, ast.Compare, ast.BoolOp)
_LOOPS = (ast.For, ast.While, ast.comprehension)


@dataclass(frozen=True)
class Program:
    """A parsed program. `text` is canonical. `constants` are the numbers in it, including those in strings. `shape` is
    equal for programs that differ only in names and constants."""

    text: str
    constants: tuple[Fraction, ...]
    shape: str
    operations: int
    steps: int  # statements
    loops: int


def read_program(text: str) -> Program | Rejection:
    """Parse a program; a Rejection says why the text is none."""
    if len(text) > LONGEST:
        return Rejection("too long", f"a program of {len(text)} characters; the most is {LONGEST}")
    tree = _parse(text)
    if isinstance(tree, Rejection):
        return tree
    wrong = _form_error(tree)
    if wrong is not None:
        return wrong
    tree = ast.fix_missing_locations(Normalizer().visit(tree))
    written = ast.unparse(tree)
    again = _parse(written)
    if isinstance(again, Rejection) or ast.unparse(again) != written or len(written) > LONGEST:
        return Rejection("malformed", "a program that cannot be written back as it was read")
    if not all(c == "\n" or c.isprintable() for c in written) or "---" in written.split("\n"):
        return Rejection("malformed", "a character in the program that cannot be shown")
    found = [node for node, _ in walk(tree)]
    operations = sum(isinstance(n, _WORK + _CHOICES + _LOOPS) for n in found)
    if operations == 0:
        return Rejection("no computation", "the program works nothing out")
    return Program(
        text=written,
        constants=_constants(found),
        shape=digest(ast.unparse(_Shape().visit(again))),
        operations=operations,
        steps=sum(isinstance(n, ast.stmt) for n in found) - 1,
        loops=sum(isinstance(n, _LOOPS) for n in found),
    )


def _parse(text: str) -> ast.Module | Rejection:
    tree = parse_source(text, lambda message: message[:60])
    if isinstance(tree, str):
        return Rejection("syntax", tree)
    for count, (_, depth) in enumerate(walk(tree), start=1):
        if count > MOST_NODES or depth > DEEPEST:
            return Rejection("too long", f"more than {MOST_NODES} parts, or nested deeper than {DEEPEST}")
    return tree


def _form_error(tree: ast.Module) -> Rejection | None:
    body = [node for node in tree.body if not is_text(node)]
    functions = [node for node in body if isinstance(node, ast.FunctionDef)]
    others = [node for node in body if not isinstance(node, ast.FunctionDef | ast.Import | ast.ImportFrom)]
    if others or [f.name for f in functions] != [FUNCTION]:
        return Rejection("malformed", f"expected one function, def {FUNCTION}(), and nothing beside it")
    given = functions[0].args
    if given.args or given.posonlyargs or given.kwonlyargs or given.vararg or given.kwarg:
        return Rejection("malformed", f"{FUNCTION} takes no arguments")
    if functions[0].decorator_list:
        return Rejection("forbidden", "a decorator")
    for node, _ in walk(tree):
        if isinstance(node, _REFUSED):
            return Rejection("forbidden", type(node).__name__)
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = [node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            if modules != ["math"]:
                return Rejection("forbidden", "an import of anything but math")
        for name in _names_of(node):
            if name.startswith("__") or (isinstance(node, ast.Attribute) and name.startswith("_")):
                return Rejection("forbidden", f"the name {name[:40]}")
            if isinstance(node, ast.Name) and name in _NAMES:
                return Rejection("forbidden", f"the name {name}")
        if isinstance(node, ast.Constant) and isinstance(node.value, complex | bytes):
            return Rejection("forbidden", f"a value of type {type(node.value).__name__}")
    return None


def _names_of(node: ast.AST) -> list[str]:
    found = [getattr(node, field, None) for field in ("id", "attr", "arg", "name")]
    return [name for name in found if isinstance(name, str)]


def _constants(found: list[ast.AST]) -> tuple[Fraction, ...]:
    """Every number in a program, in source order, with the exact value of its decimal text. May repeat values."""
    values = list[Fraction]()
    for node in found:
        if not isinstance(node, ast.Constant):
            continue
        value = node.value
        if isinstance(value, str):
            values += numbers_in(value)
        elif isinstance(value, float) and abs(value) < 1e18:
            values.append(Fraction(repr(value)))
        elif type(value) is int:
            values.append(Fraction(value))
    return tuple(values)


class _Shape(ast.NodeTransformer):
    """Renames assigned names in order of use; replaces every number by 0 and every string by an empty one."""

    def __init__(self) -> None:
        self.names = dict[str, str]()

    def visit_Name(self, node: ast.Name) -> ast.Name:
        if isinstance(node.ctx, ast.Store) or node.id in self.names:
            node.id = self.names.setdefault(node.id, f"v{len(self.names)}")
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        return ast.Constant("" if isinstance(node.value, str) else 0)
