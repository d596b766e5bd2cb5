"""The base class of the screens, and the interface of the application that they use."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any, Protocol, cast

from textual.containers import Vertical
from textual.widget import Widget

from arena.watch.history import History, Snapshot
from arena.watch.models import Run
from arena.watch.writer import Writer


class Host(Protocol):
    """The part of the application that screens use. `fetch` calls `read` in a worker thread, with a database as of the
    shown generation, and `then` with its result; a newer call with the same `group` cancels an older one."""

    history: History
    run_: Run
    writer: Writer

    def fetch(self, group: str, read: Callable[[sqlite3.Connection], Any], then: Callable[[Any], None]) -> None: ...


class Pane(Vertical):
    """One screen. `show` is called when the run or the shown generation has changed."""

    snapshot: Snapshot | None = None
    """What `show` was called with last."""

    def show(self, snapshot: Snapshot) -> None:
        raise NotImplementedError

    @property
    def at(self) -> int | None:
        """The generation that is shown; None for the latest."""
        return None if self.snapshot is None or self.snapshot.live else self.snapshot.shown

    def enter(self) -> None:
        """Take the keyboard focus."""
        self.query(".main").first(Widget).focus()

    @property
    def host(self) -> Host:
        return cast(Host, self.app)
