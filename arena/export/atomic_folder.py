"""Folders that an export writes whole or not at all, and by which mark it knows its own.

Not guaranteed: that an export survives a crash of the machine in the very moment in which it takes an earlier one's
place; one of the two is then there under a name that starts with a dot.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

MANIFEST = "export.json"
"""The file by which a folder is known to be an export, and may be replaced by another."""
MADE_BY = "ratchet export 1"


def refuse(to: Path) -> None:
    """Raise ValueError unless `to` is free, an empty folder, or an earlier export."""
    if not to.exists():
        return
    if not to.is_dir():
        raise ValueError(f"{to} is a file: export to a folder")
    if any(to.iterdir()) and not is_export(to):
        raise ValueError(f"{to} is there and was not written by export: give --to another folder")


def is_export(folder: Path) -> bool:
    try:
        found = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and str(found.get("made_by", "")).startswith("ratchet export")


def replace(partial: Path, to: Path) -> None:
    """Put the new folder in the old one's place."""
    old = to.with_name(f".{to.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if to.exists():
        to.rename(old)
    partial.rename(to)
    shutil.rmtree(old, ignore_errors=True)


def sums(folder: Path) -> dict[str, dict[str, int | str]]:
    """Size and SHA-256 of every file in a folder, by its path there."""
    files: dict[str, dict[str, int | str]] = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        with open(path, "rb") as file:
            sha = hashlib.file_digest(file, "sha256").hexdigest()
        files[path.relative_to(folder).as_posix()] = {"bytes": path.stat().st_size, "sha256": sha}
    return files
