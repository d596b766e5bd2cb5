"""A text that opens over the screens, with links to posts that can be opened from it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar, cast

from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Static

from arena.watch import queries, render
from arena.watch.keys import Keys
from arena.watch.models import PostDetail, PostRow
from arena.watch.scores import PostScore
from arena.watch.screens.base import Host
from arena.watch.screens.rows import Rows

Links = tuple[PostDetail, PostScore, int, list[tuple[str, PostRow]]]


def open_post(widget: Widget, id_: str, at: int | None = None) -> None:
    """Read one post, as of generation `at` (default: now), and open it over the current screen."""
    host = cast(Host, widget.app)

    def look(db: sqlite3.Connection) -> Links | None:
        view = queries.post(db, id_)
        if view is None:
            return None
        citing = list(host.history.cited_by.get(id_, ()))
        if at is not None:  # only what had been written by then
            citing = list(queries.post_rows(db, citing))
        rows = queries.post_rows(db, citing[-queries.MOST_POSTS :])
        newest = sorted(rows.values(), key=lambda p: -p.seq)
        [(_, score)] = host.history.scores.post_scores([view.row], at)
        listed = {p.id for _, p in view.relations}  # a review also cites its post; list it once
        cites = [("cites", p) for p in view.cites if p.id not in listed]
        return (
            view,
            score,
            len(citing),
            [*view.relations, *cites, *(("cited by", p) for p in newest if p.id not in listed)],
        )

    def loaded(found: Links | None) -> None:
        if found is not None:
            view, score, citing, links = found
            widget.app.push_screen(Reader(partial(render.post_text, view, score, citing), links, at))

    host.fetch("detail", look, loaded)


MARGIN = 4
"""Columns taken by the padding and the scroll bar."""


class Reader(Screen[None]):
    """A scrollable text over the screens, with links to posts below it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace", "app.pop_screen", "Back", tooltip="Close this page"),
        Binding("q", "app.quit", "Quit"),
    ]

    def __init__(
        self, write: Callable[[int], Text], links: Sequence[tuple[str, PostRow]] = (), at: int | None = None
    ) -> None:
        """`write` returns the text for a width in columns; links are opened as of generation `at`."""
        super().__init__()
        self.at = at
        self.write, self.links, self.width = write, links, 80

    @property
    def text(self) -> Text:
        return self.write(self.width - MARGIN)

    def compose(self) -> ComposeResult:
        self.width = self.app.size.width
        with VerticalScroll(classes="main", can_focus=True):
            yield Static(self.text, id="text")
        if self.links:
            yield Rows("link", "kind", "gen", "author", "title", id="links")
        yield Keys()

    def on_mount(self) -> None:
        if self.links:
            links = self.query_one(Rows)
            links.fill([(f"{i} {p.id}", render.relation_cells(name, p)) for i, (name, p) in enumerate(self.links)])
            links.focus()

    def on_resize(self, event: events.Resize) -> None:
        if event.size.width != self.width:
            self.width = event.size.width
            self.query_one("#text", Static).update(self.text)

    @on(Rows.Selected)
    def opened(self, event: Rows.Selected) -> None:
        open_post(self, event.key.split()[-1], self.at)
