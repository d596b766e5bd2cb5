"""The constructs of Python on which the interpreter of the default sandbox agreed with CPython on drawn calls.

Everything else counts as different (`curricula/sandbox_differences.py`). Also functions that read a syntax tree.
"""

from __future__ import annotations

import ast
import re


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


LAZY = words("zip map filter enumerate reversed")
PLAIN = words(
    "abs all any bin bool chr dict divmod float format hex int isinstance len list max min oct ord pow range repr round"
    " sorted str sum tuple type None True False ArithmeticError AssertionError AttributeError Exception IndexError"
    " KeyError LookupError OverflowError RuntimeError StopIteration TypeError ValueError ZeroDivisionError"
)
"""Builtins that agree; they may also be passed as values."""
SETS = words("set frozenset")
OUTSIDE = words("random time datetime os secrets uuid")
"""Modules whose results depend on more than the program. The default sandbox keeps them fixed."""
MATH = words("ceil comb e factorial fabs floor gcd inf isqrt lcm pi prod sqrt trunc")
METHODS = {
    **dict.fromkeys(words(
        "append capitalize casefold center clear copy count endswith extend find get index insert isalnum isalpha"
        " isascii isdecimal isdigit isidentifier islower isnumeric isprintable isspace istitle isupper items join keys"
        " ljust lower lstrip partition pop popitem remove removeprefix removesuffix replace reverse rfind rindex rjust"
        " rpartition rsplit rstrip setdefault sort split startswith strip swapcase title upper values zfill add"
        " expandtabs format fromkeys"
    ), (0, 9)),
    **dict.fromkeys(words("splitlines"), (0, 0)),
    **dict.fromkeys(words(
        "update union intersection difference symmetric_difference issubset issuperset isdisjoint discard"
    ), (1, 1)),
}  # fmt: skip
"""Methods that agree, with the least and the most positional arguments."""
KEYWORDS = {
    "sorted": "key reverse", "sort": "key reverse", "max": "key default", "min": "key default", "sum": "start",
    "enumerate": "start", "split": "sep maxsplit", "rsplit": "sep maxsplit", "zip": "strict", "int": "base",
}  # fmt: skip
EVERYTHING = words("dict")  # takes any keyword
FORMATTED = words("str join upper lower len int round abs")
"""Calls whose values have a format, whatever it is."""
NUMERIC = re.compile(r"[bcdeEfFgGoxX%,_]$")
"""Ends of formats that only numbers have."""
CONSUMERS = words("list tuple set frozenset dict sum min max sorted join extend update")
"""Calls that consume an iterator, given as the first argument, completely."""
SHORT = words("any all")
"""Calls that may stop early: lazy and eager evaluation agree on pure expressions that do not fail."""
MUTATORS = words("append clear extend insert pop popitem remove reverse setdefault sort add discard update")
SET_METHODS = words("union intersection difference symmetric_difference")
SET_USES = SET_METHODS | words("add discard remove update issubset issuperset isdisjoint copy clear")
SET_READERS = words("len sorted set frozenset bool any all max min")
"""Calls without `key` whose result does not depend on the order of a set."""
SET_OPERATORS = (ast.BitOr, ast.BitAnd, ast.Sub, ast.BitXor)
NODES = (
    ast.Module, ast.FunctionDef, ast.Lambda, ast.arguments, ast.arg, ast.Return, ast.Assign, ast.AugAssign,
    ast.AnnAssign, ast.For, ast.While, ast.If, ast.Expr, ast.Pass, ast.Break, ast.Continue, ast.Try, ast.ExceptHandler,
    ast.Raise, ast.Assert, ast.Nonlocal, ast.Match, ast.match_case, ast.MatchValue, ast.MatchSingleton,
    ast.MatchSequence, ast.MatchStar, ast.MatchAs, ast.MatchOr, ast.BoolOp, ast.NamedExpr, ast.BinOp, ast.UnaryOp,
    ast.IfExp, ast.Dict, ast.Set, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.comprehension,
    ast.Compare, ast.Call, ast.keyword, ast.FormattedValue, ast.JoinedStr, ast.Constant, ast.Attribute, ast.Subscript,
    ast.Slice, ast.Starred, ast.Name, ast.List, ast.Tuple, ast.expr_context, ast.boolop, ast.operator, ast.unaryop,
    ast.cmpop, ast.Import, ast.ImportFrom, ast.alias,
)  # fmt: skip


def called(node: ast.AST) -> str:
    """The name of the function or method that a call names, or an empty string."""
    func = node.func if isinstance(node, ast.Call) else None
    return func.id if isinstance(func, ast.Name) else func.attr if isinstance(func, ast.Attribute) else ""


def is_numeric(spec: ast.expr) -> bool:
    """Whether a format ends as only those of numbers do."""
    last = spec.values[-1] if isinstance(spec, ast.JoinedStr) and spec.values else spec
    return isinstance(last, ast.Constant) and isinstance(last.value, str) and bool(NUMERIC.search(last.value))


def changed_name(node: ast.AST) -> str | None:
    """The name at the root of what a node changes in place; an empty string if it has none; None if nothing."""
    target: ast.AST | None = None
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MUTATORS:
        target = node.func.value
    elif isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
        target = node.value
    elif (
        isinstance(node, ast.AugAssign)
        and isinstance(node.target, ast.Name)
        and isinstance(node.op, ast.Add | ast.Mult)
    ):
        target = node.target
    if target is None:
        return None
    while isinstance(target, ast.Subscript | ast.Attribute):
        target = target.value
    return target.id if isinstance(target, ast.Name) else ""


def direct_names(node: ast.AST) -> list[ast.Name]:
    """Names in an expression whose objects, or parts of them, can be its value."""
    if isinstance(node, ast.Name):
        return [node]
    if isinstance(node, ast.Constant | ast.BinOp | ast.Compare | ast.JoinedStr | ast.ListComp | ast.SetComp):
        return []
    return [name for child in ast.iter_child_nodes(node) for name in direct_names(child)]


def roots(target: ast.expr) -> set[str]:
    """Names that an assignment to a target binds, or whose objects it changes."""
    while isinstance(target, ast.Subscript | ast.Attribute | ast.Starred):
        target = target.value
    if isinstance(target, ast.Tuple | ast.List):
        return {name for each in target.elts for name in roots(each)}
    return {target.id} if isinstance(target, ast.Name) else set()
