"""The Rounds screen: the problems of one generation, each of which opens in full."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import ClassVar

from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from arena.text import compact, number
from arena.watch import queries, render
from arena.watch.history import Snapshot
from arena.watch.models import RoundDetail, RoundRow
from arena.watch.queries import FILTERS
from arena.watch.screens.base import Pane
from arena.watch.screens.reader import Reader
from arena.watch.screens.rows import Cell, Rows

ROOM = 110
"""Minimum width, in columns, at which marks are written as words."""


class RoundsPane(Pane):
    """The problems of the shown generation; when following the run, of the last generation that has proposals."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f", "filter", "Filter", tooltip="Show all, valid, learnable or disputed problems")
    ]
    shown = FILTERS[0]
    key: object = None
    rows: Sequence[RoundRow] = ()
    words = False

    def compose(self) -> ComposeResult:
        yield Static(id="summary")
        yield Rows("#", "author", "depth", "solved", "earned", "", "problem", id="problems")

    def show(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        played = [s for s in snapshot.summaries if s.proposed is not None]
        at = (played[-1] if played else None) if snapshot.live else snapshot.at
        if at is None or at.proposed is None:
            self.key, self.rows = None, ()
            self.query_one("#summary", Static).update(Text(f"problems: {render.NO_DATA}", render.DIM))
            self.draw()
            return
        line = f"generation {at.generation}: {compact(at.proposed)} set, {compact(at.valid)} valid"
        line += f", {compact(at.learnable)} learnable *" if at.learnable is not None else ", not graded yet"
        line = f"{line}; {self.shown} shown; ! disputed"
        self.query_one("#summary", Static).update(Text(line, render.DIM))
        g, shown = at.generation, self.shown
        key = (g, at.phases & {"propose", "solve", "grade"}, shown)
        if key != self.key:
            self.key = key
            self.host.fetch("rounds", lambda db: (key, queries.rounds(db, g, shown)), self.loaded)

    def loaded(self, result: tuple[object, list[RoundRow]]) -> None:
        key, rows = result
        if key == self.key:
            self.rows = rows
            self.draw()

    def draw(self) -> None:
        self.words = self.app.size.width >= ROOM
        self.query_one(Rows).fill([(r.round, round_cells(r, self.words)) for r in self.rows])

    def on_resize(self, event: events.Resize) -> None:
        if self.words != (self.app.size.width >= ROOM):
            self.call_after_refresh(self.draw)

    def action_filter(self) -> None:
        self.shown = FILTERS[(FILTERS.index(self.shown) + 1) % len(FILTERS)]
        if self.snapshot is not None:
            self.show(self.snapshot)

    @on(Rows.Selected)
    def opened(self, event: Rows.Selected) -> None:
        self.host.fetch("detail", lambda db: queries.round_detail(db, event.key), self.open)

    def open(self, detail: RoundDetail | None) -> None:
        if detail is not None:
            self.app.push_screen(Reader(partial(render.round_text, detail, self.host.history.run.payment_rule)))


def round_cells(r: RoundRow, words: bool) -> list[Cell]:
    """A row of the table. `words`: write the marks as words."""
    marks = [("learnable" if words else "*")] if r.learnable else []
    marks += [("disputed" if words else "!")] if r.disagreement else []
    marks += [("doubted" if words else "?")] if r.doubt else []
    problem: Cell = render.line(r.text) if r.valid else Text(render.line(f"{r.reason}: {r.text}"), render.DIM)
    depth = "-" if r.depth is None else str(r.depth)
    mark = (", " if words else "").join(marks)
    return [str(r.number), r.author, depth, number(r.solve_rate), number(r.paid, 2), mark, problem]
