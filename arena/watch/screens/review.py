"""The Review screen: the review queue, the selected item in full, and one key per decision."""

from __future__ import annotations

import sqlite3
from typing import Any, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, VerticalScroll
from textual.widgets import Input, Static

from arena.run.control import MAX_NOTE
from arena.watch import commands
from arena.watch.history import Snapshot
from arena.watch.queries.review import ItemDetail, item_detail
from arena.watch.render import review as render
from arena.watch.review_queue import Item, ReviewQueue
from arena.watch.screens.base import Pane
from arena.watch.screens.rows import Rows


class ReviewPane(Pane):
    """Accept, reject, skip, undo. Skipped items move to the end of the queue until the watcher is closed."""

    SCOPED_CSS = False
    DEFAULT_CSS = """
    #desk { height: auto; max-height: 4; }
    #bench { height: 1fr; }
    #queue { height: auto; max-height: 40%; }
    #case { height: 1fr; }
    #note-field { display: none; }
    .-wide #desk { margin-bottom: 1; }
    .-wide #bench { layout: horizontal; }
    .-wide #queue { width: 116; height: 1fr; max-height: 100%; margin-right: 2; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "decide('accept')", "Accept", tooltip="Accept the selected item"),
        Binding("r", "decide('reject')", "Reject", tooltip="Reject the selected item"),
        Binding("s", "skip", "Skip", tooltip="Move the selected item to the end of the queue"),
        Binding("u", "undo", "Undo", tooltip="Take back the last decision that the run has not carried out"),
        # named beside the item
        Binding("n", "note", "Note", show=False, tooltip="Write a note for the next decision"),
        Binding("escape", "leave", "Leave", show=False),
    ]

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self.queue: ReviewQueue | None = None
        self.queue_of: object = None
        self.items: list[Item] = []
        self.decisions = commands.DecisionCounts()
        self.finished, self.graded = False, False
        self.sent: set[str] = set()  # decided here, but not yet seen in the run's database
        self.writing: set[str] = set()  # decided here, but not yet written
        self.skipped: list[str] = []
        self.note = ""
        self.incomplete = False
        self.shown: ItemDetail | None = None
        self.go_to: str | None = None  # the item to select when the queue has been read again

    def compose(self) -> ComposeResult:
        yield Static(id="desk")
        with Container(id="bench"):
            yield Rows("score", "gen", "what", "agents", "why", "text", id="queue")
            with VerticalScroll(id="case", can_focus=True):
                yield Static(id="case-text")
        yield Input(placeholder="note for the next decision; enter saves it", id="note-field", max_length=MAX_NOTE)

    # -- reading ---------------------------------------------------------------------------------------------------

    def show(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.graded = any(s.learnable is not None for s in snapshot.summaries)
        self.read()

    def read(self) -> None:
        if self.queue is None or self.queue_of is not self.host.history:  # the run may have been replaced
            self.queue, self.queue_of = ReviewQueue(self.host.run_), self.host.history
        queue = self.queue

        def look(db: sqlite3.Connection) -> Any:
            return queue.items(db), commands.decision_counts(db), commands.is_finished(db)

        self.host.fetch("review", look, self.loaded)

    def loaded(self, result: tuple[list[Item], commands.DecisionCounts, bool]) -> None:
        items, self.decisions, self.finished = result
        there = {i.subject for i in items}
        if self.at is None:
            self.sent &= there
        self.skipped = [s for s in self.skipped if s in there]
        left = [i for i in items if i.subject not in self.sent or self.at is not None]
        self.items = sorted(left, key=lambda i: self.skipped.index(i.subject) + 1 if i.subject in self.skipped else 0)
        if self.queue is not None and self.queue.more:  # draw the first part and the whole, nothing between
            self.read()
            if self.incomplete:
                return
        self.incomplete = self.queue is not None and self.queue.more
        self.draw()

    def draw(self) -> None:
        run, queue = self.host.run_, self.query_one(Rows)
        queue.fill([(i.subject, render.item_cells(i, i.subject in self.skipped)) for i in self.items])
        subjects = [i.subject for i in self.items]
        if self.go_to in subjects:
            queue.move_cursor(subjects.index(self.go_to))
        self.go_to = None
        left = len(self.items)
        line = render.queue_line(run, self.decisions, left, len(self.writing), self.note, self.at)
        self.query_one("#desk", Static).update(line)
        queue.display = bool(self.items)
        if self.items:
            self.open()
        else:
            self.shown = None
            self.query_one("#case-text", Static).update(render.empty_queue(run, self.finished, self.graded))

    @property
    def chosen(self) -> Item | None:
        at = self.query_one(Rows).cursor_row
        return self.items[at] if 0 <= at < len(self.items) else None

    @on(Rows.Highlighted)
    def open(self) -> None:
        item = self.chosen
        if item is not None:
            self.host.fetch("case", lambda db: item_detail(db, item), self.opened)

    def opened(self, found: ItemDetail) -> None:
        item = self.chosen
        if item is None or found.item.subject != item.subject:
            return
        if self.shown is None or self.shown.item.subject != item.subject:
            self.query_one("#case", VerticalScroll).scroll_home(animate=False)
        self.shown = found
        text = render.item_text(found, self.finished, self.host.run_.review == "off", self.at)
        self.query_one("#case-text", Static).update(text)

    # -- deciding --------------------------------------------------------------------------------------------------

    def action_decide(self, decision: str) -> None:
        item, note = self.chosen, self.note
        if item is None or self.host.run_.review == "off" or self.at is not None:
            return
        self.note = ""
        self.sent.add(item.subject)
        self.writing.add(item.subject)
        self.items = [i for i in self.items if i.subject != item.subject]
        self.host.writer.put(
            lambda control: control.decide(item.subject, decision, note),
            lambda _: self.written(item.subject),
            lambda _: self.refused(item.subject),
        )
        self.draw_from_here()

    def written(self, subject: str) -> None:
        self.writing.discard(subject)
        self.read()

    def refused(self, subject: str) -> None:
        self.writing.discard(subject)
        self.sent.discard(subject)
        self.read()

    def action_skip(self) -> None:
        item = self.chosen
        if item is not None:
            self.skipped = [*(s for s in self.skipped if s != item.subject), item.subject]
            self.items = [*(i for i in self.items if i.subject != item.subject), item]
            self.draw_from_here()

    def draw_from_here(self) -> None:
        """Draw the queue with the cursor on the item that took the place of the removed one."""
        at = self.query_one(Rows).cursor_row
        self.go_to = self.items[min(at, len(self.items) - 1)].subject if self.items else None
        self.draw()

    def action_undo(self) -> None:
        self.host.writer.put(lambda control: control.undo(), self.undone)

    def undone(self, subject: str | None) -> None:
        if subject is not None:
            self.sent.discard(subject)
            self.go_to = subject
        self.read()

    def action_note(self) -> None:
        field = self.query_one("#note-field", Input)
        field.display = True
        field.value = self.note
        field.focus()

    @on(Input.Submitted)
    def noted(self, event: Input.Submitted) -> None:
        self.note = event.value.strip()
        self.action_leave()

    def action_leave(self) -> None:
        self.query_one("#note-field", Input).display = False
        self.enter()
        self.draw()

    def on_resize(self, event: events.Resize) -> None:
        self.refresh(layout=True)
