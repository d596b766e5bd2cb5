"""A JSON file that anybody may have written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

LONGEST = 200_000_000
"""Bytes; the largest vocabularies take a tenth of it."""


def read_json(path: Path) -> Any:
    """What a file holds. Raises FileNotFoundError as `open` does, and ValueError, without the file's name, for what is
    no JSON, is nested too deep or is too large."""
    size = path.stat().st_size
    if size > LONGEST:
        raise ValueError(f"{path.name} has {size:,} bytes, the most is {LONGEST:,}")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError(f"{path.name} is nested too deep") from None


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object that a file holds. Raises like `read_json`, and for what is no object."""
    found = read_json(path)
    if not isinstance(found, dict):
        raise ValueError(f"{path.name} should hold an object, found {type(found).__name__}")
    return found
