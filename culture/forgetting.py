"""Forgetting policies: which posts leave the index because they are old, useless, or beyond the budget.

A post's score is its utility times its freshness. Utility is its estimated uplift, or 0 if that is negative; freshness
halves with every `half_life` generations since the post was last used, or posted if it was never used.

Left out: estimating uplift (`culture.uplift`), writing books, and the removal itself (`Library.remove`). Not
guaranteed: that a forgotten post was useless (uplift is an estimate, poor for most posts); that the posts kept are the
best set that fits (they are taken greedily).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Policy = Literal["keep", "decay", "budget", "books"]
POLICIES = ("keep", "decay", "budget", "books")
DECAY_BELOW = 0.05
"""Score under which `decay` forgets. A post that raises its readers' pass rate by .2 is kept for two half-lives after
its last use, one that raises it by .8 for four, and one that does nothing for one (see `forgotten`)."""


@dataclass(frozen=True)
class Indexed:
    """A post of the index: `generation` is that of its last use, or of its birth where it was never used; `worth` is
    what it adds to the pass rate of its readers (where nothing is known of it: the mean of its kind)."""

    post_id: str
    seq: int
    generation: int
    tokens: int
    worth: float

    def __post_init__(self) -> None:
        if self.tokens < 0 or not math.isfinite(self.worth):
            raise ValueError(f"tokens must not be negative and worth a number: {self.tokens}, {self.worth!r}")


def score(item: Indexed, now: int, half_life: float) -> float:
    """Utility times freshness, in [0, worth]."""
    return max(item.worth, 0.0) * freshness(item, now, half_life)


def freshness(item: Indexed, now: int, half_life: float) -> float:
    """Freshness in (0, 1]; 1 in the generation of the last use. Raises ValueError if `half_life` is not positive."""
    if not half_life > 0:
        raise ValueError(f"half_life must be positive: {half_life!r}")
    if item.generation > now:
        raise ValueError(f"post {item.post_id[:12]} is of generation {item.generation}, which is after {now}")
    return float(0.5 ** ((now - item.generation) / half_life))


def forgotten(
    policy: Policy,
    items: Sequence[Indexed],
    now: int,
    half_life: float = 8.0,
    index_tokens: int = 2000,
    decay_below: float = DECAY_BELOW,
) -> list[str]:
    """Ids to take out of the index in generation `now`, in the order of admission (`seq`).

    `keep`: none. `decay`: whose score is below `decay_below`, but nothing within a half-life of its last use, so that
    the new has time to show what it does. `budget` and `books`: the best by score, then the fresher, then the earlier,
    are kept while `index_tokens` last; one that does not fit is forgotten, and shorter ones after it may fit still.
    (`books` differs by what the arena does before: books take the place of what they compile.)
    """
    if policy not in POLICIES:
        raise ValueError(f"unknown policy of forgetting {policy!r} (of {', '.join(POLICIES)})")
    if index_tokens < 0:
        raise ValueError(f"index_tokens must not be negative: {index_tokens}")
    inorder = sorted(items, key=lambda item: item.seq)
    fresh = {item.post_id: freshness(item, now, half_life) for item in inorder}
    if policy == "keep":
        return []
    if policy == "decay":
        old = [item for item in inorder if now - item.generation > half_life]
        return [item.post_id for item in old if score(item, now, half_life) < decay_below]
    left, gone = index_tokens, set[str]()
    for item in sorted(inorder, key=lambda i: (-score(i, now, half_life), -fresh[i.post_id], i.seq)):
        if item.tokens <= left:
            left -= item.tokens
        else:
            gone.add(item.post_id)
    return [item.post_id for item in inorder if item.post_id in gone]
