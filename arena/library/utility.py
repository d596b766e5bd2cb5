"""What each post did for those who were shown it, from what was left out at random: rows for `culture.uplift`.

Attempts at one problem, by one solver or by several, come out alike more often than not, and are not taken for
independent. For choosing, the last generations alone count, so that what is asked every generation stays cheap. Left
out: what setters made of a post they varied (`arena.report.metrics.paired_uplift.offspring`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from arena.run.fold import RunState
from arena.run.store import Store
from culture.uplift import Trial, estimates

_TRIALS = """SELECT r.post, r.propensity, a.round AS request, a.correct, p.kind, p.author
    FROM {table} r JOIN posts p ON p.id = r.post
    JOIN attempts a ON a.round = substr(r.request, 1, instr(r.request, '/') - 1)
        AND a.seat = substr(r.request, instr(r.request, '/') + 1)
    WHERE r.rowid > ? AND r.phase = 'solve' AND r.propensity < 1 AND r.generation BETWEEN ? AND ?"""


@dataclass(frozen=True)
class Trials:
    """Each attempt by a reader for whom a post was chosen, whether it was shown or left out; what posts they are of."""

    rows: list[Trial]
    kinds: dict[str, str]
    authors: dict[str, str]


def trials(store: Store, first: int, last: int) -> Trials:
    """Of generations `first` to `last`. Posts that could not have been left out tell nothing, and are not in it."""
    found = Trials([], {}, {})
    for table, shown in (("reads", True), ("withheld", False)):
        for r in store.query(_TRIALS.format(table=table), [store.before(table, first), first, last]):
            found.rows.append(Trial(r["post"], shown, r["propensity"], r["correct"], r["request"]))
            found.kinds[r["post"]], found.authors[r["post"]] = r["kind"], r["author"]
    return found


def utilities(state: RunState) -> Mapping[str, float]:
    """Shrunken uplift by post id, over the generations before the one in progress; made once a generation."""
    if state.generation.utilities is None:
        g = state.generation.index
        found = trials(state.store, g - state.config.library.uplift_window, g - 1)
        state.generation.utilities = {post: w.shrunk for post, w in estimates(found.rows, found.kinds).items()}
    return state.generation.utilities
