"""What posts did for those who were shown them at work, from what was left out at random (`culture.uplift`), as data.

Of the whole run, or of what has been played of it. `arena.report.metrics.paired_uplift` measures something else:
held-out problems, each asked of the same agent with all that the library has on its names and with nothing.

Left out: posts that could not have been left out, and posts shown beside others as distractors.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from arena.library.utility import Trials, trials
from arena.run.store import Row, Store
from culture.uplift import Worth, by, estimates, needed

EFFECT = 0.2
"""The difference of pass rates of which it is told how many problems it takes to see it on one post."""


@dataclass(frozen=True)
class Found:
    """Worth by kind, by author and by post, of all attempts; `problems` counts, by post and arm, different problems."""

    trials: Trials
    kinds: dict[str, Worth]
    authors: dict[str, Worth]
    posts: dict[str, Worth]
    problems: dict[str, tuple[int, int]]

    @property
    def enough(self) -> list[str]:
        """Posts with as many problems in each arm as it takes to see EFFECT."""
        return [post for post, arms in self.problems.items() if min(arms) >= needed(EFFECT)]


def worths(store: Store) -> Found | None:
    """None where nothing was left out."""
    if not store.query("SELECT 1 FROM withheld LIMIT 1"):
        return None
    found = trials(store, 0, 2**62)
    if all(t.shown for t in found.rows):
        return None
    seen = Counter((post, shown) for post, shown, _ in {(t.post, t.shown, t.request) for t in found.rows})
    posts = estimates(found.rows, found.kinds)
    return Found(
        found,
        by(found.rows, found.kinds),
        by(found.rows, found.authors),
        posts,
        {post: (seen[post, True], seen[post, False]) for post in posts},
    )


def summary(store: Store) -> Row | None:
    """Plain data: by kind and by author; how many posts there are, and of how many there are enough problems."""
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
    """Without a difference there is no interval to tell."""
    low, high = (w.low, w.high) if w.difference is not None else (None, None)
    return {"shown": w.shown, "withheld": w.withheld, "difference": w.difference, "low": low, "high": high}
