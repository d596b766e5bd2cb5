"""What each post did for those who were shown it, from what was left out at random: rows for `culture.worth`.

Of the last generations only, so that what is asked every generation stays cheap. Left out: what setters made of a post
they varied (`arena.report.usefulness.offspring`).
"""

from __future__ import annotations

from collections.abc import Mapping

from arena.state import Arena
from arena.store import Store
from culture.worth import Trial, estimate

WINDOW = 12
"""Generations that count."""

_TRIALS = """SELECT r.post, {shown} AS shown, r.propensity, a.correct, p.kind, p.author FROM {table} r
    JOIN posts p ON p.id = r.post
    JOIN attempts a ON a.round = substr(r.request, 1, instr(r.request, '/') - 1)
        AND a.seat = substr(r.request, instr(r.request, '/') + 1)
    WHERE r.phase = 'solve' AND r.generation >= ? AND r.generation <= ?"""


def trials(store: Store, first: int, last: int) -> list[Trial]:
    """Each attempt by a reader for whom a post was chosen, whether it was shown or left out."""
    found = []
    for table, shown in (("reads", 1), ("withheld", 0)):
        for r in store.query(_TRIALS.format(table=table, shown=shown), [first, last]):
            found.append(Trial(r["post"], bool(r["shown"]), r["propensity"], r["correct"], r["kind"], r["author"]))
    return found


def worth(arena: Arena) -> Mapping[str, float]:
    """Shrunken uplift by post id, over the generations before the one in progress; made once a generation."""
    if arena.generation.worth is None:
        g = arena.generation.index
        found = estimate(trials(arena.store, g - WINDOW, g - 1))
        arena.generation.worth = {post: e.shrunk for post, e in found.items()}
    return arena.generation.worth
