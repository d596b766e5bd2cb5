"""Parse, write and compare plain data: the arguments and results of functions, and answers.

A value is None, a bool, int, float or str, or a list, tuple, dict or set of values. Text is parsed as a literal only:
names, calls, attributes, operators other than a sign, bytes and formatted strings are rejected. `set()` is the empty
set; `float('inf')`, `float('-inf')` and `float('nan')` are the floats without a literal.

Parsing is total: any text gives a value or a `Failure`. Comparison uses built-in types only, so that no foreign code
runs. Types matter: True is not 1, 1 is not 1.0 and a tuple is not a list. Floats may differ by `TOLERANCE` times the
larger one, or by `ABSOLUTE`, also in containers: members of sets and keys of dicts are paired so that all pairs agree.
"""

from __future__ import annotations

import ast
import math
import warnings
from dataclasses import dataclass
from typing import Any

MAX_TEXT = 1000
"""Maximum length of the text of a value, in characters."""
MAX_DEPTH = 8
"""Maximum nesting depth."""
MAX_PARTS = 300
"""Maximum number of values in a value, including itself and dict keys."""
MAX_BITS = 200
"""Maximum size of an integer, in bits."""
TOLERANCE = 1e-9
"""Relative tolerance in comparing floats."""
ABSOLUTE = 1e-12
"""Absolute tolerance in comparing floats, for the rounding errors of sums that are zero."""

Value = Any
"""None | bool | int | float | str | list | tuple | dict | set; checked by `unfit`, never by the type checker."""

_ATOMS = (type(None), bool, int, float, str)
_FLOATS = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}


@dataclass(frozen=True)
class Failure:
    """Why a text cannot be parsed."""

    reason: str
    detail: str = ""


class _NotData(Exception):
    """Internal: the text is not plain data."""


def parse_value(text: str) -> Value | Failure:
    """Parse a literal. Failure reasons: "too long", "not data"."""
    if len(text) > MAX_TEXT:
        return Failure("too long", f"a value of {len(text)} characters; the most is {MAX_TEXT}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about invalid escapes in strings
            value = _read(ast.parse(text.strip(), mode="eval").body, 0)
    except _NotData as error:
        return Failure("not data", str(error))
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return Failure("not data", f"not a Python literal: {shortened(text)}")
    wrong = unfit(value)
    return Failure("not data", wrong) if wrong else value


def unfit(value: object) -> str | None:
    """Why an object is not an acceptable value, by type or size; None if it is acceptable."""
    todo, parts, length = [(value, 0)], 0, 0
    while todo:
        found, depth = todo.pop()
        parts += 1
        if depth > MAX_DEPTH or parts > MAX_PARTS:
            return f"more than {MAX_PARTS} values, or deeper than {MAX_DEPTH}"
        if type(found) is dict:
            if len(found) > MAX_PARTS:
                return f"a dict of {len(found)} items"
            todo += [(part, depth + 1) for item in found.items() for part in item]
        elif type(found) in (list, tuple, set):
            if len(found) > MAX_PARTS:  # type: ignore[arg-type]
                return f"a {type(found).__name__} of {len(found)} values"  # type: ignore[arg-type]
            todo += [(part, depth + 1) for part in found]  # type: ignore[attr-defined]
        elif type(found) is str:
            length += len(found)
        elif type(found) is int and found.bit_length() > MAX_BITS:
            return f"an integer of {found.bit_length()} binary digits; the most is {MAX_BITS}"
        elif type(found) not in _ATOMS:
            return f"a value of type {type(found).__name__[:40]}"
        if length > MAX_TEXT:
            return f"strings of more than {MAX_TEXT} characters"
    shown = len(show_value(value))
    return f"a value of {shown} characters; the most is {MAX_TEXT}" if shown > MAX_TEXT else None


def show_value(value: Value) -> str:
    """Write a value as a Python literal. Members of sets are sorted by their texts. Dicts keep their order, because
    the result of a function may depend on it. The value must be acceptable to `unfit`."""
    if type(value) is list:
        return f"[{', '.join(map(show_value, value))}]"
    if type(value) is tuple:
        return f"({', '.join(map(show_value, value))}{',' if len(value) == 1 else ''})"
    if type(value) is dict:
        return f"{{{', '.join(f'{show_value(k)}: {show_value(v)}' for k, v in value.items())}}}"
    if type(value) is set:
        return f"{{{', '.join(sorted(map(show_value, value)))}}}" if value else "set()"
    if type(value) is float and not math.isfinite(value):
        return f"float('{value!r}')"
    return repr(value)


def same_value(left: Value, right: Value) -> bool:
    """Whether two acceptable values are equal in type and content. The order of dicts is ignored; nan equals nan."""
    if type(left) is not type(right):
        return False
    if type(left) is float:
        both_nan = left != left and right != right
        return both_nan or math.isclose(left, right, rel_tol=TOLERANCE, abs_tol=ABSOLUTE)
    if type(left) in (list, tuple):
        return len(left) == len(right) and all(map(same_value, left, right))
    if type(left) is dict:
        return _paired(list(left.items()), list(right.items()))
    if type(left) is set:
        return _paired(list(left), list(right))
    return bool(left == right)


def _paired(left: list[Value], right: list[Value]) -> bool:
    """Whether the members of two sets, or the items of two dicts, can be paired so that all pairs agree."""
    if len(left) != len(right):
        return False
    others = dict[str, list[Value]]()  # those with the same text are paired first: usually all
    for item in right:
        others.setdefault(show_value(item), []).append(item)
    rest = list[Value]()
    for item in left:
        same = others.get(show_value(item))
        if same:
            same.pop()
        else:
            rest.append(item)
    others_rest = [item for items in others.values() for item in items]
    return _matching(rest, others_rest) or (len(rest) < len(left) and _matching(left, right))


def _matching(left: list[Value], right: list[Value]) -> bool:
    """Whether each of `left` has its own equal in `right`: a perfect matching, by breadth-first augmenting paths."""
    equals = [[j for j, other in enumerate(right) if same_value(item, other)] for item in left]
    owner = dict[int, int]()  # the index in `left` of the owner of an index in `right`
    for start in range(len(left)):
        came_from, todo, end = dict[int, int](), [start], None
        while todo and end is None:
            i = todo.pop(0)
            for j in equals[i]:
                if j in came_from:
                    continue
                came_from[j] = i
                if j not in owner:
                    end = j
                    break
                todo.append(owner[j])
        if end is None:
            return False
        taken = {i: j for j, i in owner.items()}
        at: int | None = end
        while at is not None:
            i = came_from[at]
            owner[at], at = i, taken.get(i)
    return True


def shape(value: Value) -> str:
    """A text of the type of a value. Containers have the type of their first item; empty lists count as list[int]."""
    if type(value) in (list, set):
        return f"{type(value).__name__}[{shape(next(iter(value), 0))}]"
    if type(value) is tuple:
        return f"tuple[{', '.join(map(shape, value))}]"
    if type(value) is dict:
        key, part = next(iter(value.items()), ("", 0))
        return f"dict[{shape(key)}, {shape(part)}]"
    return "None" if value is None else type(value).__name__


def shortened(text: str, most: int = 60) -> str:
    """The first `most` characters of a text, quoted on one line, for messages."""
    return ascii(text[:most] + ("..." if len(text) > most else ""))


def _read(node: ast.expr, depth: int) -> Value:
    if depth > MAX_DEPTH:
        raise _NotData(f"values lie deeper than {MAX_DEPTH} in each other")
    if isinstance(node, ast.Constant) and type(node.value) in _ATOMS:
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        number = node.operand.value if isinstance(node.operand, ast.Constant) else None
        if type(number) in (int, float):
            return -number if isinstance(node.op, ast.USub) else number  # type: ignore[operator]
    if isinstance(node, ast.List):
        return [_read(part, depth + 1) for part in node.elts]
    if isinstance(node, ast.Tuple):
        return tuple(_read(part, depth + 1) for part in node.elts)
    if isinstance(node, ast.Set):
        return _distinct({_key(part, depth + 1) for part in node.elts}, len(node.elts))
    if isinstance(node, ast.Dict) and all(key is not None for key in node.keys):
        pairs = zip(node.keys, node.values, strict=True)
        return _distinct({_key(k, depth + 1): _read(v, depth + 1) for k, v in pairs if k}, len(node.keys))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        given = [part.value if isinstance(part, ast.Constant) else None for part in node.args]
        if node.func.id == "set" and not given:
            return set()
        if node.func.id == "float" and len(given) == 1 and type(given[0]) is str and given[0] in _FLOATS:
            return _FLOATS[given[0]]
    raise _NotData(f"only literals are data, found {type(node).__name__}")


def _key(node: ast.expr, depth: int) -> Value:
    value = _read(node, depth)
    try:
        {value}  # noqa: B018  test whether it is hashable
    except TypeError:
        raise _NotData(f"a {type(value).__name__} cannot be in a set or be a key") from None
    return value


def _distinct(found: Value, said: int) -> Value:
    """Reject a set or dict literal that repeats a member."""
    if len(found) < said:
        raise _NotData("a set or dict with the same member twice")
    return found
