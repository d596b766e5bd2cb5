"""One clear line where a run folder cannot be read, instead of whatever fell over its records first.

Whoever reads a run trusts what a run writes: checking each value at each use would hide the rest. So a reader that
falls over is asked about afterwards: the whole of run.db is looked at, and what is not as it should be is named.
"""

from __future__ import annotations

import os
import sqlite3
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from arena.run.integrity import diagnose

FALLS = (ArithmeticError, AssertionError, AttributeError, LookupError, RecursionError, TypeError, sqlite3.Error)
ROOT = Path(__file__).resolve().parents[1]


@contextmanager
def explained(folders: Sequence[Path], playing: bool = False) -> Iterator[None]:
    """Raises ValueError, naming the run and what is wrong with it, in place of what a damaged record brings about.

    While a run is `playing`, what no damage explains is the program's own mistake and comes through as it is.
    """
    try:
        yield
    except (*FALLS, ValueError) as error:
        if os.environ.get("RATCHET_TRACEBACK") or (isinstance(error, ValueError) and _meant(error)):
            raise
        for folder in folders:
            database = folder / "run.db"
            if database.is_file() and (found := diagnose(database)):
                raise ValueError(f"{database} cannot be read: {found}") from error
        if playing:
            raise
        names = ", ".join(map(str, folders))
        raise ValueError(
            f"{names} cannot be read ({_place(error)}): its records do not fit each other; if nobody changed its "
            "files, that is a mistake of this program, and RATCHET_TRACEBACK=1 shows where"
        ) from error


def _meant(error: BaseException) -> bool:
    """Whether a line of this program raised it, for the user to read; not what it called, such as a parser of JSON."""
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and frames[-1].filename.startswith(str(ROOT)) and (frames[-1].line or "").startswith("raise")


def _place(error: BaseException) -> str:
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith(str(ROOT))]
    at = f" in {Path(frames[-1].filename).relative_to(ROOT)}, line {frames[-1].lineno}" if frames else ""
    text = " ".join(str(error).split())[:120]
    return f"{type(error).__name__}{': ' * bool(text)}{text}{at}"
