"""What people ask of a run while it is played: pause, resume, stop.

A command is a row of table `control`, written by the watcher or by the command `control`. Between phases the loop
looks at the last one, which is the one that counts: `pause` waits after the phase in progress, `resume` goes on and
takes back a pause or a stop, `stop` ends the run after the generation in progress, without the final evaluation, so
that `resume` goes on another day. A command that was taken is marked with the generation it was taken in,
and counts no more.

A run that stops at a limit (`arena.run.budget`) leaves a row of kind `limit` that says which, for who watches.

A run that is opened again starts unpaused, whatever was asked before, and says so (`forget`). Nothing here is a record:
a run has one digest with and without pauses.

Left out: stopping within a phase (that is what Ctrl-C does; nothing stored is lost). Not guaranteed: that a paused
process uses no memory; it keeps everything loaded, and looks five times a second.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from arena.run.store import Store

COMMANDS = ("pause", "resume", "stop")
DECISIONS = ("accept", "reject")
"""The values of rows of kind "decision", which `arena.phases.review` takes."""
MAX_NOTE = 500
"""Characters of a decision's note that are kept."""
LAST_COMMAND = (
    "SELECT seq, kind, taken FROM control WHERE kind IN ('pause', 'resume', 'stop') ORDER BY seq DESC LIMIT 1"
)
POLL = 0.2
"""Seconds between two looks of a paused run."""
STATES = {"pause": "paused", "resume": "running", "stop": "stopping"}


class Controls:
    """The loop's ear. `listen` is told ("control", ...) of every change, once."""

    def __init__(self, store: Store, listen: Callable[[str, dict[str, Any]], None], forgotten: str | None) -> None:
        """`forgotten` is what `forget` gave when the run was opened."""
        self.store, self.listen = store, listen
        self.state = "running"
        if forgotten:
            listen("control", {"state": "running", "forgotten": forgotten})

    def between(self, generation: int, coming: str) -> None:
        """Before phase `coming`: take the last command, and wait as long as it is a pause."""
        while True:
            for row in self.store.query(LAST_COMMAND):
                if row["taken"] is None:
                    self._take(row["kind"], row["seq"], generation, coming)
            if self.state != "paused":
                return
            time.sleep(POLL)

    def stops_before(self, generation: int, coming: str) -> bool:
        """Whether the run is to end here, before phase `coming`."""
        self.between(generation, coming)
        return self.state == "stopping"

    def _take(self, kind: str, seq: int, generation: int, coming: str) -> None:
        with self.store.transaction():
            self.store.db.execute(
                "UPDATE control SET taken = ? WHERE kind IN ('pause', 'resume', 'stop') AND taken IS NULL AND seq <= ?",
                [generation, seq],
            )
        if STATES[kind] != self.state:
            self.state = STATES[kind]
            self.listen("control", {"state": self.state, "generation": generation, "phase": coming})


def note_limit(store: Store, line: str) -> None:
    """For the loop: tell who watches that the run stopped at a limit. Counts until the run is opened again."""
    with store.transaction():
        store.insert({"control": [{"kind": "limit", "note": line}]})


def forget_limit(store: Store) -> None:
    """For who opens a run: that it stopped at a limit counts no more."""
    if store.query("SELECT 1 FROM control WHERE kind = 'limit' AND taken IS NULL LIMIT 1"):
        with store.transaction():
            store.db.execute("UPDATE control SET taken = 0 WHERE kind = 'limit' AND taken IS NULL")


def forget(store: Store) -> str | None:
    """For who opens a run: what was asked of an earlier process counts no more.

    Leaves a `resume` as the last command. Gives "pause" or "stop" if that is what is left undone, else None.
    """
    last = store.query(LAST_COMMAND)
    if not last or (last[0]["kind"] == "resume" and last[0]["taken"] is not None):
        return None
    at = store.query("SELECT MAX(generation) AS g FROM phases")[0]["g"] or 0
    with store.transaction():
        store.db.execute(
            "UPDATE control SET taken = ? WHERE kind IN ('pause', 'resume', 'stop') AND taken IS NULL", [at]
        )
        store.insert({"control": [{"kind": "resume", "note": "the run was opened again", "taken": at}]})
    kind: str = last[0]["kind"]
    return kind if kind == "pause" or (kind == "stop" and last[0]["taken"] is None) else None
