"""The cache of converted models: one folder for each GGUF file, under the file's digest.

The cache is $RATCHET_CACHE, else $XDG_CACHE_HOME/ratchet, else ~/.cache/ratchet. A folder gets its name only when it is
complete, so an interrupted conversion leaves nothing that is used. One process at a time writes, others wait. Any
folder may be deleted.

Not guaranteed: that a file that changes while it is read is noticed.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

VERSION = 1
"""Version of the conversion (agents/gguf_file.py); if other files are written for a GGUF file, it has to change."""
Say = Callable[[str], None]
"""Gets sentences on progress."""


def quiet(line: str) -> None:
    """A `Say` that prints nothing."""


def cache_folder() -> Path:
    """The folder in which converted models are stored; it need not exist."""
    if own := os.environ.get("RATCHET_CACHE"):
        return Path(own).expanduser()
    shared = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(shared) if os.path.isabs(shared) else Path.home() / ".cache") / "ratchet"


def converted_folder(digest: str) -> Path:
    """Where the conversion of the GGUF file with this SHA-256 is stored; it need not exist."""
    return cache_folder() / "models" / f"gguf{VERSION}-{digest[:32]}"


def convert_cached(path: Path, say: Say = quiet) -> Path:
    """The folder of a converted GGUF file, which is converted at the first call.

    Raises:
        ValueError: the file is damaged or not supported; the message names it.
        OSError: it cannot be read, or the cache cannot be written.
    """
    folder = converted_folder(file_digest(path))

    def make(new: Path) -> None:
        convert_into(path, new, say)

    store(folder, make, say)
    return folder


def convert_into(path: Path, folder: Path, say: Say = quiet) -> None:
    """Convert a GGUF file to a new folder. Raises like `convert_cached`."""
    try:
        from agents.gguf_file import convert
    except ImportError:
        raise ValueError(f'reading {path} needs the package gguf: pip install "ratchet-arena[gguf]"') from None
    say(f"converting {path.name}")
    try:
        convert(path, folder)
    except ValueError as error:
        raise ValueError(f"cannot read the model {path}: {error}") from None


def store(folder: Path, make: Callable[[Path], None], say: Say = quiet) -> None:
    """Make a folder of the cache unless it is there. `make` writes it under a temporary name, which it creates.

    Raises:
        OSError: the cache cannot be written.
        Anything that `make` raises; nothing is kept then.
    """
    if folder.is_dir():
        return
    new = folder.with_name(f".{folder.name}.new")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with open(folder.parent / ".lock", "a") as lock:
            _hold(lock.fileno(), say)
            shutil.rmtree(new, ignore_errors=True)  # of a process that was killed
            if folder.is_dir():
                return
            try:
                make(new)
                os.rename(new, folder)
            finally:
                shutil.rmtree(new, ignore_errors=True)
    except OSError as error:
        if error.errno is None:  # not of the operating system: `make` says what is wrong
            raise
        raise OSError(f"cannot store a model in {folder.parent}: {error.strerror}; nothing was kept") from None


def file_digest(path: Path) -> str:
    """SHA-256 of a file. Computed once for a file that does not change. Raises OSError if it cannot be read."""
    state = os.stat(path)
    return _digest(str(path.resolve()), state.st_size, state.st_mtime_ns, state.st_ino)


@lru_cache(64)
def _digest(path: str, size: int, modified: int, number: int) -> str:
    """SHA-256 of the file with this size, time of modification and inode."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _hold(descriptor: int, say: Say) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say("waiting for another process that is storing a model")
        fcntl.flock(descriptor, fcntl.LOCK_EX)
