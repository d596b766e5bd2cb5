"""Faults of this program, told from messages for the user, located, and kept with their tracebacks.

A message for the user is an OSError, or a ValueError that a `raise` statement of this program or of a module that the
config names raised. Every other error that reaches a command is a fault of the program: it is never reported as damage
of a run, which only a check of the stored records can find (`arena.run.integrity`).

`Faults` collects the faults in parts of a report, whose other parts are still made.
"""

from __future__ import annotations

import os
import sysconfig
import tempfile
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from arena.config.shipped import ROOT, is_own_file

T = TypeVar("T")
STATUS = 70
"""Exit status of a command that failed by a fault of the program (EX_SOFTWARE of sysexits.h)."""
LONGEST = 200
"""Characters of an error's message that are repeated."""


def wants_traceback() -> bool:
    """Whether the user asked for tracebacks in place of one-line errors (RATCHET_TRACEBACK)."""
    return bool(os.environ.get("RATCHET_TRACEBACK"))


def is_for_user(error: BaseException) -> bool:
    """Whether the error's message is written for the user."""
    if isinstance(error, OSError):
        return True
    frames = traceback.extract_tb(error.__traceback__)
    if not isinstance(error, ValueError) or not frames:
        return False
    return (frames[-1].line or "").startswith("raise") and not _is_library(frames[-1].filename)


def described(error: BaseException) -> str:
    """The error in one line, with the last line of this program (or of a module of the user's) on its way."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not _is_library(f.filename)]
    at = f" in {_shown(frames[-1].filename)}, line {frames[-1].lineno}" if frames else ""
    text = " ".join(str(error).split())[:LONGEST]
    return f"{type(error).__name__}{': ' * bool(text)}{text}{at}"


def owner(error: BaseException) -> str:
    """Whose fault it is: `Ratchet`, or the file of a module of the user's that raised the error."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not _is_library(f.filename)]
    return "Ratchet" if not frames or is_own_file(frames[-1].filename) else frames[-1].filename


@dataclass
class Faults:
    """Faults in parts of what a command makes.

    With `collect` False, `part` raises every error; so does it with the environment variable RATCHET_TRACEBACK.
    """

    collect: bool = False
    found: list[tuple[str, Exception]] = field(default_factory=list)
    """(what could not be made, why)."""

    def part(self, what: str, make: Callable[[], T], instead: Callable[[str], T]) -> T:
        """What `make` returns. If it fails, the error is kept, and `instead` gets a sentence that says what failed."""
        try:
            return make()
        except Exception as error:
            if not self.collect or wants_traceback():
                raise
            self.found.append((what, error))
            return instead(f"{what} could not be shown: {described(error)}. {verdict(error)}")


def verdict(error: Exception) -> str:
    """Whose fault an error is, in a sentence."""
    if is_for_user(error):
        return "The rest of the report does not depend on it."
    return f"This is a fault of {owner(error)}; the run is not damaged."


def lines(found: Sequence[tuple[str, Exception]]) -> list[str]:
    """What to print about faults: a line each, then where their tracebacks are. `found` is as in `Faults`."""
    shown = [f"internal error: {what}: {described(error)}" for what, error in found]
    notes = dict.fromkeys(note for _, error in found for note in getattr(error, "__notes__", ()))
    owners = " and ".join(dict.fromkeys(owner(error) for _, error in found))
    return [*shown, " ".join([f"This is a fault of {owners}.", *notes, _kept(found)])]


def _kept(found: Sequence[tuple[str, Exception]]) -> str:
    """Write the tracebacks to a new file of the temporary folder; a sentence that says where."""
    text = "\n".join(f"{what}\n{''.join(traceback.format_exception(error))}" for what, error in found)
    try:
        handle, name = tempfile.mkstemp(prefix="ratchet-traceback-", suffix=".txt")
        with open(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError:
        return "The environment variable RATCHET_TRACEBACK=1 shows the traceback."
    return f"The traceback is in {name}."


def _is_library(file: str) -> bool:
    if is_own_file(file):
        return False
    places = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return file.startswith("<") or any(Path(file).is_relative_to(place) for place in places)


def _shown(file: str) -> str:
    return str(Path(file).relative_to(ROOT)) if is_own_file(file) else file
