"""Read JSON files from untrusted sources."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from agents.stored_file import check_file

LONGEST = 200_000_000
"""Maximum size in bytes; the largest vocabularies need a tenth of it."""


def read_text(path: Path, longest: int = LONGEST) -> str:
    """Read a text file in UTF-8 of at most `longest` bytes. Raises OSError if it cannot be read and ValueError for a
    larger file, another encoding, or a Git LFS pointer, web page or nothing in its place."""
    size = path.stat().st_size
    if size > longest:
        raise ValueError(f"{path.name} has {size:,} bytes, the most is {longest:,}")
    check_file(path)
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path.name} is not text in UTF-8: {error}") from None


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not JSON, nested too deep, or larger than `LONGEST`.
    """
    size = path.stat().st_size
    if size > LONGEST:
        raise ValueError(f"{path.name} has {size:,} bytes, the most is {LONGEST:,}")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError(f"{path.name} is nested too deep") from None
    except ValueError as error:
        check_file(path)
        raise ValueError(f"{path.name} is not JSON: {error}") from None


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON object. Raises like `read_json`, and ValueError for other JSON values."""
    found = read_json(path)
    if not isinstance(found, dict):
        raise ValueError(f"{path.name} should hold an object, found {type(found).__name__}")
    return found
