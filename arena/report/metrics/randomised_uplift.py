"""Effect of posts on the readers they were shown to, from withholding at random (`culture.uplift`), as data.

Of the whole run, or of the part that has been played. `arena.report.metrics.paired_uplift` measures something else:
held-out problems, each asked of the same agent with all that the library has on its names and with nothing.

Left out: posts that could not have been withheld, and posts shown as distractors.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from arena.library.utility import Trials, trials
from arena.run.store import Row, Store
from culture.uplift import Worth, by, estimates, needed

EFFECT = 0.2
"""Difference of pass rates for which the number of problems needed on one post is reported."""


@dataclass(frozen=True)
class Uplifts:
    """Uplift by kind, by author and by post, over all attempts; `problems` counts distinct problems by post and arm."""

    trials: Trials
    kinds: dict[str, Worth]
    authors: dict[str, Worth]
    posts: dict[str, Worth]
    problems: dict[str, tuple[int, int]]

    @property
    def enough(self) -> list[str]:
        """Posts with as many problems in each arm as it takes to see EFFECT."""
        return [post for post, arms in self.problems.items() if min(arms) >= needed(EFFECT)]


def worths(store: Store) -> Uplifts | None:
    """The uplifts of a run; None if nothing was withheld."""
    if not store.query("SELECT 1 FROM withheld LIMIT 1"):
        return None
    found = trials(store, 0, 2**62)
    if all(t.shown for t in found.rows):
        return None
    seen = Counter((post, shown) for post, shown, _ in {(t.post, t.shown, t.request) for t in found.rows})
    posts = estimates(found.rows, found.kinds)
    return Uplifts(
        found,
        by(found.rows, found.kinds),
        by(found.rows, found.authors),
        posts,
        {post: (seen[post, True], seen[post, False]) for post in posts},
    )


def summary(store: Store) -> Row | None:
    """The uplifts as plain data: by kind and by author, the number of posts, and the number of posts with enough
    problems."""
    found = worths(store)
    if found is None:
        return None
    kinds, authors = Counter(found.trials.kinds.values()), Counter(found.trials.authors.values())
    return {
        "kinds": {name: {"posts": kinds[name], **row(w)} for name, w in found.kinds.items()},
        "authors": {name: {"posts": authors[name], **row(w)} for name, w in found.authors.items()},
        "posts": len(found.posts),
        "effect": EFFECT,
        "needed": needed(EFFECT),
        "enough": len(found.enough),
    }


def row(w: Worth) -> Row:
    """One uplift as plain data; without a difference the interval is None."""
    low, high = (w.low, w.high) if w.difference is not None else (None, None)
    return {"shown": w.shown, "withheld": w.withheld, "difference": w.difference, "low": low, "high": high}
