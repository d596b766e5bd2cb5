"""YAML from untrusted sources as plain data: no tags that construct objects, and bounded size.

An alias of a few characters can stand for a whole tree, so that ten lines expand to more data than memory holds.
Therefore the number of values is counted before they are constructed. A mapping that holds a key twice is an error.
Without quotes, `12:30`, `2026-01-01` and `007` are text, not numbers or dates as in YAML 1.1.

Left out: everything that `yaml.SafeLoader` leaves out.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

LONGEST = 1_000_000
"""Maximum number of characters of a text."""
DEEPEST = 200
"""Maximum depth of nesting."""
MOST = 100_000
"""Maximum number of values, where each use of an alias counts."""


class LostError(ValueError):
    """The text is YAML, but a part of it would be lost: the first value of a key that is given twice, or a comment."""


class Loader(yaml.SafeLoader):
    """Reads times, dates and numbers with a leading zero as text."""


_LOOK_ALIKE = re.compile(r"[-+]?0[0-7_]+|[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?")
_TEXT = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:value")
Loader.yaml_implicit_resolvers = {
    first: [
        # the first pattern that matches decides
        *([("tag:yaml.org,2002:str", re.compile(rf"({_LOOK_ALIKE.pattern})$"))] if first in "-+0123456789" else []),
        *((tag, pattern) for tag, pattern in resolvers if tag not in _TEXT),
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def yaml_data(text: str, one_line: bool = False) -> Any:
    """The data of a YAML text.

    Args:
        text: the text.
        one_line: refuse a comment, for a text in which `#` is more likely part of the value.

    Raises:
        LostError: a mapping holds a key twice, which the message names with both lines, or there is a comment.
        ValueError: the text is not YAML or stands for too much; the message is one line.
    """
    if len(text) > LONGEST:
        raise ValueError(f"it has {len(text):,} letters, the most is {LONGEST:,}")
    if _depth(text) > DEEPEST:  # the parser would notice this slowly
        raise ValueError("it is nested too deep")
    try:
        loader = Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            if _size(node, {}) > MOST:
                raise ValueError(f"it stands for more than {MOST:,} values")
            _refuse_twice(loader, node, "", set())
            if one_line and text[node.end_mark.index :].lstrip().startswith("#"):
                raise LostError("'#' begins a comment in YAML: put the value in quotes")
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    except yaml.YAMLError as error:
        hint = "; put the value in quotes" if "cannot start any token" in str(error) else ""
        raise ValueError(" ".join(str(error).split()) + hint) from None
    except (
        TypeError,
        OverflowError,
        AttributeError,
        KeyError,
        IndexError,
    ) as error:  # values that do not fit their tag
        raise ValueError(f"a value is not what it says it is: {error}") from None


def _depth(text: str) -> int:
    """Maximum number of open brackets, including those in quotes."""
    depth = deepest = 0
    for c in text:
        if c in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif c in "]}":
            depth = max(0, depth - 1)
    return deepest


def _size(node: yaml.Node, known: dict[int, int]) -> int:
    """Number of values of a node; MOST + 1 for more, and for a node that contains itself."""
    if id(node) in known:
        return known[id(node)]
    known[id(node)] = MOST + 1  # while it is being counted: meeting it again means a cycle
    size = 1
    if isinstance(node, yaml.CollectionNode):
        for item in node.value:
            for part in item if isinstance(item, tuple) else (item,):
                size = min(size + _size(part, known), MOST + 1)
    known[id(node)] = size
    return size


def _refuse_twice(loader: yaml.SafeLoader, node: yaml.Node, path: str, known: set[int]) -> None:
    """Raise LostError for a mapping that holds a key twice. Keys merged from another mapping may be set again."""
    if id(node) in known or not isinstance(node, yaml.CollectionNode):
        return
    known.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            _refuse_twice(loader, item, f"{path}{number}.", known)
        return
    lines = dict[Any, int]()
    for key, value in node.value:
        _refuse_twice(loader, key, path, known)
        if not isinstance(key, yaml.ScalarNode):
            continue  # no key of a mapping: refused when it is built
        merges = key.tag == "tag:yaml.org,2002:merge"
        found = (key.tag,) if merges else loader.construct_object(key)  # type: ignore[no-untyped-call]
        line = key.start_mark.line + 1
        if found in lines:
            first = lines[found]
            where = f"on lines {first} and {line}" if line != first else f"on line {line}"
            raise LostError(f"the key {f'{path}{key.value}'[:100]!r} is given twice, {where}; keep one of them")
        lines[found] = line
        _refuse_twice(loader, value, f"{path}{key.value}.", known)
