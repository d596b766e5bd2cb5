"""Encode plain data as type-tagged JSON, for messages between the program and the script of the subprocess sandbox.

Imports nothing, because the script uses it without the program's packages. Decoding builds only None, bool, int,
float, str, list, tuple, dict and set.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing would double the start-up time of the script
    from typing import Any

TAGS: dict[type, str] = {list: "l", tuple: "t", set: "s"}


def encode(value: Any) -> Any:
    """Convert plain data to JSON values without loss. Raises TypeError for anything else."""
    kind = type(value)
    if value is None or kind in (bool, str):
        return value
    if kind is int:
        return ["i", hex(value)]
    if kind is float:
        return ["f", value.hex()]
    if kind in TAGS:
        return [TAGS[kind], [encode(item) for item in value]]
    if kind is dict:
        return ["d", [[encode(k), encode(v)] for k, v in value.items()]]
    if kind.__module__ == "collections" and kind.__name__ in ("Counter", "defaultdict", "OrderedDict"):
        return encode(dict(value))
    raise TypeError(f"a value of type {kind.__name__}")


def decode(said: Any) -> Any:
    """Inverse of `encode`. Raises ValueError, TypeError or RecursionError for any other input."""
    if said is None or type(said) in (bool, str):
        return said
    if type(said) is not list or len(said) != 2:
        raise ValueError("no value")
    tag, body = said
    if tag == "i":
        return int(body, 16)
    if tag == "f":
        return float.fromhex(body)
    if tag == "d":
        return {decode(k): decode(v) for k, v in body}
    if tag not in ("l", "t", "s") or type(body) is not list:
        raise ValueError("no tag")
    items = [decode(item) for item in body]
    return items if tag == "l" else tuple(items) if tag == "t" else set(items)
