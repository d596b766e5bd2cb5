"""Check a file of a model or adapter before it is parsed, so that an error says what the file is.

Left out: checksums. Not guaranteed: that a file that passes is whole.
"""

from __future__ import annotations

from pathlib import Path

POINTER = b"version https://git-lfs.github.com/spec/"
PAGES = (b"<!doctype html", b"<html")


def check_file(path: Path) -> None:
    """Raise ValueError, naming the file, for a Git LFS pointer, an empty file and a web page; OSError if it cannot be
    read."""
    with open(path, "rb") as file:
        wrong = find_substitute(file.read(200))
    if wrong:
        raise ValueError(f"{path.name} is {wrong}")


def find_substitute(head: bytes) -> str:
    """What lies in place of a file, from its first bytes, and how to fetch the file; empty if it may be the file."""
    if not head:
        return "empty: fetch it again"
    if head.startswith(POINTER):
        return "a Git LFS pointer, not the file itself: fetch it with `git lfs pull` in its folder, or `hf download`"
    if head.lstrip().lower().startswith(PAGES):
        return "a web page, not the file itself: fetch it again"
    return ""
