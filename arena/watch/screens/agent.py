"""The Agent screen: one agent and its family tree, from which relatives can be opened."""

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
from arena.watch.history import BEST, Snapshot
from arena.watch.models import AgentDetail, PaidProblem
from arena.watch.screens.base import Pane


@dataclass(frozen=True)
class AgentView:
    agent: AgentDetail
    ratings: dict[str, list[tuple[int, Rating]]]
    best: Sequence[PaidProblem]
    worst: Sequence[PaidProblem]


class AgentPane(Pane):
    """One agent up to the shown generation."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "other(1)", "Next", tooltip="Show the next agent, in order of birth"),
        Binding("p", "other(-1)", "Prev", tooltip="Show the previous agent"),
    ]
    name_shown: str | None = None
    last: AgentView | None = None
    relatives: object = None

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="main", can_focus=True, id="story"):
            yield Static(Text(f"agents: {render.NO_DATA}", render.DIM), id="agent-text")
        yield Tree[str]("family", id="family")

    def on_mount(self) -> None:
        tree = self.query_one(Tree)
        tree.show_root, tree.guide_depth, tree.border_title = False, 3, "family: tab, then enter opens"

    def show(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        if self.name_shown is None and snapshot.members:
            self.name_shown = snapshot.members[0].name
        if self.name_shown is not None:
            self.read(0)

    def read(self, step: int) -> None:
        name, history, until = self.name_shown, self.host.history, self.at

        def look(db: sqlite3.Connection) -> AgentView | None:
            names = queries.agent_names(db)
            if not names:
                return None
            at = names[(names.index(name) + step) % len(names)] if name in names else names[0]
            agent = queries.agent_detail(db, at)
            assert agent is not None, at
            ratings = {role: history.scores.ratings.until(role, at, until) for role in ROLES}
            best, worst = history.best.get(at, ()), history.worst.get(at, ())
            if until is not None:
                best, worst = (queries.extreme_problems(db, at, BEST, order) for order in ("DESC", "ASC"))
            return AgentView(agent, ratings, tuple(best), tuple(worst))

        self.host.fetch("agent", look, self.loaded)

    def loaded(self, found: AgentView | None) -> None:
        if found is None:
            return
        self.last, self.name_shown = found, found.agent.name
        self.draw()
        if (relatives := (found.agent.name, found.agent.relatives)) != self.relatives:
            self.relatives = relatives
            self.fill_tree(self.query_one(Tree), found.agent)

    def draw(self) -> None:
        if self.last is not None:
            at, width = self.last, self.query_one("#story").size.width - 2
            self.query_one("#agent-text", Static).update(
                render.agent_text(at.agent, at.ratings, at.best, at.worst, width)
            )

    def fill_tree(self, tree: Tree[str], agent: AgentDetail) -> None:
        """Fill the tree: ancestors first, then the agent with a mark, then its descendants."""
        tree.clear()
        path: list[TreeNode[str]] = [tree.root]
        for k in agent.relatives:
            until = "active" if k.retired is None else f"to {k.retired}"
            mark = "> " if k.name == agent.name else ""
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
