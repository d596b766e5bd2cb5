"""The Library screen: the newest or most useful posts, or the results of a search."""

from __future__ import annotations

import sqlite3
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input, Static

from arena.text import count
from arena.watch import queries, render
from arena.watch.history import Snapshot
from arena.watch.models import PostRow
from arena.watch.scores import PostScore
from arena.watch.screens.base import Pane
from arena.watch.screens.reader import open_post
from arena.watch.screens.rows import Cell, Rows
from culture.kinds import POST_KINDS

Found = tuple[str, str | None, bool, list[tuple[PostRow, PostScore]]]
"""Words searched for, kind, whether sorted by usefulness, and the posts with their scores."""


class LibraryPane(Pane):
    """A list of posts; one of them opens over it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "find", "Find", tooltip="Search the posts for words"),
        Binding("k", "kind", "Kind", tooltip="List the posts of the next kind only"),
        Binding("u", "useful", "Useful", tooltip="Sort by usefulness, or by age"),
        Binding("escape", "leave", "Clear", show=False),
    ]
    kind: str | None = None
    useful = False
    key: object = None

    def compose(self) -> ComposeResult:
        yield Input(placeholder="words to search for", id="words", compact=True)
        yield Static(id="found")
        yield Rows("gen", "author", "kind", "use", "title", id="posts")

    def show(self, snapshot: Snapshot) -> None:
        stepped = self.at if self.snapshot is not None else None
        self.snapshot = snapshot
        searching = self.query_one(Input).value.strip() and stepped == self.at
        if self.key != self.key_now() and not searching:
            self.read()

    def key_now(self) -> object:
        """Changes when the list must be read again."""
        history, waits = self.host.history, self.snapshot.waiting if self.snapshot else None
        return history.seq, history.scores.version, self.at, waits

    def read(self) -> None:
        words, kind, useful, history = self.query_one(Input).value, self.kind, self.useful, self.host.history
        self.key, at = self.key_now(), self.at

        def look(db: sqlite3.Connection) -> Found:
            if useful and not words.strip():
                rows = queries.posts_by_number(db, history.scores.most_useful(queries.MOST_POSTS, at))
                rows = [p for p in rows if kind in (None, p.kind)]
            else:
                rows = queries.posts(db, words, kind)
            return words, kind, useful, history.scores.post_scores(rows, at)

        self.host.fetch("library", look, self.loaded)

    def loaded(self, result: Found) -> None:
        words, kind, useful, rows = result
        kinds = kind.replace("_", " ") + " posts" if kind else "posts of all kinds"
        what = f"the newest {len(rows)} {kinds}"
        if words.strip():
            what = f"{len(rows)} {kinds}, best match first"
        elif useful:
            what = f"{len(rows)} {kinds}, by uplift (n pairs), then by learnable offspring"
        if not rows:
            what = f"no {kinds} contain these words" if words.strip() else f"{kinds}: {render.NO_DATA}"
        if self.snapshot is not None and self.snapshot.waiting.posts:
            what += f"; {count(self.snapshot.waiting.posts, 'post')} waiting for approval: 5"
        self.query_one("#found", Static).update(Text(what, render.DIM))
        self.query_one(Rows).fill([(p.id, post_cells(p, score)) for p, score in rows])

    def action_useful(self) -> None:
        self.useful = not self.useful
        self.query_one(Input).value = ""
        self.read()

    def action_find(self) -> None:
        self.query_one(Input).focus()

    def action_leave(self) -> None:
        field = self.query_one(Input)
        if not field.has_focus and field.value:
            field.value = ""
        self.enter()

    def action_kind(self) -> None:
        kinds = (None, *POST_KINDS)
        self.kind = kinds[(kinds.index(self.kind) + 1) % len(kinds)]
        self.read()

    @on(Input.Changed)
    def searched(self) -> None:
        self.read()

    @on(Input.Submitted)
    def submitted(self) -> None:
        self.enter()

    @on(Rows.Selected)
    def opened(self, event: Rows.Selected) -> None:
        open_post(self, event.key, self.at)


def post_cells(p: PostRow, score: PostScore) -> list[Cell]:
    use = render.score_cell(p.kind, score)
    return [str(p.generation), p.author, p.kind.replace("_", " "), use, render.line(render.gist(p))]
