"""The Agent screen: one agent's life."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, ClassVar

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static

from arena.watch import data, texts
from arena.watch.history import Snapshot
from arena.watch.panes.base import Pane
from arena.watch.records import Life, SetRow


class AgentPane(Pane):
    """One agent's life."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("n", "other(1)", "Next"), Binding("p", "other(-1)", "Prev")]
    name_shown: str | None = None
    last: tuple[Life, Sequence[SetRow], Sequence[SetRow]] | None = None

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="main", can_focus=True):
            yield Static(Text(f"agents: {texts.NO_DATA}", texts.DIM), id="life")

    def show(self, snapshot: Snapshot) -> None:
        if self.name_shown is None and snapshot.members:
            self.name_shown = snapshot.members[0].name
        if self.name_shown is not None:
            self.read(0)

    def read(self, step: int) -> None:
        name, history = self.name_shown, self.host.history

        def look(db: sqlite3.Connection) -> Any:
            names = data.agent_names(db)
            if not names:
                return None
            at = names[(names.index(name) + step) % len(names)] if name in names else names[0]
            return data.life(db, at), tuple(history.best.get(at, ())), tuple(history.worst.get(at, ()))

        self.host.ask("agent", look, self.took)

    def took(self, result: Any) -> None:
        if result is None:
            return
        self.last = result
        self.name_shown = result[0].name
        self.draw()

    def draw(self) -> None:
        if self.last is not None:
            width = self.query_one(VerticalScroll).size.width - 2
            self.query_one("#life", Static).update(texts.life_text(*self.last, width))

    def on_resize(self, event: events.Resize) -> None:
        self.draw()

    def action_other(self, step: int) -> None:
        self.read(step)
