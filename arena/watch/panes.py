"""The four screens of the watcher: Arena, Rounds, Agent and Library, and the two that open from them.

Each asks the application for what it shows, off the screen's thread, and draws what comes back. Left out: reading a
run (`arena.watch.data`) and wording (`arena.watch.texts`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol, cast

from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import DataTable, Footer, Input, Static

from arena.report.tables import count, decimal, rate
from arena.watch import data, texts
from arena.watch.data import FILTERS
from arena.watch.history import History, Snapshot
from arena.watch.records import Life, PostRow, PostView, RoundDetail, RoundRow, SetRow
from culture.posts import KINDS


class Host(Protocol):
    """What a screen asks of the application."""

    history: History

    def ask(self, group: str, read: Callable[[sqlite3.Connection], Any], then: Callable[[Any], None]) -> None: ...


class Pane(Vertical):
    """One screen. `show` is told of every change of the run or of the generation shown."""

    def show(self, snapshot: Snapshot) -> None:
        raise NotImplementedError

    def enter(self) -> None:
        """Take the keyboard."""
        self.query(".main").first(Widget).focus()

    @property
    def host(self) -> Host:
        return cast(Host, self.app)


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


class RoundsPane(Pane):
    """The problems of one generation."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("f", "filter", "Filter")]
    shown = FILTERS[0]
    key: object = None
    snapshot: Snapshot | None = None

    def compose(self) -> ComposeResult:
        yield Static(id="summary")
        yield table("problems", "#", "author", "depth", "solved", "paid", "", "problem")

    def show(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        played = [s for s in snapshot.summaries if s.proposed is not None]
        at = (played[-1] if played else None) if snapshot.live else snapshot.at
        if at is None or at.proposed is None:
            self.key = None
            self.query_one("#summary", Static).update(Text(f"problems: {texts.NO_DATA}", texts.DIM))
            fill(self.query_one(DataTable), [])
            return
        line = f"generation {at.generation}: {count(at.proposed)} set, {count(at.valid)} valid"
        line += f", {count(at.learnable)} learnable" if at.learnable is not None else ", not settled yet"
        self.query_one("#summary", Static).update(Text(f"{line}; {self.shown} shown", texts.DIM))
        key, g, shown = (
            (at.generation, at.phases & {"propose", "solve", "grade"}, self.shown),
            at.generation,
            self.shown,
        )
        if key != self.key:
            self.key = key
            self.host.ask("rounds", lambda db: (key, data.rounds(db, g, shown)), self.took)

    def took(self, result: tuple[object, list[RoundRow]]) -> None:
        key, rows = result
        if key == self.key:
            fill(self.query_one(DataTable), [(r.round, round_cells(r)) for r in rows])

    def action_filter(self) -> None:
        self.shown = FILTERS[(FILTERS.index(self.shown) + 1) % len(FILTERS)]
        if self.snapshot is not None:
            self.show(self.snapshot)

    @on(DataTable.RowSelected)
    def opened(self, event: DataTable.RowSelected) -> None:
        id_ = str(event.row_key.value)
        self.host.ask("detail", lambda db: data.round_detail(db, id_), self.open)

    def open(self, detail: RoundDetail | None) -> None:
        if detail is not None:
            self.app.push_screen(Reader(texts.round_text(detail)))


def round_cells(r: RoundRow) -> list[Text]:
    mark = "!" if r.disagreement else "*" if r.learnable else ""
    problem = texts.one_line(r.text if r.valid else f"{r.reason}: {r.text}")
    problem.stylize("" if r.valid else texts.DIM)
    cells = [str(r.number), r.author, "-" if r.depth is None else str(r.depth), rate(r.solve_rate), decimal(r.paid, 2)]
    return [*(Text(c) for c in cells), Text(mark, "bold"), problem]


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


Links = tuple[PostView, int, list[tuple[str, PostRow]]]


def open_post(widget: Widget, id_: str) -> None:
    """Read one post and open it over what is shown."""
    host = cast(Host, widget.app)

    def look(db: sqlite3.Connection) -> Links | None:
        view = data.post(db, id_)
        if view is None:
            return None
        citing = list(host.history.cited_by.get(id_, ()))
        rows = data.post_rows(db, citing[-data.MOST_POSTS :])
        newest = sorted(rows.values(), key=lambda p: -p.seq)
        return view, len(citing), [("cites", p) for p in view.cites] + [("cited by", p) for p in newest]

    def took(found: Links | None) -> None:
        if found is not None:
            view, citing, links = found
            widget.app.push_screen(Reader(texts.post_text(view, citing), links))

    host.ask("detail", look, took)


class Reader(Screen[None]):
    """Something to read over the screens, with links to posts under it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace", "app.pop_screen", "Back"),
        Binding("q", "app.quit", "Quit"),
    ]

    def __init__(self, text: Text, links: Sequence[tuple[str, PostRow]] = ()) -> None:
        super().__init__()
        self.text, self.links = text, links

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="main", can_focus=True):
            yield Static(self.text)
        if self.links:
            yield table("links", "link", "kind", "gen", "author", "title")
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        if self.links:
            links = self.query_one(DataTable)
            fill(links, [(f"{i} {p.id}", texts.relation_cells(name, p)) for i, (name, p) in enumerate(self.links)])
            links.focus()

    @on(DataTable.RowSelected)
    def opened(self, event: DataTable.RowSelected) -> None:
        open_post(self, str(event.row_key.value).split()[-1])


def table(id_: str, *columns: str) -> DataTable[Text]:
    made: DataTable[Text] = DataTable(id=id_, classes="main", cursor_type="row", cell_padding=1)
    for name in columns:
        made.add_column(Text(name), key=name)
    return made


def fill(found: DataTable[Any], rows: Sequence[tuple[str, list[Text]]]) -> None:
    """Replace the rows, leaving the cursor on the row it was on if that is still there."""
    at, place = found.cursor_row, None
    if found.row_count and 0 <= at < found.row_count:
        place = found.coordinate_to_cell_key(found.cursor_coordinate).row_key.value
    top = found.scroll_y
    found.clear()
    for key, cells in rows:
        found.add_row(*cells, key=key)
    if any(key == place for key, _ in rows):
        found.move_cursor(row=found.get_row_index(str(place)), scroll=False)
        found.scroll_to(y=top, animate=False)
