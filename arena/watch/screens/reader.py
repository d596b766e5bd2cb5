"""What opens over the screens to be read, with links to posts that open in turn."""

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
from arena.watch.models import PostRow, PostView
from arena.watch.scores import Worth
from arena.watch.screens.base import Host
from arena.watch.screens.rows import Rows

Links = tuple[PostView, Worth, int, list[tuple[str, PostRow]]]


def open_post(widget: Widget, id_: str) -> None:
    """Read one post and open it over what is shown."""
    host = cast(Host, widget.app)

    def look(db: sqlite3.Connection) -> Links | None:
        view = queries.post(db, id_)
        if view is None:
            return None
        citing = list(host.history.cited_by.get(id_, ()))
        rows = queries.post_rows(db, citing[-queries.MOST_POSTS :])
        newest = sorted(rows.values(), key=lambda p: -p.seq)
        [(_, worth)] = host.history.merit.uses([view.row])
        told = {p.id for _, p in view.relations}  # a review cites what it is about, and is said to review it
        cites = [("cites", p) for p in view.cites if p.id not in told]
        return (
            view,
            worth,
            len(citing),
            [*view.relations, *cites, *(("cited by", p) for p in newest if p.id not in told)],
        )

    def took(found: Links | None) -> None:
        if found is not None:
            view, worth, citing, links = found
            widget.app.push_screen(Reader(partial(render.post_text, view, worth, citing), links))

    host.ask("detail", look, took)


MARGIN = 4
"""Columns of a reader's screen that its text does not have: padding and the scroll bar."""


class Reader(Screen[None]):
    """Something to read over the screens, with links to posts under it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace", "app.pop_screen", "Back"),
        Binding("q", "app.quit", "Quit"),
    ]

    def __init__(self, write: Callable[[int], Text], links: Sequence[tuple[str, PostRow]] = ()) -> None:
        """`write` gives the text for a width."""
        super().__init__()
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

    @on(Rows.Chosen)
    def opened(self, event: Rows.Chosen) -> None:
        open_post(self, event.key.split()[-1])
