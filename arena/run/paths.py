"""Containment of paths: no path from a file, and no link in a run folder, leads out of the folder.

A row of run.db, a name in a file or a link in a run folder may come from anybody. `inside` turns a path from data into
one below a folder, or refuses it. `check_folder` refuses a folder with a link that leads out of it, or with anything
other than files and folders, such as a pipe that never ends.

Left out: paths that the user gives on the command line or in a config. Not guaranteed: anything against changes of the
folder between check and use; hard links, which look like files.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

LONGEST, LONGEST_PART = 1000, 255
"""Bytes of a path, and of one part of it, at most."""
DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d|conin\$|conout\$)(\..*)?", re.IGNORECASE)
"""Device names on Windows, with any extension."""


def inside(folder: Path, path: object) -> Path:
    """`folder / path`, for a path from data that is relative, portable and, with links followed, below the folder. The
    path need not exist. Raises ValueError, naming both, for any other path."""
    wrong = _wrong(path)
    if wrong is None:
        found = folder / str(path)
        try:
            if found.resolve().is_relative_to(folder.resolve()):
                return found
            wrong = "a link on its way leads out of the folder"
        except (OSError, RuntimeError) as error:  # links in a circle
            wrong = str(error)
    raise ValueError(f"{folder} names the file {_shown(path)}, which is not taken: {wrong}")


def check_folder(folder: Path) -> None:
    """Raise ValueError, naming the first, for a link that leads out of the folder and for anything that is neither a
    file nor a folder. The folder itself may be a link. What a process that plays the run removes meanwhile is left
    out."""
    top = Path(os.path.realpath(folder))
    for place, folders, files in os.walk(top):
        for name in sorted([*folders, *files]):
            path = os.path.join(place, name)
            try:
                mode = os.lstat(path).st_mode
            except FileNotFoundError:
                continue
            if stat.S_ISLNK(mode):
                to = os.path.realpath(path)
                if not Path(to).is_relative_to(top):
                    raise ValueError(
                        f"{path} is a link that leads out of the run folder, to {_shown(to)}: put the file itself there"
                    )
                mode = os.stat(path).st_mode if os.path.exists(path) else stat.S_IFREG
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                raise ValueError(f"{path} is neither a file nor a folder: take it out of the run folder")


def runs_below(folder: Path, most: int = 5, deep: int = 3) -> list[Path]:
    """At most `most` run folders below a folder, at most `deep` levels down, by name. Links are not followed; hidden
    folders and virtual environments are left out."""
    found: list[Path] = []
    for place, folders, files in os.walk(folder):
        at = Path(place)
        if "run.db" in files and at != folder:
            found.append(at)
        inner = len(at.relative_to(folder).parts) < deep and "run.db" not in files and len(found) < most
        kept = [f for f in sorted(folders) if not f.startswith(".") and not (at / f / "pyvenv.cfg").exists()]
        folders[:] = kept if inner else []
    return found[:most]


def no_run(folder: Path) -> str:
    """That a folder holds no run, and which runs are below it."""
    below = runs_below(folder)
    hint = f"; runs below it: {', '.join(map(str, below))}" if below else ""
    return f"no run database at {folder / 'run.db'}{hint}"


def _wrong(path: object) -> str | None:
    """What is wrong with the text of a path, or None."""
    if not isinstance(path, str) or not path:
        return "it is no text" if not isinstance(path, str) else "it is empty"
    if not path.isprintable():
        return "it holds letters that cannot be seen"
    size = max(len(part.encode("utf-8")) for part in path.split("/"))
    if size > LONGEST_PART or len(path.encode("utf-8")) > LONGEST:
        return "it is too long"
    if "\\" in path or ":" in path:
        return "a backslash or a colon means another place on some systems"
    if path.startswith("/"):
        return "it is not relative"
    for part in path.split("/"):
        if part in ("", ".", ".."):
            return f"it has the part {part!r}"
        if part.endswith((".", " ")) or DEVICES.fullmatch(part):
            return f"{part!r} is no file's name on some systems"
    return None


def _shown(path: object) -> str:
    text = repr(path)
    return text if len(text) <= 100 else text[:97] + "..."
