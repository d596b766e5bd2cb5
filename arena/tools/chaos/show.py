"""The printed output of the command `chaos`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from arena.tools.chaos.events import PLACES
from arena.tools.chaos.hunt import Tally
from arena.tools.chaos.run import Outcome

SAID = 20
"""Faults that are printed in a sentence each; the others are only counted."""
STEPS = 20
"""Total lines of progress."""


def progress(most: int, say: Callable[[str], None]) -> Callable[[Tally], None]:
    """A callback that prints the progress `STEPS` times in all."""

    def report(tally: Tally) -> None:
        if tally.killed * STEPS // most != (tally.killed - 1) * STEPS // most:
            say(f"{tally.killed} of {most} kills, {tally.resumes} resumes, {tally.runs} runs at their end")

    return report


def lines(outcome: Outcome) -> Iterator[str]:
    """The table of kills, then the counts that must be 0."""
    shown = (*PLACES, "kills")
    yield f"{'phase':<10}" + "".join(f"{name:>12}" for name in shown)
    rows = [(phase, [*counts, sum(counts)]) for phase, counts in outcome.table()]
    rows.append(("all", [sum(column) for column in zip(*(counts for _, counts in rows), strict=True)]))
    for phase, counts in rows:
        yield f"{phase:<10}" + "".join(f"{n or '.':>12}" for n in counts)
    t, v = outcome.tally, outcome.verdict
    yield ""
    yield f"runs that came to their end            {t.runs}"
    yield f"resumes                                {t.resumes}"
    for words, n in (
        ("differences to the undisturbed run", v.differences),
        ("posts lost", v.posts_lost),
        ("stored phases lost", v.phases_lost),
        ("attempts counted twice", v.attempts_twice),
        ("faults in the log or the database", v.log_broken),
        ("files missing, wrong or left over", v.files_wrong),
    ):
        yield f"{words:<38} {n}"
    yield f"{t.killed} kills in {outcome.seconds:.0f} s, {outcome.rate:.0f} a minute"
    yield from v.said[:SAID]
