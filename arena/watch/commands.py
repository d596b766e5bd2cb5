"""Requests to a run: rows of the table `control`, the only table that the watcher writes.

Commands (pause, resume, stop) and review decisions (accept, reject) are inserted; a decision that the run has not
applied yet can be undone. Each write is one short transaction and raises `Busy` if the database is locked. The run
applies the rows (`arena.run.control`, `arena.phases.review`).

Left out: every other table, and starting a process. Not guaranteed: that a process which has the run open is making
progress.
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
from arena.watch.queries import read_only
from arena.watch.queries.base import raise_busy

WAIT = 1.0
"""Seconds for which a write waits for the database lock."""


@dataclass(frozen=True)
class RunStatus:
    """Whether a run is open, finished, and what it was last asked to do."""

    open: bool  # a process holds the run's lock
    finished: bool
    command: str | None = None  # the last command
    taken: bool = False  # the run has applied it
    limit: str | None = None  # the budget limit at which the run stopped

    @property
    def state(self) -> str:
        """One of running, pausing, paused, stopping, idle (no process has it open) and finished."""
        if self.finished:
            return "finished"
        if not self.open:
            return "idle"
        if self.command == "pause":
            return "paused" if self.taken else "pausing"
        return "stopping" if self.command == "stop" else "running"


@dataclass(frozen=True)
class DecisionCounts:
    """Review decisions so far, by what became of them."""

    pending: int = 0  # not applied yet; can be undone
    applied: int = 0  # applied by the run, with a receipt
    void: int = 0  # could not be applied


def run_status(db: sqlite3.Connection, folder: Path) -> RunStatus:
    last = db.execute(LAST_COMMAND).fetchone() or (None, None, None)
    limit = db.execute("SELECT note FROM control WHERE kind = 'limit' AND taken IS NULL").fetchone()
    return RunStatus(is_open(folder), is_finished(db), last[1], last[2] is not None, limit[0] if limit else None)


def is_finished(db: sqlite3.Connection) -> bool:
    return bool(db.execute("SELECT phase FROM phases ORDER BY rowid DESC LIMIT 1").fetchone() == ("final",))


def decision_counts(db: sqlite3.Connection) -> DecisionCounts:
    pending = db.execute("SELECT COUNT(*) FROM control WHERE kind = 'decision' AND taken IS NULL").fetchone()[0]
    total, void = db.execute("SELECT COUNT(*), SUM(decision = 'void') FROM receipts").fetchone()
    return DecisionCounts(pending, total - (void or 0), void or 0)


def is_open(folder: Path) -> bool:
    """Whether a process has the run in `folder` open. Takes a shared lock for a moment and writes nothing."""
    try:
        with open(folder / ".lock", "rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


class RunControl:
    """Writes requests to one run. Every method raises ValueError for an invalid request and Busy if the database is
    locked or missing."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def command(self, command: str) -> str:
        """Request `pause`, `resume` or `stop`. Returns a sentence fragment that says what the run will do.

        Raises:
            ValueError: if the command is unknown, the run is finished, or no process has it open.
        """
        if command not in COMMANDS:
            raise ValueError(f"unknown command {command!r}{nearest(command, COMMANDS) or '; pause, resume or stop'}")
        try:
            with read_only(self.run.database) as db:
                now = run_status(db, self.run.folder)
        except sqlite3.DatabaseError as error:
            raise ValueError(f"cannot read {self.run.database}: {error}") from None
        if now.state == "finished":
            raise ValueError(f"{self.run.name} is finished: there is nothing to {command}")
        if now.state == "idle":
            raise ValueError(
                f"no process is running {self.run.name}, so there is nothing to {command}; "
                f"resume it with: {typed_command('resume', self.run.folder)}"
            )
        same = {"pause": ("paused", "pausing"), "resume": ("running",), "stop": ("stopping",)}[command]
        if now.state in same:
            return {
                "paused": "it is already paused",
                "pausing": "it will already pause after the current phase",
                "running": "it is already running",
                "stopping": "it will already stop after the current generation",
            }[now.state]
        with self._writing() as db:
            db.execute("INSERT INTO control (kind, made) VALUES (?, ?)", [command, _now()])
        return {
            "pause": "will pause after the current phase",
            "resume": "will continue",
            "stop": "will stop after the current generation, without the final evaluation",
        }[command]

    def decide(self, subject: str, decision: str, note: str = "") -> None:
        """Accept or reject an attempt or a post. The run applies the decision at the start of its next generation; a
        finished run once it is continued.

        Args:
            subject: id of the attempt or post.
            decision: `accept` or `reject`.
            note: reason; cut to MAX_NOTE characters.

        Raises:
            ValueError: if the decision is unknown or review is off.
        """
        if decision not in DECISIONS:
            raise ValueError(f"a decision must be accept or reject, got {decision!r}")
        if self.run.review == "off":
            raise ValueError("this run accepts no decisions: its config has `review: off`")
        with self._writing() as db:
            db.execute(
                "INSERT INTO control (kind, subject, value, note, made) VALUES ('decision', ?, ?, ?, ?)",
                [subject, decision, note[:MAX_NOTE], _now()],
            )

    def undo(self) -> str | None:
        """Delete the last decision that the run has not applied. Returns its subject, or None if there is none."""
        with self._writing() as db:
            sql = "SELECT seq, subject FROM control WHERE kind = 'decision' AND taken IS NULL ORDER BY seq DESC LIMIT 1"
            found = db.execute(sql).fetchone()
            if found is None:
                return None
            db.execute("DELETE FROM control WHERE seq = ?", [found[0]])
            return str(found[1])

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction on a new connection."""
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
