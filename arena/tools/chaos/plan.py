"""Where the next kill is to go: every phase its share, and within it every moment.

Everything comes from the seed. Where a kill then lands hangs on the machine too, which is why it is told by what the
killed process last said, not by what was aimed at.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from arena.tools.chaos.events import OPENING

AHEAD = 5
"""Phases ahead among which the next kill is aimed: fewer cost less time, more spread better."""
SHARES = {"playing": 0.4, "storing": 0.2, "committing": 0.2, "renaming": 0.2}
"""Of the kills in a phase: in its work, in its transaction, at its commit, around a file that takes its name."""
OPENINGS = 0.08
"""Share of kills while the run is made or opened."""
RENAMING = 0.0004
"""Seconds after a rename began within which a kill may come."""


@dataclass(frozen=True)
class Timing:
    """One phase of the undisturbed run: seconds until its transaction, until the commit, and until it was known to be
    stored; files that took their names."""

    playing: float
    storing: float
    committing: float
    renames: int = 0


@dataclass(frozen=True)
class Aim:
    """Kill `delay` seconds after a phase began to play, to be stored, to commit, or to rename its file number `which`;
    or after the process began (`opening`)."""

    generation: int
    phase: str
    moment: str
    delay: float
    which: int = 0


def aim(
    rng: random.Random,
    ahead: Sequence[tuple[int, str]],
    timings: Mapping[tuple[int, str], Timing],
    kills: Mapping[str, int],
    opening: float,
) -> Aim:
    """The next kill, among the next phases that are not stored; phases that had few kills come first."""
    choices = [at for at in ahead[:AHEAD] if at in timings]
    if not choices or rng.random() < OPENINGS:
        return Aim(0, OPENING, OPENING, rng.random() * opening)
    at = rng.choices(range(len(choices)), [1.0 / (1 + kills.get(phase, 0)) ** 2 for _, phase in choices])[0]
    (generation, phase), timing = choices[at], timings[choices[at]]
    moments = [m for m in SHARES if m != "renaming" or timing.renames]
    moment = rng.choices(moments, [SHARES[m] for m in moments])[0]
    long = RENAMING if moment == "renaming" else float(getattr(timing, moment))
    which = rng.randrange(timing.renames) if moment == "renaming" else 0
    return Aim(generation, phase, moment, rng.random() * long, which)
