"""What an agent reads: a few posts under a token budget, each with the probability with which it was chosen.

Definitions are found by name, other posts by words (BM25). Random distractors can be added, so that having
read a post is not the same as needing it, and the order is shuffled so that place in the context says
nothing.

Left out: withholding at random, ranking by measured usefulness, and logging (the caller logs what it really
showed).

Not guaranteed: that distractors are useless to the reader; that `distractors` of them are found (see
`retrieve`).
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from culture.library import Library
from culture.posts import Post


@dataclass(frozen=True)
class Retrieved:
    """A post to show, and the probability in (0, 1] with which this call chose it."""

    post: Post
    propensity: float


def render(post: Post) -> str:
    """The text of a post as it is counted, and as a reader should be shown it."""
    return f"{post.title}\n{post.body}"


def retrieve(
    library: Library,
    *,
    names: Sequence[str],
    words: str = "",
    budget: int,
    limit: int = 3,
    count_tokens: Callable[[str], int],
    rng: random.Random,
    distractors: int = 0,
    render: Callable[[Post], str] = render,
) -> list[Retrieved]:
    """At most `limit` posts that were asked for, plus at most `distractors` other definitions, in shuffled
    order.

    Definitions of `names` come first, in that order, then the best matches of `words`; one that does not fit
    in what is left of `budget` is passed over. The sum of `count_tokens(render(post))` never exceeds `budget`
    (separators that the caller puts between posts are the caller's to count). These have propensity 1.

    Then k = `distractors` (or N, if fewer) are drawn from the N other definitions in force. Each has an equal
    share of the tokens left, and one that is longer than its share is dropped: so a drawn one's propensity is
    exactly k/N, whatever else was drawn. Raises ValueError for a negative budget, limit or number of
    distractors.
    """
    if min(budget, limit, distractors) < 0:
        raise ValueError(f"must not be negative: budget {budget}, limit {limit}, distractors {distractors}")
    chosen: dict[str, Retrieved] = {}
    left = budget
    by_name = library.definitions(names)
    for post in [*by_name.values(), *_by_words(library, words, 4 * limit + len(by_name))]:
        if len(chosen) >= limit:
            break
        cost = count_tokens(render(post))
        if post.id not in chosen and cost <= left:
            chosen[post.id] = Retrieved(post, 1.0)
            left -= cost
    if distractors:
        shown = {item.post.title for item in chosen.values()}.union(names)
        others = [id for name, id in library.definition_ids().items() if name not in shown]
        drawn = rng.sample(others, min(distractors, len(others)))
        for id in drawn:
            other = library.get(id)
            assert other is not None, id
            if count_tokens(render(other)) <= left // len(drawn):
                chosen[id] = Retrieved(other, len(drawn) / len(others))
    result = list(chosen.values())
    rng.shuffle(result)
    return result


def _by_words(library: Library, words: str, limit: int) -> list[Post]:
    """Search results without definitions whose name an earlier definition holds."""
    found = library.search(words, limit=limit)
    in_force = library.definitions([post.title for post in found if post.kind == "definition"])
    return [post for post in found if post.kind != "definition" or in_force[post.title].id == post.id]
