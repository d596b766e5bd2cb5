"""Commands to a run while it is played: pause, resume, stop.

A command is a row of table `control`, written by the watcher or by the command `control`. Between phases the loop
looks at the last command only. `pause` waits after the phase in progress; `resume` continues and cancels a pause or a
stop; `stop` ends the run after the generation in progress, without the final evaluation, so that `resume`
can continue it later. A command that was carried out is marked with the generation, and no longer counts.

With `review.wait` the loop also waits before each generation until no post lacks a reviewer's decision. A stop ends
that wait.

A run that stops at a limit (`arena.run.budget`) leaves a row of kind `limit` that names it, for the watcher.

A run that is opened again starts unpaused, whatever the commands before, and reports it (`forget`). Commands are not
records: a run has the same digest with and without pauses.

Left out: stopping within a phase (Ctrl-C does that; nothing stored is lost). Not guaranteed: that a paused process uses
no memory; it keeps everything loaded, and looks for commands five times a second.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from arena.run.store import Store
from arena.run.waiting import waiting

COMMANDS = ("pause", "resume", "stop")
DECISIONS = ("accept", "reject")
"""The values of rows of kind "decision", which `arena.phases.review` carries out."""
MAX_NOTE = 500
"""Characters of a decision's note that are stored."""
LAST_COMMAND = (
    "SELECT seq, kind, taken FROM control WHERE kind IN ('pause', 'resume', 'stop') ORDER BY seq DESC LIMIT 1"
)
POLL = 0.2
"""Seconds between two queries of a paused run for commands."""
STATES = {"pause": "paused", "resume": "running", "stop": "stopping"}


class Controls:
    """Carries out commands between phases. `listen` is called once with ("control", ...) on every change of state."""

    def __init__(self, store: Store, listen: Callable[[str, dict[str, Any]], None], forgotten: str | None) -> None:
        """`forgotten` is what `forget` returned when the run was opened."""
        self.store, self.listen = store, listen
        self.state = "running"
        self.left = 0
        """Posts whose decision the run waits for."""
        if forgotten:
            listen("control", {"state": "running", "forgotten": forgotten})

    def between(self, generation: int, coming: str, reviewed: bool = False) -> None:
        """Carry out the last command before phase `coming`, and wait while it is a pause; with `reviewed` also while a
        post lacks a decision, unless the run is asked to stop."""
        while True:
            for row in self.store.query(LAST_COMMAND):
                if row["taken"] is None:
                    self._take(row["kind"], row["seq"], generation, coming)
            if reviewed and self.state == "running":
                self._wait_for(waiting(self.store).left, generation, coming)
            if self.state == "stopping" or (self.state == "running" and not self.left):
                self.left = 0
                return
            time.sleep(POLL)

    def _wait_for(self, left: int, generation: int, coming: str) -> None:
        """Tell the listener when the number of posts without a decision has changed."""
        if left != self.left:
            self.left = left
            state = "reviewing" if left else self.state
            self.listen("control", {"state": state, "left": left, "generation": generation, "phase": coming})

    def stops_before(self, generation: int, coming: str, reviewed: bool = False) -> bool:
        """Whether the run must end here, before phase `coming`. `reviewed`: as in `between`."""
        self.between(generation, coming, reviewed)
        return self.state == "stopping"

    def _take(self, kind: str, seq: int, generation: int, coming: str) -> None:
        with self.store.transaction():
            self.store.db.execute(
                "UPDATE control SET taken = ? WHERE kind IN ('pause', 'resume', 'stop') AND taken IS NULL AND seq <= ?",
                [generation, seq],
            )
        if STATES[kind] != self.state:
            self.state, self.left = STATES[kind], 0
            self.listen("control", {"state": self.state, "generation": generation, "phase": coming})


def note_limit(store: Store, line: str) -> None:
    """Record for the watcher that the run stopped at a limit. Counts until the run is opened again."""
    with store.transaction():
        store.insert({"control": [{"kind": "limit", "note": line}]})


def forget_limit(store: Store) -> None:
    """Cancel the record that the run stopped at a limit; called when it is opened again."""
    if store.query("SELECT 1 FROM control WHERE kind = 'limit' AND taken IS NULL LIMIT 1"):
        with store.transaction():
            store.db.execute("UPDATE control SET taken = 0 WHERE kind = 'limit' AND taken IS NULL")


def forget(store: Store) -> str | None:
    """Cancel the commands to an earlier process, when a run is opened again; the last command is then a `resume`.

    Returns "pause" or "stop" if such a command was pending, else None.
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
