"""Write files atomically: to a temporary name in the same folder, synced, then renamed.

A reader sees either the old file or the complete new one. When a call returns, the file and its name are on disk.

Not guaranteed: any result if two processes write the same file at the same time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path next to `path`, which replaces `path` if the block ends without an error.

    The temporary file is removed on any error, as is one that a killed process left behind.
    """
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    try:
        yield new
        sync(new)
        os.replace(new, path)
        new.unlink(missing_ok=True)  # still there if both are links to one file: POSIX then renames nothing
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    sync(path.parent)


def write_atomically(path: Path, data: bytes | str) -> None:
    """Replace the content of `path` by `data`; text is encoded as UTF-8. Raises OSError if that fails."""
    with replacing(path) as new:
        new.write_bytes(data.encode() if isinstance(data, str) else data)


def sync(path: Path) -> None:
    """Flush a file, or the entries of a folder, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
