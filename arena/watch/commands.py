"""The one thing the watcher writes: rows of table `control`, in which people ask a run for something.

Commands (pause, resume, stop) and decisions (accept, reject) are inserted, and a decision that the run has not taken
yet can be taken back. Each is one short transaction; whoever finds the database locked is told (`Busy`) and may try
again. What becomes of a row is the run's business (`arena.run.control`, `arena.phases.review`).

Left out: every other table, and starting a process. Not guaranteed: that a process which holds the run is still at
work, only that it is there.
"""

from __future__ import annotations

import fcntl
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from arena.config.schema import nearest
from arena.config.shipped import typed_command
from arena.run.control import COMMANDS, DECISIONS, LAST_COMMAND, MAX_NOTE
from arena.watch.models import Run
from arena.watch.queries import reading
from arena.watch.queries.base import raise_busy

WAIT = 1.0
"""Seconds that a write waits for another one to end."""


@dataclass(frozen=True)
class Standing:
    """Where a run stands with what was asked of it."""

    held: bool  # a process has it open
    finished: bool
    command: str | None = None  # the last one
    taken: bool = False
    limit: str | None = None  # what it stopped at

    @property
    def state(self) -> str:
        """One of running, pausing, paused, stopping, idle (nobody plays it) and finished."""
        if self.finished:
            return "finished"
        if not self.held:
            return "idle"
        if self.command == "pause":
            return "paused" if self.taken else "pausing"
        return "stopping" if self.command == "stop" else "running"


@dataclass(frozen=True)
class Decided:
    """Decisions so far: `open` may be taken back, `taken` by the run have receipts, `void` ones could not be taken."""

    open: int = 0
    taken: int = 0
    void: int = 0


def standing(db: sqlite3.Connection, folder: Path) -> Standing:
    last = db.execute(LAST_COMMAND).fetchone() or (None, None, None)
    limit = db.execute("SELECT note FROM control WHERE kind = 'limit' AND taken IS NULL").fetchone()
    told = limit[0] if limit else None
    return Standing(is_held(folder), is_finished(db), last[1], last[2] is not None, told)


def is_finished(db: sqlite3.Connection) -> bool:
    return bool(db.execute("SELECT phase FROM phases ORDER BY rowid DESC LIMIT 1").fetchone() == ("final",))


def decided(db: sqlite3.Connection) -> Decided:
    open_ = db.execute("SELECT COUNT(*) FROM control WHERE kind = 'decision' AND taken IS NULL").fetchone()[0]
    total, void = db.execute("SELECT COUNT(*), SUM(decision = 'void') FROM receipts").fetchone()
    return Decided(open_, total - (void or 0), void or 0)


def is_held(folder: Path) -> bool:
    """Whether a process has the run in `folder` open. A shared lock is tried for a moment, without writing."""
    try:
        with open(folder / ".lock", "rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


class Desk:
    """Asks one run for something. Raises ValueError for what cannot be asked, Busy while the database is locked."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def command(self, command: str) -> str:
        """Pause, resume or stop; what happens next, in words."""
        if command not in COMMANDS:
            raise ValueError(f"unknown command {command!r}{nearest(command, COMMANDS) or '; pause, resume or stop'}")
        try:
            with reading(self.run.database) as db:
                now = standing(db, self.run.folder)
        except sqlite3.DatabaseError as error:
            raise ValueError(f"cannot read {self.run.database}: {error}") from None
        if now.state == "finished":
            raise ValueError(f"{self.run.name} is finished: there is nothing to {command}")
        if now.state == "idle":
            raise ValueError(
                f"no process is playing {self.run.name}, so there is nothing to {command}; "
                f"resume it with: {typed_command('resume', self.run.folder)}"
            )
        same = {"pause": ("paused", "pausing"), "resume": ("running",), "stop": ("stopping",)}[command]
        if now.state in same:
            return {
                "paused": "it is paused already",
                "pausing": "it is to pause after the phase at work already",
                "running": "it is running, nothing was asked of it",
                "stopping": "it is to stop after this generation already",
            }[now.state]
        with self._writing() as db:
            db.execute("INSERT INTO control (kind, made) VALUES (?, ?)", [command, _now()])
        return {
            "pause": "pauses after the phase at work",
            "resume": "goes on",
            "stop": "stops after the generation at work, without the final evaluation",
        }[command]

    def decide(self, subject: str, decision: str, note: str = "") -> None:
        """Accept or reject an attempt or a post; the run takes it at the beginning of its next generation."""
        if decision not in DECISIONS:
            raise ValueError(f"a decision is accept or reject: {decision!r}")
        if self.run.review == "off":
            raise ValueError("this run takes no decisions: its config has `review: off`")
        with self._writing() as db:
            if is_finished(db):
                raise ValueError("the run is finished and takes no more decisions")
            db.execute(
                "INSERT INTO control (kind, subject, value, note, made) VALUES ('decision', ?, ?, ?, ?)",
                [subject, decision, note[:MAX_NOTE], _now()],
            )

    def undo(self) -> str | None:
        """Take back the last decision that the run has not taken; its subject, or None if there is none."""
        with self._writing() as db:
            sql = "SELECT seq, subject FROM control WHERE kind = 'decision' AND taken IS NULL ORDER BY seq DESC LIMIT 1"
            found = db.execute(sql).fetchone()
            if found is None:
                return None
            db.execute("DELETE FROM control WHERE seq = ?", [found[0]])
            return str(found[1])

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction on a connection of its own."""
        uri = self.run.database.resolve().as_uri() + "?mode=rw"
        db = None
        try:
            db = sqlite3.connect(uri, uri=True, timeout=WAIT, isolation_level=None)
            db.execute("BEGIN IMMEDIATE")
            yield db
            db.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            raise_busy(self.run.database, error)
            raise ValueError(f"cannot write {self.run.database}: {error}") from None
        finally:
            if db is not None:
                db.close()  # an open transaction is rolled back


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
