"""A slider over the generations, `[ 0 ----o---- 36 ]`, moved by mouse or, when focused, by the arrow keys."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

LABEL = "generation "
STATE = 9
"""Columns for the state text after the slider."""


class Timeline(Widget, can_focus=True):
    """Posts `Moved` with the requested generation; the application then sets `shown`. When focused, the knob is drawn
    wider, so that the focus is visible without colour."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "move(-1)", "Back", show=False),
        Binding("right", "move(1)", "Forward", show=False),
        Binding("home", "move_to(0)", "First", show=False),
    ]
    shown: reactive[int] = reactive(0)
    latest: reactive[int] = reactive(0)
    state: reactive[str] = reactive("")
    dragging = False

    class Moved(Message):
        def __init__(self, generation: int) -> None:
            super().__init__()
            self.generation = generation

    @property
    def track(self) -> tuple[int, int]:
        """First column and length of the track."""
        begin = len(LABEL) + len("[ 0 ")
        return begin, max(self.size.width - begin - len(f" {self.latest} ]  ") - STATE, 2)

    def render(self) -> Text:
        _, length = self.track
        at = self.place(length)
        knob = "(\N{BLACK CIRCLE})" if self.has_focus else "\N{BLACK CIRCLE}"
        left, right = at - (len(knob) > 1), length - at - 1 - (len(knob) > 1)
        knob = knob[1:] if left < 0 else knob[:-1] if right < 0 else knob
        out = Text(LABEL, no_wrap=True).append("[ ", "bold").append("0 ")
        out.append("\N{BOX DRAWINGS LIGHT HORIZONTAL}" * max(left, 0), "cyan").append(knob, "bold")
        out.append("\N{BOX DRAWINGS LIGHT HORIZONTAL}" * max(right, 0), "dim").append(f" {self.latest}")
        return out.append(" ]", "bold").append(f"  {self.state}", "dim")

    def place(self, length: int) -> int:
        """Column of the knob on a track of this length."""
        return round(min(self.shown, self.latest) / self.latest * (length - 1)) if self.latest else 0

    def generation_at(self, x: int) -> int:
        begin, length = self.track
        share = min(max((x - begin) / (length - 1), 0.0), 1.0)
        return round(share * self.latest)

    def action_move(self, by: int) -> None:
        self.action_move_to(self.shown + by)

    def action_move_to(self, generation: int) -> None:
        self.post_message(self.Moved(min(max(generation, 0), self.latest)))

    def on_mouse_down(self, event: events.MouseDown) -> None:
        self.dragging = True
        self.capture_mouse()
        self.action_move_to(self.generation_at(event.x))

    def on_mouse_move(self, event: events.MouseMove) -> None:
        if self.dragging:
            self.action_move_to(self.generation_at(event.x))

    def on_mouse_up(self) -> None:
        self.dragging = False
        self.release_mouse()
