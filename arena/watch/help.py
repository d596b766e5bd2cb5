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
[ ]        Arena, Rounds: a generation back, a generation on. So do a mouse on
           the line of generations, or tab to it and left, right, home
space      Arena, Rounds: replay the run, generation by generation; or pause
l, end     the latest generation again, following the run
arrows     move; enter opens what is chosen; escape goes back
f          Rounds: all, valid or learnable problems
n p        Agent: the next one, the previous one; tab, enter: a relative
/ k u      Library: search words; kind of post; the most useful first
a r s u n  Review: accept, reject, skip (it comes back), undo, note
P X        a run at work: pause after this phase, or go on; stop
           after this generation; again: do not
ctrl+p     every command by name
q          quit; the run goes on

set solve grade  rating in that role. Each generation is a race of mean rewards;
                 all begin at 25. Beside it, twice its standard deviation.
                 Ratings of different roles do not compare
solved           share of its tries that a verifier accepted, lately
earned           learnability that its problems were paid, all its life
learnable        its problems that some attempts solved and others did not
uplift           problems solved with its definitions in context minus the same
                 without; [95 % interval]; pairs: problems asked both ways
bred             learnable problems that others varied from its posts
* !              a learnable problem; a grader who disagreed with execution
behaviours       how many programs would be as varied if all were as frequent"""


class Help(ModalScreen[None]):
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,question_mark,q", "app.pop_screen", "Close")]

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="help"):
            yield Static(Text(HELP))
