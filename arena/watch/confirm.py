"""A yes-or-no dialog over the screens."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen
from textual.widgets import Static


class Confirm(ModalScreen[bool]):
    """Returns True for y and enter, False for n, escape and q."""

    DEFAULT_CSS = """
    Confirm { align: center middle; }
    #question { width: 70; max-width: 100%; height: auto; border: round $warning; padding: 0 1; background: $surface; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y,enter", "answer(True)", "Yes"),
        Binding("n,escape,q", "answer(False)", "No"),
    ]

    def __init__(self, question: str) -> None:
        super().__init__()
        self.question = question

    def compose(self) -> ComposeResult:
        yield Static(Text(f"{self.question}\n\ny: yes   n: no"), id="question")

    def action_answer(self, yes: bool) -> None:
        self.dismiss(yes)
