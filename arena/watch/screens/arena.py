"""The Arena screen: alarms, the population, and plots over all generations."""

from __future__ import annotations

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widget import Widget
from textual.widgets import Static

from arena.watch import render as texts
from arena.watch.history import Snapshot
from arena.watch.screens.base import Pane
from arena.watch.screens.rows import Rows


class Plots(Widget):
    """Draws as many strips as fit."""

    snapshot: Snapshot | None = None

    def draw(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.refresh()

    def render(self) -> Text:
        return texts.plots(self.snapshot, self.size.width, self.size.height) if self.snapshot else Text()


class ArenaPane(Pane):
    """Alarms, the population table, the summary line and the plots."""

    def compose(self) -> ComposeResult:
        with Vertical(id="left"):
            yield Static(id="alarms")
            yield Rows(id="population")
            yield Static(id="caption")
            yield Static(id="figures")
        yield Plots(id="plots")

    def show(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        width = self.query_one("#left").size.width
        self.query_one("#alarms", Static).update(texts.alarms(snapshot))
        self.query_one("#caption", Static).update(texts.caption(snapshot))
        self.query_one("#figures", Static).update(texts.figures(snapshot))
        heads, cells = texts.population(snapshot, width)
        self.query_one(Rows).fill([(m.name, c) for m, c in zip(snapshot.members, cells, strict=True)], heads)
        self.query_one(Plots).draw(snapshot)

    def on_resize(self, event: events.Resize) -> None:
        """Draw again after the layout, with as many columns as fit."""
        self.call_after_refresh(self.redraw)

    def redraw(self) -> None:
        if self.snapshot is not None:
            self.show(self.snapshot)
