"""The Arena screen: the population, what it can do, and what looks wrong."""

from __future__ import annotations

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widget import Widget
from textual.widgets import DataTable, Static

from arena.report.tables import count, decimal, rate
from arena.watch import data, texts
from arena.watch.history import Snapshot
from arena.watch.panes.base import Pane, fill, table


class Plots(Widget):
    """Draws its strips in whatever room it has."""

    snapshot: Snapshot | None = None

    def draw(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.refresh()

    def render(self) -> Text:
        return texts.plots(self.snapshot, self.size.width, self.size.height) if self.snapshot else Text()


class ArenaPane(Pane):
    """The population, what it can do, and what looks wrong."""

    def compose(self) -> ComposeResult:
        with Vertical(id="left"):
            yield Static(id="alarms")
            yield table("population", "name", "age", "parents", "setter", "solver", "grader", "solves", "posts")
            yield Static(id="caption")
            yield Static(id="figures")
        yield Plots(id="plots")

    def show(self, snapshot: Snapshot) -> None:
        self.query_one("#alarms", Static).update(texts.alarms(snapshot))
        caption = f"reward an act and share of tries solved, last {data.RECENT} generations; enter: its life"
        if not snapshot.members:
            caption = f"population: {texts.NO_DATA}"
        self.query_one("#caption", Static).update(Text(caption, texts.DIM))
        self.query_one("#figures", Static).update(texts.figures(snapshot))
        rows = []
        for m in snapshot.members:
            cells = [m.name + (" (retires)" if m.retiring else ""), str(m.age), ", ".join(m.parents) or "-"]
            cells += [decimal(m.rewards.get(role), 2) for role in texts.ROLES]
            cells += [rate(snapshot.solved.get(m.name)), count(snapshot.posts.get(m.name, 0))]
            rows.append((m.name, [Text(c) for c in cells]))
        fill(self.query_one(DataTable), rows)
        self.query_one(Plots).draw(snapshot)
