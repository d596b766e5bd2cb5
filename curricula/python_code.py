"""Parse, normalise and measure Python functions given as text. Nothing is run here.

A program is one or more functions, one of them named f. It is parsed with `ast` and written back from its tree, so that
layout, comments, docstrings and annotations make no difference; `key` also ignores the names of variables. Imports,
classes, dunder names, private attributes and functions with access to the environment are rejected. This keeps programs
comparable and the reasons for rejection clear; it is not a security measure, which is the sandbox's task.

Parsing is total: any text gives a `Code` or a `Failure` with one of `REASONS`.
Not guaranteed: that code runs, terminates or is deterministic; that programs with different keys behave differently.
"""

from __future__ import annotations

import ast
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from curricula.domain import digest
from curricula.python_normalize import Normalizer, is_text, parse_source, walk
from curricula.values import Failure, shortened

MAX_CODE = 1200
"""Maximum length of code in characters, both as given and after normalisation."""
MAX_NODES = 400
MAX_TREE_DEPTH = 40
MAX_PARAMS = 4
FUNCTION = "f"
REASONS = ("malformed", "syntax", "forbidden", "too long", "trivial")
LEVELS = (2, 5, 9, 14, 20)
"""Maximum effort of levels 1 to 5; anything above is level 6."""

_STATEMENTS: tuple[type[ast.AST], ...] = (
    ast.Import, ast.ImportFrom, ast.ClassDef, ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Await, ast.Global,
    ast.With,
)  # fmt: skip
_NAMES = frozenset((
    "open", "input", "print", "eval", "exec", "compile", "globals", "locals", "vars", "dir", "breakpoint", "help",
    "exit", "quit", "id", "hash", "super", "getattr", "setattr", "delattr", "memoryview",
))  # fmt: skip
_WORK = (ast.BinOp, ast.AugAssign, ast.Call, ast.Subscript)
_BRANCHES = (ast.If, ast.IfExp, ast.ExceptHandler, ast.Match, ast.Assert)
_EFFORT = (*_WORK, *_BRANCHES, ast.For, ast.While, ast.comprehension, ast.BoolOp, ast.Compare, ast.UnaryOp)
_LOOPS = (ast.For, ast.While, ast.comprehension)
_BLOCKS = (ast.If, ast.For, ast.While, ast.Try, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass(frozen=True)
class Code:
    """One or more functions, one of them named f. `text` is canonical: parsing it again gives an equal object."""

    text: str
    params: int  # arguments that f takes, 1 to MAX_PARAMS

    @cached_property
    def key(self) -> str:
        """Digest of the text with its own names numbered; equal for programs that differ only in names."""
        tree = ast.parse(self.text)
        return digest(ast.unparse(_Renamed(tree).visit(tree)))

    @cached_property
    def features(self) -> dict[str, int]:
        """Counts of syntax elements, by name (see `count_features`)."""
        return count_features(ast.parse(self.text))

    @property
    def level(self) -> int:
        """Difficulty, 1 to 6, computed from operations, branches and loops in the text."""
        return level_of(self.features)


@lru_cache(4096)
def parse_code(text: str) -> Code | Failure:
    """Parse a text as code; a Failure says why it is rejected."""
    if len(text) > MAX_CODE:
        return Failure("too long", f"code of {len(text)} characters; the most is {MAX_CODE}")
    tree = parse_source(text, shortened)
    if isinstance(tree, str):
        return Failure("syntax", tree)
    found = _bounded_nodes(tree)
    if found is None:
        return Failure("too long", f"more than {MAX_NODES} parts, or nested deeper than {MAX_TREE_DEPTH}")
    wrong = _form_error(tree, found)
    if wrong is not None:
        return wrong
    if any(is_text(node) or _is_annotated(node) for node in found):
        tree = ast.fix_missing_locations(Normalizer().visit(tree))
    written = ast.unparse(tree)
    if len(written) > MAX_CODE:
        return Failure("too long", f"code of {len(written)} characters as Python writes it; the most is {MAX_CODE}")
    if not _is_plain(written) or (any(isinstance(n, ast.JoinedStr) for n in found) and not _is_stable(written)):
        return Failure("malformed", "a string that cannot be written on one line in plain characters")
    if not any(isinstance(node, _EFFORT) for node in found):
        return Failure("trivial", "no operation at all")
    main = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == FUNCTION)
    used = {node.id for node in ast.walk(main) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    params = [arg.arg for arg in main.args.args]
    if not used.intersection(params):
        return Failure("trivial", "f does not use what it is given")
    return Code(written, len(params))


def level_of(features: dict[str, int]) -> int:
    """The level, 1 to 6, of code with these features."""
    return 1 + sum(features["effort"] > most for most in LEVELS)


def nodes(tree: ast.AST) -> list[ast.AST]:
    """Every node, in source order."""
    return [node for node, _ in walk(tree)]


def _bounded_nodes(tree: ast.AST) -> list[ast.AST] | None:
    """Every node in breadth-first order; None if there are too many or they are nested too deep."""
    found = row = [tree]
    for _ in range(MAX_TREE_DEPTH):
        row = [child for node in row for child in ast.iter_child_nodes(node)]
        if not row:
            return found
        found = found + row
        if len(found) > MAX_NODES:
            return None
    return None


def _form_error(tree: ast.Module, found: Sequence[ast.AST]) -> Failure | None:
    """The first violation of the required form, or None."""
    body = [node for node in tree.body if not is_text(node)]
    for node in found:
        if isinstance(node, _STATEMENTS):
            return Failure("forbidden", f"{type(node).__name__} in line {getattr(node, 'lineno', '?')}")
        name = _name_of(node)
        if name.startswith("__") or (isinstance(node, ast.Attribute) and name.startswith("_")):
            return Failure("forbidden", f"the name {shortened(name)}")
        if isinstance(node, ast.Name) and name in _NAMES:
            return Failure("forbidden", f"the name {shortened(name)}")
    for node in body:
        if not isinstance(node, ast.FunctionDef):
            return Failure("malformed", f"only functions are taken, found {type(node).__name__} in line {node.lineno}")
        if node.decorator_list:
            return Failure("forbidden", f"a decorator in line {node.lineno}")
    names = [node.name for node in body if isinstance(node, ast.FunctionDef)]
    if names.count(FUNCTION) != 1 or len(set(names)) < len(names):
        return Failure("malformed", f"expected one function named {FUNCTION}, found {shortened(', '.join(names))}")
    given = next(node.args for node in body if isinstance(node, ast.FunctionDef) and node.name == FUNCTION)
    if given.posonlyargs or given.vararg or given.kwonlyargs or given.kwarg or given.defaults:
        return Failure("malformed", "f takes plain arguments, without stars or defaults")
    if not 1 <= len(given.args) <= MAX_PARAMS:
        return Failure("malformed", f"f takes 1 to {MAX_PARAMS} arguments, found {len(given.args)}")
    return None


def _name_of(node: ast.AST) -> str:
    """The name that a node refers to, or an empty string."""
    for field in ("id", "attr", "arg", "name"):
        name = getattr(node, field, None)
        if isinstance(name, str):
            return name
    return ""


def _is_annotated(node: ast.AST) -> bool:
    return isinstance(node, ast.AnnAssign) or bool(getattr(node, "annotation", None) or getattr(node, "returns", None))


def _is_plain(text: str) -> bool:
    """Whether every line belongs to a function and has no control characters or surrogates."""
    return all(not line or line.startswith((" ", "def ")) for line in text.split("\n")) and not any(
        c != "\n" and unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in text
    )


def _is_stable(text: str) -> bool:
    """Whether code is written the same once it was read again; with formatted strings it may not be."""
    tree = parse_source(text, shortened)
    return isinstance(tree, ast.Module) and ast.unparse(tree) == text


class _Renamed(ast.NodeTransformer):
    """Renames the names that the code binds to v0, v1, ... in order of appearance; f keeps its name."""

    def __init__(self, tree: ast.Module) -> None:
        bound = set[str]()
        order = list[str]()
        for node in nodes(tree):
            name = _name_of(node)
            if isinstance(node, ast.arg | ast.FunctionDef | ast.ExceptHandler | ast.MatchAs | ast.MatchStar) or (
                isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
            ):
                bound.add(name)
            if name and not isinstance(node, ast.Attribute | ast.keyword):
                order.append(name)
        own = [name for name in dict.fromkeys(order) if name in bound and name != FUNCTION]
        self.names = {name: f"v{i}" for i, name in enumerate(own)}

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        for field in ("id", "arg", "name"):
            name = getattr(node, field, None)
            if isinstance(name, str) and not isinstance(node, ast.keyword):
                setattr(node, field, self.names.get(name, name))
        return node


def count_features(tree: ast.Module) -> dict[str, int]:
    """Count syntax elements, by name; "effort" is the weighted sum that determines the level."""
    found = nodes(tree)

    def of(*kinds: type[ast.AST]) -> list[Any]:
        return [node for node in found if isinstance(node, kinds)]

    choices = len(of(*_BRANCHES)) + sum(len(node.ifs) for node in of(ast.comprehension))
    joined = sum(len(node.values) - 1 for node in of(ast.BoolOp))
    negated = sum(not isinstance(node.operand, ast.Constant) for node in of(ast.UnaryOp))
    work = len(of(*_WORK)) + sum(len(node.ops) for node in of(ast.Compare)) + joined + negated
    loops, nesting, functions = len(of(*_LOOPS)), _nesting(tree), of(ast.FunctionDef)
    called = [node.func for node in of(ast.Call)]
    names = {node.id for node in called if isinstance(node, ast.Name)} - {node.name for node in functions}
    return {
        "nodes": len(found),
        "statements": len(of(ast.stmt)) - len(functions),
        "functions": len(functions) + len(of(ast.Lambda)),
        "work": work,
        "branches": choices,
        "loops": loops,
        "nesting": nesting,
        "cyclomatic": 1 + choices + loops + joined,
        "operators": len({type(node) for node in of(ast.operator, ast.unaryop, ast.cmpop)}),
        "builtins": len(names | {node.attr for node in called if isinstance(node, ast.Attribute)}),
        "constants": len(of(ast.Constant)),
        "effort": work + 2 * choices + 3 * loops + 2 * max(0, nesting - 1),
    }


def _nesting(tree: ast.AST) -> int:
    """Maximum nesting depth of blocks and comprehensions. An elif has the depth of its if."""
    deepest, todo = 0, [(tree, 0)]
    while todo:
        node, depth = todo.pop()
        depth += isinstance(node, _BLOCKS)
        deepest = max(deepest, depth)
        for child in ast.iter_child_nodes(node):
            chained = isinstance(node, ast.If) and isinstance(child, ast.If) and node.orelse == [child]
            todo.append((child, depth - chained))
    return deepest
