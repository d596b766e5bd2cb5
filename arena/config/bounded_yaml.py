"""YAML that anybody may have written, as plain data: no tags that make objects, and no bombs.

An alias costs a few letters and stands for a whole tree, so ten lines can stand for more data than fits a memory. What
a text stands for is counted before it is built. Left out: everything that `yaml.SafeLoader` leaves out.
"""

from __future__ import annotations

from typing import Any

import yaml

LONGEST = 1_000_000
"""Letters of a text."""
DEEPEST = 200
MOST = 100_000
"""Values that a text may stand for, aliases counted as often as they are used."""


def yaml_data(text: str) -> Any:
    """The data of a YAML text. Raises ValueError, in one line and without the place, for what is none or too much."""
    if len(text) > LONGEST:
        raise ValueError(f"it has {len(text):,} letters, the most is {LONGEST:,}")
    if _depth(text) > DEEPEST:  # the parser would find out slowly
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
    ) as error:  # values that are none of their kind
        raise ValueError(f"a value is not what it says it is: {error}") from None


def _depth(text: str) -> int:
    """How many brackets are open at a time, at most; those in quotes are counted too."""
    depth = deepest = 0
    for c in text:
        if c in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif c in "]}":
            depth = max(0, depth - 1)
    return deepest


def _size(node: yaml.Node, known: dict[int, int]) -> int:
    """Values that a node stands for; MOST + 1 for more, and for one that holds itself."""
    if id(node) in known:
        return known[id(node)]
    known[id(node)] = MOST + 1  # as long as it is open: whoever meets it now stands inside it
    size = 1
    if isinstance(node, yaml.CollectionNode):
        for item in node.value:
            for part in item if isinstance(item, tuple) else (item,):
                size = min(size + _size(part, known), MOST + 1)
    known[id(node)] = size
    return size
