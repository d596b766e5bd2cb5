"""The Agent screen: one agent's life, and its family tree, from which relatives are opened."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static, Tree
from textual.widgets.tree import TreeNode

from arena.report.stats.ratings import ROLES, Rating
from arena.watch import queries, render
from arena.watch.history import Snapshot
from arena.watch.models import Life, SetRow
from arena.watch.screens.base import Pane


@dataclass(frozen=True)
class Looked:
    life: Life
    ratings: dict[str, list[tuple[int, Rating]]]
    best: Sequence[SetRow]
    worst: Sequence[SetRow]


class AgentPane(Pane):
    """One agent's life."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("n", "other(1)", "Next"), Binding("p", "other(-1)", "Prev")]
    name_shown: str | None = None
    last: Looked | None = None
    kin: object = None

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="main", can_focus=True, id="story"):
            yield Static(Text(f"agents: {render.NO_DATA}", render.DIM), id="life")
        yield Tree[str]("family", id="family")

    def on_mount(self) -> None:
        tree = self.query_one(Tree)
        tree.show_root, tree.guide_depth, tree.border_title = False, 3, "family: tab, then enter opens"

    def show(self, snapshot: Snapshot) -> None:
        if self.name_shown is None and snapshot.members:
            self.name_shown = snapshot.members[0].name
        if self.name_shown is not None:
            self.read(0)

    def read(self, step: int) -> None:
        name, history = self.name_shown, self.host.history

        def look(db: sqlite3.Connection) -> Looked | None:
            names = queries.agent_names(db)
            if not names:
                return None
            at = names[(names.index(name) + step) % len(names)] if name in names else names[0]
            life = queries.life(db, at)
            assert life is not None, at
            ratings = {role: list(history.merit.ratings.history.get((role, at), ())) for role in ROLES}
            return Looked(life, ratings, tuple(history.best.get(at, ())), tuple(history.worst.get(at, ())))

        self.host.ask("agent", look, self.took)

    def took(self, found: Looked | None) -> None:
        if found is None:
            return
        self.last, self.name_shown = found, found.life.name
        self.draw()
        if (kin := (found.life.name, found.life.kin)) != self.kin:
            self.kin = kin
            self.plant(self.query_one(Tree), found.life)

    def draw(self) -> None:
        if self.last is not None:
            at, width = self.last, self.query_one("#story").size.width - 2
            self.query_one("#life", Static).update(render.life_text(at.life, at.ratings, at.best, at.worst, width))

    def plant(self, tree: Tree[str], life: Life) -> None:
        """Ancestors above, each below the one before; whose life it is, marked; descendants below it."""
        tree.clear()
        path: list[TreeNode[str]] = [tree.root]
        for k in life.kin:
            until = "alive" if k.retired is None else f"to {k.retired}"
            mark = "> " if k.name == life.name else ""
            label = Text(f"{mark}{k.name}", "bold" if mark else "").append(f"  from {k.born} {until}", "dim")
            path = path[: k.steps + 1]
            path.append(path[-1].add(label, data=k.name, expand=True, allow_expand=False))
            if mark:
                self.call_after_refresh(tree.move_cursor, path[-1])
        tree.root.expand()

    @on(Tree.NodeSelected)
    def opened(self, event: Tree.NodeSelected[str]) -> None:
        if event.node.data is not None:
            self.name_shown = event.node.data
            self.read(0)

    def on_resize(self, event: events.Resize) -> None:
        self.call_after_refresh(self.draw)

    def action_other(self, step: int) -> None:
        self.read(step)
