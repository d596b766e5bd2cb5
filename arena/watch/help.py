"""The help screen: every key, and the meaning of the table columns and marks."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

HELP = """\
1 2 3 4 5  show the Arena, Rounds, Agent, Library or Review screen
[ ]        previous, next generation on every screen; by mouse on the
           timeline, or tab to the timeline, then left, right and home
space      replay the run by generation; pause the replay
l, end     show the latest generation and follow the run
arrows     move the cursor; enter opens the row; escape goes back
f          Rounds: show all, valid, learnable or disputed problems
n p        Agent: next, previous agent; tab and enter open a relative
/ k u      Library: search; filter by kind of post; sort by usefulness
a r s u n  Review: accept, reject, skip (it comes back), undo, note
P X        running run: pause after this phase, or resume; stop after
           this generation, or cancel the stop
ctrl+p     all commands by name
q          quit; the run continues

set solve grade  rating in that role, from the mean rewards of each
                 generation; initial rating 25; ±: two standard
                 deviations. Ratings of different roles do not compare
solved           share of its recent attempts that were verified
earned           learnability paid for its problems, in total
learnable        its problems that some attempts solved, but not all
uplift           paired uplift: solve rate of held-out problems with its
                 definitions in context minus without, [95 % interval];
                 pairs: problems measured both ways
offspring        problems varied from its posts: learnable / all
* ! ?            learnable problem; grader disagrees with the verifier;
                 doubtful problem, which is not counted
behaviours       effective number of distinct behaviours (Hill number)"""


class Help(ModalScreen[None]):
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,question_mark,q", "app.pop_screen", "Close")]

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="help"):
            yield Static(Text(HELP))
