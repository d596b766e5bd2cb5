"""The phases of a generation. Each takes an open arena and gives records, by table; no record is stored here.

A phase may not draw on anything but the arena's folded state, so that the same records come out when it is played again
after a crash. One engine call or one learner call a phase; nothing loops over agents around a model call.
"""

from __future__ import annotations

from collections.abc import Callable

from arena.phases.grade import grade
from arena.phases.measure.heldout import measure
from arena.phases.post import post
from arena.phases.propose import propose
from arena.phases.read import read
from arena.phases.records import Produced
from arena.phases.sleep import sleep
from arena.phases.solve import solve
from arena.phases.turnover import turnover
from arena.run.state import Arena

Phase = Callable[[Arena], Produced]
PHASES: tuple[tuple[str, Phase], ...] = (
    ("read", read),
    ("propose", propose),
    ("solve", solve),
    ("grade", grade),
    ("post", post),
    ("sleep", sleep),
    ("turnover", turnover),
    ("measure", measure),
)
UNCOUNTED = ("baseline", "measure", "final")  # evaluation is reported apart from compute


def birth(arena: Arena) -> Produced:
    """The first population."""
    return {"agents": [arena.newborn(i, 0, [], "nothing", i) for i in range(arena.config.population.agents)]}
