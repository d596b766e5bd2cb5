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
1 2 3 4 5  Arena, Rounds, Agent, Library, Review
[ ]        Arena, Rounds: a generation back, on; so do the mouse on the
           line of generations, or tab to it and then left, right, home
space      Arena, Rounds: replay the run, generation by generation; pause
l, end     the latest generation again, following the run
arrows     move; enter opens what is chosen; escape goes back
f          Rounds: all problems, valid, learnable or disputed ones
n p        Agent: the next, the previous one; tab, enter: a relative
/ k u      Library: find words; kind of post; the most useful first
a r s u n  Review: accept, reject, skip (it comes back), undo, note
P X        a run at work: pause after this phase, or go on; stop
           after this generation; again: do not
ctrl+p     every command by name
q          quit; the run goes on

set solve grade  rating in that role: each generation is a race by mean
                 reward; all begin at 25; with it, twice its standard
                 deviation. Ratings of different roles do not compare
solved           share of its tries that a verifier accepted, lately
earned           learnability its problems were paid, all its life
learnable        its problems that some tries solved and others did not
uplift           solved with its definitions in context minus without,
                 [95 % interval]; pairs: problems asked both ways
bred             problems varied from its posts: learnable / all
* ! ?            a learnable problem; a grader disputed the verifier; a
                 problem in doubt, which does not count
behaviours       how many would be as varied, were all as frequent"""


class Help(ModalScreen[None]):
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,question_mark,q", "app.pop_screen", "Close")]

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="help"):
            yield Static(Text(HELP))
