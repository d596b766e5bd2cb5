"""What all screens share: what they ask of the application, and how they take the keyboard."""

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
    """What a screen asks of the application."""

    history: History
    run_: Run
    writer: Writer

    def ask(self, group: str, read: Callable[[sqlite3.Connection], Any], then: Callable[[Any], None]) -> None: ...


class Pane(Vertical):
    """One screen. `show` is told of every change of the run or of the generation shown."""

    def show(self, snapshot: Snapshot) -> None:
        raise NotImplementedError

    def enter(self) -> None:
        """Take the keyboard."""
        self.query(".main").first(Widget).focus()

    @property
    def host(self) -> Host:
        return cast(Host, self.app)
