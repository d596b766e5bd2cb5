"""The plan of kills: every phase gets its share, and within a phase every moment.

All draws come from the seed. Where a kill lands also depends on the machine, so kills are counted by the last event of
the killed process, not by the plan.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from arena.tools.chaos.events import OPENING

AHEAD = 5
"""The next kill is among this many phases ahead: fewer cost less time, more spread the kills better."""
SHARES = {"playing": 0.4, "storing": 0.2, "committing": 0.2, "renaming": 0.2}
"""Shares of the kills in a phase: during its work, its transaction, its commit, or the rename of a file."""
OPENINGS = 0.08
"""Share of kills while the run is made or opened."""
RENAMING = 0.0004
"""Seconds after the start of a rename within which a kill comes."""


@dataclass(frozen=True)
class Timing:
    """One phase of the undisturbed run: seconds until its transaction, until the commit and until the report of it, and
    the number of renamed files."""

    playing: float
    storing: float
    committing: float
    renames: int = 0


@dataclass(frozen=True)
class Aim:
    """Kill `delay` seconds after a phase began to play, to be stored, to commit or to rename its file number `which`,
    or after the process started (`opening`)."""

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
    """Draw the next kill among the next phases that are not stored; phases with fewer kills are more likely."""
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
