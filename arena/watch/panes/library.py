"""The Library screen: the newest posts, or those that hold some words."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import DataTable, Input, Static

from arena.watch import data, texts
from arena.watch.history import Snapshot
from arena.watch.panes.base import Pane, fill, table
from arena.watch.panes.reader import open_post
from arena.watch.records import PostRow
from culture.posts import KINDS


class LibraryPane(Pane):
    """The posts: the newest, or those that hold some words."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "find", "Search"),
        Binding("k", "kind", "Kind"),
        Binding("escape", "leave", "Clear", show=False),
    ]
    kind: str | None = None
    seq = -1

    def compose(self) -> ComposeResult:
        yield Input(placeholder="words to search for", id="words", compact=True)
        yield Static(id="found")
        yield table("posts", "gen", "author", "kind", "title")

    def show(self, snapshot: Snapshot) -> None:
        words = self.query_one(Input).value
        if self.host.history.seq != self.seq and not words.strip():
            self.read()

    def read(self) -> None:
        words, kind, self.seq = self.query_one(Input).value, self.kind, self.host.history.seq
        self.host.ask("library", lambda db: (words, kind, data.posts(db, words, kind)), self.took)

    def took(self, result: tuple[str, str | None, list[PostRow]]) -> None:
        words, kind, rows = result
        kinds = kind.replace("_", " ") + " posts" if kind else "posts of all kinds"
        what = f"{len(rows)} {kinds}, best first" if words.strip() else f"the newest {len(rows)} {kinds}"
        if not rows:
            what = f"no {kinds} with these words" if words.strip() else f"{kinds}: {texts.NO_DATA}"
        self.query_one("#found", Static).update(Text(what, texts.DIM))
        fill(self.query_one(DataTable), [(p.id, post_cells(p)) for p in rows])

    def action_find(self) -> None:
        self.query_one(Input).focus()

    def action_leave(self) -> None:
        field = self.query_one(Input)
        if not field.has_focus and field.value:
            field.value = ""
        self.enter()

    def action_kind(self) -> None:
        kinds = (None, *KINDS)
        self.kind = kinds[(kinds.index(self.kind) + 1) % len(kinds)]
        self.read()

    @on(Input.Changed)
    def searched(self) -> None:
        self.read()

    @on(Input.Submitted)
    def submitted(self) -> None:
        self.enter()

    @on(DataTable.RowSelected)
    def opened(self, event: DataTable.RowSelected) -> None:
        open_post(self, str(event.row_key.value))


def post_cells(p: PostRow) -> list[Text]:
    title = p.body if p.kind == "definition" else p.title
    return [Text(str(p.generation)), Text(p.author), Text(p.kind.replace("_", " ")), texts.one_line(title)]
