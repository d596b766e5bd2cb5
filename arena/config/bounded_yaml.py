"""YAML from untrusted sources as plain data: no tags that construct objects, and bounded size.

An alias of a few characters can stand for a whole tree, so that ten lines expand to more data than memory holds.
Therefore the number of values is counted before they are constructed. Left out: everything that `yaml.SafeLoader`
leaves out.
"""

from __future__ import annotations

from typing import Any

import yaml

LONGEST = 1_000_000
"""Maximum number of characters of a text."""
DEEPEST = 200
"""Maximum depth of nesting."""
MOST = 100_000
"""Maximum number of values, where each use of an alias counts."""


def yaml_data(text: str) -> Any:
    """The data of a YAML text. Raises ValueError with a one-line message for invalid or too large YAML."""
    if len(text) > LONGEST:
        raise ValueError(f"it has {len(text):,} letters, the most is {LONGEST:,}")
    if _depth(text) > DEEPEST:  # the parser would notice this slowly
        raise ValueError("it is nested too deep")
    try:
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            if _size(node, {}) > MOST:
                raise ValueError(f"it stands for more than {MOST:,} values")
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None
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
