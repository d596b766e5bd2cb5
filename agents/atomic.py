"""Files that are there whole or not at all: written under another name in the same folder, synced, then renamed.

A reader sees the old file or the new one. When the call returns, both the file and its new name are on the disk.

Not guaranteed: anything for two processes that write the same file at the same time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield the name of a new file beside `path`; it takes the place of `path` if the block ends without an error.

    The new file is removed on any error, and so is one that a killed process left behind.
    """
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    try:
        yield new
        sync(new)
        os.replace(new, path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    sync(path.parent)


def write_atomically(path: Path, data: bytes | str) -> None:
    """Replace `path` by a file that holds `data`; text is written as UTF-8. Raises OSError if it cannot be written."""
    with replacing(path) as new:
        new.write_bytes(data.encode() if isinstance(data, str) else data)


def sync(path: Path) -> None:
    """Return when a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
