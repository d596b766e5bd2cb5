"""Atomic replacement of an export folder, and the mark by which an export recognises its own folders.

Not guaranteed: a complete folder under its name if the machine crashes while an export replaces an earlier one; one of
the two then has a name that starts with a dot.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

MANIFEST = "export.json"
"""The file that marks a folder as an export, which another export may replace."""
MADE_BY = "ratchet export 1"


def refuse(to: Path) -> None:
    """Raise ValueError unless `to` is free, an empty folder, or an earlier export."""
    if not to.exists():
        return
    if not to.is_dir():
        raise ValueError(f"{to} is a file: export to a folder")
    if any(to.iterdir()) and not is_export(to):
        raise ValueError(f"{to} exists and was not written by export: give --to another folder")


def is_export(folder: Path) -> bool:
    try:
        found = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and str(found.get("made_by", "")).startswith("ratchet export")


def replace(partial: Path, to: Path) -> None:
    """Replace the folder `to`, if it exists, by the folder `partial`."""
    old = to.with_name(f".{to.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if to.exists():
        to.rename(old)
    partial.rename(to)
    shutil.rmtree(old, ignore_errors=True)


def sums(folder: Path) -> dict[str, dict[str, int | str]]:
    """Size and SHA-256 of every file in a folder, by its relative path."""
    files: dict[str, dict[str, int | str]] = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        with open(path, "rb") as file:
            sha = hashlib.file_digest(file, "sha256").hexdigest()
        files[path.relative_to(folder).as_posix()] = {"bytes": path.stat().st_size, "sha256": sha}
    return files
