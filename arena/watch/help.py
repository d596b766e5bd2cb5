"""The help of the watcher: every key, and what the words of the tables mean."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

HELP = """\
1 2 3 4 5   Arena, Rounds, Agent, Library, Review
[ ]         Arena, Rounds: a generation back, a generation on; so do the mouse and, after tab,
            left and right on the line above, home for the first
space       Arena, Rounds: replay the run generation by generation; again: pause
l or end    the latest generation again, following the run
arrows      move; enter opens what is chosen; escape goes back
f           Rounds: all, valid or learnable problems
n p         Agent: the next one, the previous one
tab         Agent: the family tree, where enter opens a relative
/ k u       Library: search words (enter: to the list); kind of post; most useful first
a r s u n   Review: accept, reject, skip (it comes back later), undo the last decision that the
            run has not taken yet, a note to the next decision
P X         a run that is played: pause after this phase, or go on; stop after this generation
ctrl+p      every command by name
q           quit; the run goes on

set solve grade  rating in that role, from races of rewards each generation: all begin
                 at 25, ± 2 standard deviations; roles do not compare
solved           share of its tries lately that a verifier accepted
earned           learnability that its problems were paid so far
uplift           share solved with its definitions in context minus without, same problems
* !              learnable; a grader disagreed with execution"""


class Help(ModalScreen[None]):
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,question_mark,q", "app.pop_screen", "Close")]

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="help"):
            yield Static(Text(HELP))
