"""Recognise code on which the interpreter of the default sandbox can differ from Python.

`inspect` parses code and names the first construct that is not on the lists of `curricula/sandbox_constructs.py`. They
hold what was compared with CPython on drawn calls (`python -m arena.tools.bench.agreement`); the rest counts as
different. The main differences of pydantic-monty 1.4: `zip`, `map`, `filter`, `enumerate`, `reversed` and generator
expressions are lists, X
An iterator is accepted where it is consumed at once and completely, or pure. A set is accepted where its order does not
show. Not guaranteed: equal results near a limit on time, memory or recursion.
"""

from __future__ import annotations

import ast
import functools
import itertools
import re
import string
import symtable
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from curricula.python_normalize import parse_source
from curricula.sandbox import CallResult
from curricula.sandbox_constructs import (
    CONSUMERS,
    EVERYTHING,
    FORMATTED,
    KEYWORDS,
    LAZY,
    MATH,
    METHODS,
    NODES,
    NUMERIC,
    OUTSIDE,
    PLAIN,
    SET_METHODS,
    SET_OPERATORS,
    SET_READERS,
    SET_USES,
    SETS,
    SHORT,
    called,
    changed_name,
    direct_names,
    is_numeric,
    roots,
    words,
)

LARGEST = 2**62
UNSURE = re.compile(r"unhashable type|too large to convert")
ADDED = "can only concatenate list"
"""Messages of errors that Python may not raise; the second in code with `+=`."""
MOST_PARTS = 10**6
"""Parts of an argument that are looked at; larger arguments are refused by the sandbox."""


@dataclass(frozen=True)
class Differences:
    """What was found in code.

    `always` names a construct that can differ; `with_floats` one that differs only if an argument holds a float. Empty:
    none. `lazy`: an expression is evaluated earlier than in Python, so failures may be too many. `adds`: it contains
    `+=`. `left`: it uses modules whose results the default sandbox keeps fixed, and is not to be run elsewhere.
    """

    always: str = ""
    with_floats: str = ""
    lazy: bool = False
    adds: bool = False
    left: bool = False

    def in_call(self, args: tuple[Any, ...]) -> str:
        """The construct that can differ in a call with these arguments (plain data), or an empty string."""
        if self.left or self.always:
            return "" if self.left else self.always
        for value in itertools.islice(_flat(args), MOST_PARTS):
            if type(value) in (set, frozenset):
                return "a set as argument"
            if type(value) is float and self.with_floats:
                return self.with_floats
            if type(value) is str and not value.isascii():
                return "text beyond ASCII"
            if type(value) is int and not -LARGEST < value < LARGEST:
                return "integers of more than 62 bits as arguments"
        return ""

    def in_result(self, ran: CallResult) -> str:
        """Why Python may give another result than this one of the default sandbox, or an empty string."""
        if ran.ok or self.left:
            return ""
        if ran.reason == "unsupported":
            return ran.detail
        if ran.reason in ("raised", "time", "memory", "recursion") and self.lazy:
            return "an iterator that is not consumed completely"
        unsure = UNSURE.search(ran.detail) or (self.adds and ADDED in ran.detail)
        return ran.detail if ran.reason == "raised" and unsure else ""


def _flat(value: Any) -> Iterator[Any]:
    """Every part of plain data."""
    todo = [value]
    while todo:
        value = todo.pop()
        yield value
        if type(value) in (list, tuple, set, frozenset):
            todo += value
        elif type(value) is dict:
            todo += [*value, *value.values()]


@functools.lru_cache(4096)
def inspect(code: str) -> Differences:
    """Find what can differ in the source of a module. Total: code that does not parse has no differences."""
    tree = parse_source(code, str)
    if not isinstance(tree, ast.Module):
        return Differences()
    try:
        found = _Inspection(tree).result()
        if not found.always:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                symtable.symtable(code, "<program>", "exec")
    except SyntaxError as error:
        return Differences(f"syntax that Python refuses: {error.msg}")
    except RecursionError:
        return Differences("code nested this deep")
    return found


class _Inspection:
    def __init__(self, tree: ast.Module) -> None:
        self.nodes = list(ast.walk(tree))
        self.parents = {child: node for node in self.nodes for child in ast.iter_child_nodes(node)}
        self.imported = {a.name.partition(".")[0] for n in self.of(ast.Import) for a in n.names}
        self.imported |= {(n.module or "").partition(".")[0] for n in self.of(ast.ImportFrom)}
        self.functions = {n.name for n in self.of(ast.FunctionDef)}
        self.bound = {n.id for n in self.of(ast.Name) if not isinstance(n.ctx, ast.Load)}
        self.bound |= self.functions | {n.arg for n in self.of(ast.arg)}
        self.bound |= {n.name for n in self.of(ast.ExceptHandler, ast.MatchAs, ast.MatchStar) if n.name}
        self.from_math = {a.asname or a.name for n in self.of(ast.ImportFrom) if n.module == "math" for a in n.names}
        self.assigned = list(self._assignments())
        self.lazy = False
        self.sets = self._set_names()

    def of(self, *kinds: type[Any]) -> list[Any]:
        return [node for node in self.nodes if isinstance(node, kinds)]

    def result(self) -> Differences:
        if self.imported & OUTSIDE:
            return Differences(left=True)
        rounds = next((found for n in self.of(ast.Name) if (found := self._floats(n))), "")
        always = next((found for node in self.nodes if (found := self.check(node))), "")
        if not always and rounds and self._makes_floats():
            always = rounds
        adds = any(isinstance(n.op, ast.Add) for n in self.of(ast.AugAssign))
        return Differences(always, rounds, self.lazy, adds)

    def _assignments(self) -> Iterator[tuple[ast.expr, ast.expr]]:
        """Pairs of a target and its value; tuples of equal length are taken apart."""
        for node in self.of(ast.Assign, ast.AnnAssign, ast.AugAssign, ast.NamedExpr):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                if node.value is None:
                    continue
                parts = [n.elts for n in (target, node.value) if isinstance(n, ast.Tuple)]
                if len(parts) == 2 and len(parts[0]) == len(parts[1]):
                    yield from zip(*parts, strict=True)
                else:
                    yield target, node.value

    # -- one node ------------------------------------------------------------------------------------------------------

    def check(self, node: ast.AST) -> str:
        """The construct at this node that can differ, or an empty string."""
        if not isinstance(node, NODES):
            return type(node).__name__
        if isinstance(node, ast.Constant) and (
            type(node.value) not in (int, float, bool, str, type(None))
            or (isinstance(node.value, str) and not node.value.isascii())
        ):
            return "text beyond ASCII" if isinstance(node.value, str) else f"a constant of {type(node.value).__name__}"
        special = getattr(self, f"_check_{type(node).__name__.lower()}", None)
        found: str = special(node) if special else ""
        if not found and isinstance(node, ast.expr):
            found = self._check_iterator(node) or self._check_set(node) or self._check_view(node)
        return found

    def _check_import(self, node: ast.Import) -> str:
        return next((f"import {a.name}" for a in node.names if a.name != "math" or a.asname), "")

    def _check_importfrom(self, node: ast.ImportFrom) -> str:
        return next((f"{node.module}.{a.name}" for a in node.names if node.module != "math" or a.name not in MATH), "")

    def _check_name(self, node: ast.Name) -> str:
        known = PLAIN | LAZY | SETS
        if not isinstance(node.ctx, ast.Load):
            return f"another meaning of {node.id}" if node.id in known else ""
        if node.id == "format" and getattr(self.parents[node], "func", None) is not node:
            return "format as a value"
        if node.id in self.bound or node.id in PLAIN or node.id in self.from_math:
            return ""
        if node.id == "math" and "math" in self.imported:
            return "" if isinstance(self.parents[node], ast.Attribute) else "math"
        parent = self.parents[node]
        is_called = isinstance(parent, ast.Call) and parent.func is node
        tested = node.id in SETS and any(
            isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id == "isinstance"
            for n in (parent, self.parents.get(parent))
        )
        return "" if node.id in known and (is_called or tested) else node.id

    def _check_functiondef(self, node: ast.FunctionDef) -> str:
        if node.decorator_list:
            return "a decorator"
        return f"another meaning of {node.name}" if node.name in PLAIN | LAZY | SETS else ""

    def _check_arg(self, node: ast.arg) -> str:
        return f"another meaning of {node.arg}" if node.arg in PLAIN | LAZY | SETS else ""

    def _check_attribute(self, node: ast.Attribute) -> str:
        if isinstance(node.value, ast.Name) and node.value.id == "math" and "math" in self.imported:
            return "" if node.attr in MATH else f"math.{node.attr}"
        parent = self.parents[node]
        if node.attr not in METHODS or not isinstance(parent, ast.Call) or parent.func is not node:
            return f".{node.attr}"
        least, most = METHODS[node.attr]
        starred = any(isinstance(a, ast.Starred) for a in parent.args) and most < 9
        return (
            f".{node.attr} with {len(parent.args)} arguments"
            if starred or not least <= len(parent.args) <= most
            else ""
        )

    def _check_call(self, node: ast.Call) -> str:
        name = called(node)
        if name == "format":
            return self._check_format(node)
        if name in self.functions or not name or name in EVERYTHING:
            return ""
        allowed = KEYWORDS.get(name, "").split()
        if isinstance(node.func, ast.Name) and node.func.id in self.bound:
            return ""
        return next((f"{name} with {k.arg or '**'}" for k in node.keywords if k.arg not in allowed), "")

    def _check_keyword(self, node: ast.keyword) -> str:
        odd = node.arg == "reverse" and not (
            isinstance(node.value, ast.Constant) and isinstance(node.value.value, bool)
        )
        return "reverse by a value" if odd else ""

    def _check_formattedvalue(self, node: ast.FormattedValue) -> str:
        """Containers take no format in Python; formats of numbers raise in both."""
        if node.format_spec is None or node.conversion != -1 or called(node.value) in FORMATTED:
            return ""
        return "" if is_numeric(node.format_spec) else "a format of a value of any type"

    def _check_format(self, node: ast.Call) -> str:
        """`format(value, spec)` and `text.format(...)`, as in `_check_formattedvalue`."""
        if isinstance(node.func, ast.Name):
            return "" if len(node.args) == 2 and is_numeric(node.args[1]) else "a format of a value of any type"
        text = node.func.value if isinstance(node.func, ast.Attribute) else None
        if not isinstance(text, ast.Constant) or not isinstance(text.value, str):
            return ".format of a computed text"
        try:
            parts = list(string.Formatter().parse(text.value))
        except ValueError:
            return ""
        odd = any(spec and not conversion and not NUMERIC.search(spec) for _, _, spec, conversion in parts)
        return "a format of a value of any type" if odd else ""

    def _check_compare(self, node: ast.Compare) -> str:
        for operator, left, right in zip(node.ops, [node.left, *node.comparators], node.comparators, strict=False):
            if isinstance(operator, ast.Is | ast.IsNot) and not any(
                (isinstance(side, ast.Constant) and not isinstance(side.value, int | float | str))
                or (isinstance(side, ast.Constant) and isinstance(side.value, bool))
                or (isinstance(side, ast.Call) and called(side) == "type")
                for side in (left, right)
            ):
                return "is"
        return ""

    def _check_excepthandler(self, node: ast.ExceptHandler) -> str:
        read = {n.id for n in self.of(ast.Name) if isinstance(n.ctx, ast.Load)}
        return "the text of an error" if node.name in read else ""

    def _check_try(self, node: ast.Try) -> str:
        return "a bare except that is not the last" if any(h.type is None for h in node.handlers[:-1]) else ""

    def _check_augassign(self, node: ast.AugAssign) -> str:
        """`xs += ys` takes lists only; the error tells, unless the program catches it."""
        numbers = isinstance(node.value, ast.Constant) and not isinstance(node.value.value, str)
        plain = numbers or isinstance(node.value, ast.List | ast.ListComp | ast.Compare)
        caught = isinstance(node.op, ast.Add) and not plain and self.of(ast.Try)
        return "+= in a program that catches errors" if caught else ""

    def _floats(self, node: ast.Name) -> str:
        """A use of a builtin whose result can differ for floats."""
        if node.id == "sum":
            return "sum of floats" if sys.version_info >= (3, 12) else ""
        call = self.parents[node]
        if node.id != "round":
            return ""
        args = call.args if isinstance(call, ast.Call) and call.func is node and not call.keywords else []
        return "" if len(args) == 1 and not isinstance(args[0], ast.Starred) else "round to decimals"

    def _makes_floats(self) -> bool:
        return bool(
            self.imported
            or any(type(n.value) is float for n in self.of(ast.Constant))
            or any(isinstance(n.op, ast.Div) for n in self.of(ast.BinOp, ast.AugAssign))
            or any(n.id == "float" for n in self.of(ast.Name))
            or any(
                isinstance(n.op, ast.Pow) and not (isinstance(n.right, ast.Constant) and type(n.right.value) is int)
                for n in self.of(ast.BinOp)
            )
            or any(called(n) == "pow" for n in self.of(ast.Call))
        )

    # -- iterators -----------------------------------------------------------------------------------------------------

    def _is_iterator(self, node: ast.AST) -> bool:
        return isinstance(node, ast.GeneratorExp) or (
            isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in LAZY
        )

    def _check_iterator(self, node: ast.expr) -> str:
        if not self._is_iterator(node):
            return ""
        what = "a generator" if isinstance(node, ast.GeneratorExp) else called(node)
        parent = self.parents[node]
        if isinstance(parent, ast.Starred):
            return "" if isinstance(self.parents[parent], ast.Call | ast.List | ast.Tuple) else f"{what}, starred"
        if isinstance(parent, ast.Assign):
            return "" if all(isinstance(t, ast.Tuple | ast.List) for t in parent.targets) else f"{what} as a value"
        if isinstance(parent, ast.For):
            return self._check_loop(node, parent.body, what)
        if isinstance(parent, ast.comprehension):
            return self._check_loop(node, [self.parents[parent]], what)
        if not isinstance(parent, ast.Call) or node is parent.func:
            return f"{what} as a value"
        by = called(parent)
        if by in self.bound or by == "reversed" or (by in CONSUMERS and parent.args[:1] != [node]):
            return f"{what} as a value"
        if by in CONSUMERS:
            return ""
        if by in SHORT or (by in LAZY and node in parent.args):
            return self._check_early(node, what)
        return f"{what} as a value"

    def _check_early(self, node: ast.expr, what: str) -> str:
        """An iterator that Python may leave before its end: the rest must not change anything or fail unnoticed."""
        if self._has_effects([node]):
            return f"{what} with effects"
        if any(isinstance(n, ast.GeneratorExp) or called(n) in ("map", "filter") for n in ast.walk(node)):
            self.lazy = True
            return f"{what} in a program that catches errors" if self.of(ast.Try) else ""
        return ""

    def _check_loop(self, node: ast.expr, body: list[Any], what: str) -> str:
        """A loop over an iterator that is evaluated before the loop: the body must not change what it reads."""
        inside = [n for part in body for n in ast.walk(part)]
        calls = {n.func.id for n in inside if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
        source = [n for n in ast.walk(node) if isinstance(n, ast.Name)]
        early = self._check_early(node, what)
        if early:
            return early
        computed = any(isinstance(n, ast.Call) and not called(n) for n in inside)
        if computed and any(changed_name(n) is not None for n in self.nodes):
            return f"{what}, and a function that may change it"
        if calls & self.bound and any(True for n in self.nodes if changed_name(n) is not None and n not in inside):
            return f"{what}, and a function that may change it"
        read = self._aliases({n.id for n in source})
        changed = {name for n in inside if (name := changed_name(n)) is not None}
        return f"{what}, changed while it is read" if changed & read else ""

    def _has_effects(self, parts: list[ast.expr]) -> bool:
        """Whether evaluating an iterator changes something, or calls a function that may."""
        inside = [n for part in parts for n in ast.walk(part)]
        changes = any(changed_name(n) is not None for n in self.nodes)
        return any(
            isinstance(n, ast.NamedExpr)
            or changed_name(n) is not None
            or (isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load) and n.id in self.functions and changes)
            for n in inside
        )

    def _aliases(self, names: set[str]) -> set[str]:
        """Names that may refer to the same objects as one of `names`, or to their parts."""
        links = [(roots(t), {n.id for n in direct_names(v)}) for t, v in self.assigned]
        for loop in self.of(ast.For, ast.comprehension):
            target = loop.target
            if called(loop.iter) == "enumerate" and isinstance(target, ast.Tuple):
                target = ast.Tuple(target.elts[1:], ast.Store())  # the first is an integer
            links.append((roots(target), {n.id for n in direct_names(loop.iter)}))
        found = set(names)
        for _ in links:
            before = len(found)
            for one, two in links:
                if (one | two) & found and one and two:
                    found |= one | two
            if len(found) == before:
                break
        return found

    # -- sets ----------------------------------------------------------------------------------------------------------

    def _set_names(self) -> set[str]:
        self.sets = set[str]()
        while True:
            found = {t.id for t, v in self.assigned if isinstance(t, ast.Name) and self._is_set(v)}
            if found <= self.sets:
                return self.sets
            self.sets |= found

    def _is_set(self, node: ast.AST) -> bool:
        if isinstance(node, ast.Set | ast.SetComp):
            return True
        if isinstance(node, ast.Name):
            return node.id in self.sets
        if isinstance(node, ast.BinOp):
            views = any(isinstance(s, ast.Call) and called(s) in ("keys", "items") for s in (node.left, node.right))
            return isinstance(node.op, SET_OPERATORS) and (views or self._is_set(node.left) or self._is_set(node.right))
        if not isinstance(node, ast.Call):
            return False
        if isinstance(node.func, ast.Name):
            return node.func.id in SETS
        return isinstance(node.func, ast.Attribute) and (
            node.func.attr in SET_METHODS or (node.func.attr == "copy" and self._is_set(node.func.value))
        )

    def _check_set(self, node: ast.expr) -> str:
        if not self._is_set(node) or (isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)):
            return ""
        parent = self.parents[node]
        if isinstance(parent, ast.Tuple) and any(v is node and isinstance(t, ast.Name) for t, v in self.assigned):
            return ""
        fine = (
            isinstance(parent, ast.Compare | ast.Expr)
            or (isinstance(parent, ast.UnaryOp) and isinstance(parent.op, ast.Not))
            or (isinstance(parent, ast.If | ast.While | ast.IfExp) and parent.test is node)
            or (isinstance(parent, ast.BinOp) and isinstance(parent.op, SET_OPERATORS))
            or (isinstance(parent, ast.AugAssign) and isinstance(parent.op, SET_OPERATORS))
            or (isinstance(parent, ast.Assign) and all(isinstance(t, ast.Name) for t in parent.targets))
            or (isinstance(parent, ast.AnnAssign | ast.NamedExpr) and isinstance(parent.target, ast.Name))
            or (isinstance(parent, ast.Return) and self._returned(parent))
            or (isinstance(parent, ast.Attribute) and parent.attr in SET_USES)
            or (isinstance(parent, ast.comprehension) and parent.iter is node and self._unordered(self.parents[parent]))
            or (isinstance(parent, ast.Call) and self._reads_set(parent, node))
        )
        return "" if fine else "the order of a set"

    def _check_view(self, node: ast.expr) -> str:
        """Keys and items of a dict act as sets; they are accepted where they are read at once."""
        if called(node) not in ("keys", "items") or not isinstance(node, ast.Call) or isinstance(node.func, ast.Name):
            return ""
        parent = self.parents[node]
        builtin = (
            isinstance(parent, ast.Call) and isinstance(parent.func, ast.Name) and parent.func.id not in self.bound
        )
        fine = isinstance(parent, ast.For | ast.comprehension | ast.Compare | ast.BinOp | ast.Starred) or builtin
        return "" if fine else "a view of a dict as a value"

    def _returned(self, node: ast.AST) -> bool:
        """Whether a return belongs to f, and the code does not call f itself."""
        while not isinstance(node, ast.FunctionDef | ast.Lambda):
            node = self.parents[node]
        calls = {n.id for n in self.of(ast.Name) if isinstance(n.ctx, ast.Load)}
        return isinstance(node, ast.FunctionDef) and node.name not in calls

    def _unordered(self, node: ast.AST) -> bool:
        """Whether the result of a comprehension over a set does not depend on its order."""
        parent = self.parents[node]
        return isinstance(node, ast.SetComp) or (
            isinstance(node, ast.GeneratorExp | ast.ListComp)
            and isinstance(parent, ast.Call)
            and self._reads_set(parent, node)
            and not self._has_effects([node])
        )

    def _reads_set(self, call: ast.Call, node: ast.AST) -> bool:
        if node is call.func or node not in call.args:
            return False
        if isinstance(call.func, ast.Attribute):
            return call.func.attr in SET_METHODS | words("issubset issuperset isdisjoint") or (
                call.func.attr == "update" and self._is_set(call.func.value)
            )
        name = called(call)
        if name == "isinstance":
            return call.args[0] is node
        if name == "sum":
            return not self._makes_floats()
        return name in SET_READERS and not call.keywords and len(call.args) == 1 and name not in self.bound
