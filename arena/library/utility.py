"""Utility of posts: the effect on solvers of being shown a post, from posts withheld at random (`culture.uplift`).

Attempts at one problem are correlated and are not treated as independent. Retrieval uses recent generations only
(`library.uplift_window`), which bounds the cost per generation. Left out: the effect on setters that vary a post
(`arena.report.metrics.paired_uplift.offspring`).
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
    """Attempts by readers for whom a post was chosen, shown or withheld; kind and author of these posts."""

    rows: list[Trial]
    kinds: dict[str, str]
    authors: dict[str, str]


def trials(store: Store, first: int, last: int) -> Trials:
    """Trials of generations `first` to `last`, without posts that could not have been withheld (propensity 1)."""
    found = Trials([], {}, {})
    for table, shown in (("reads", True), ("withheld", False)):
        for r in store.query(_TRIALS.format(table=table), [store.before(table, first), first, last]):
            found.rows.append(Trial(r["post"], shown, r["propensity"], r["correct"], r["request"]))
            found.kinds[r["post"]], found.authors[r["post"]] = r["kind"], r["author"]
    return found


def utilities(state: RunState) -> Mapping[str, float]:
    """Shrunken uplift by post id, over the generations before the current one; computed once per generation."""
    if state.generation.utilities is None:
        g = state.generation.index
        found = trials(state.store, g - state.config.library.uplift_window, g - 1)
        state.generation.utilities = {post: w.shrunk for post, w in estimates(found.rows, found.kinds).items()}
    return state.generation.utilities
