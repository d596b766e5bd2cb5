"""Retrieval: chooses a few posts for an agent within a token budget, and records the probability of each choice.

Definitions are found by name, other posts by words (BM25). Among several candidates the most useful one is chosen, with
probability `explore` a random one. A share of the chosen posts is withheld at random, so that the effect of a post can
be separated from the selection of its readers (`culture.uplift`). Random distractors can be added, so that having read
a post differs from needing it, and the order is shuffled so that position carries no information.

Left out: estimating uplift, and logging (the caller logs what was shown and what was withheld).

Not guaranteed: that distractors are useless to the reader; that `distractors` of them are found (see
`retrieve`).
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from culture.duplicates import Canonical, canonical_text, collapse
from culture.kinds import POST_KINDS
from culture.library import Library
from culture.posts import Post


@dataclass(frozen=True)
class Retrieved:
    """A post that was chosen for a reader, and the probability of this outcome.

    `shown`: False if the post was withheld; it is then logged but not put in the context. `propensity`, in (0, 1]: the
    probability that the post was chosen and shown, or chosen and withheld, given the earlier choices of the call; its
    inverse is the weight of the row in either arm of `culture.uplift.Trial`. `asked`: False for distractors, which are
    never withheld and are not trials.
    """

    post: Post
    propensity: float
    shown: bool = True
    asked: bool = True


def render(post: Post) -> str:
    """The text of a post as its tokens are counted and as it should be shown to a reader."""
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
    definitions: Mapping[str, Post] | None = None,
    worth: Mapping[str, float] | None = None,
    explore: float = 0.0,
    withhold: float = 0.0,
    canonical: Canonical = canonical_text,
    accept: Callable[[Post], bool] | None = None,
) -> list[Retrieved]:
    """At most `limit` posts that were asked for, plus at most `distractors` other definitions, in shuffled
    order.

    Definitions of `names` come first, in that order, then the best matches of `words`; one that does not fit
    in what is left of `budget` is passed over. The sum of `count_tokens(render(post))` never exceeds `budget`
    (separators that the caller puts between posts are the caller's to count). Of posts with one `canonical` text the
    earliest is kept, and of definitions that words find only those in force.

    `accept`, where given, says which of the posts that words find could be of use at all.

    `definitions`, where given, are what names mean to this reader, such as pages of books; the library is not asked.

    **Choosing.** Without `worth` and with `explore` 0, a name gets its first definition in the library, and words
    their best matches in order; each has propensity 1. Otherwise a name's candidates are each author's first
    definition of it, and each place left for words has all matches as candidates. Of the candidates that fit, the one
    of greatest `worth` (by id, 0 where none is given; on a tie the first) is chosen with probability 1 - explore, else
    any of n: so its propensity is 1 - explore + explore/n, and of any other explore/n.

    **Withholding.** What was asked for is withheld with probability `withhold`, one by one; its tokens and its place
    stay taken, so that all else is as it would have been.

    **Distractors.** Then k = `distractors` (or N, if fewer) are drawn from the N other definitions in force. Each
    has an equal share of the tokens left, and one that is longer than its share is dropped: so a drawn one's
    propensity is exactly k/N, whatever else was drawn.

    Raises ValueError for a negative budget, limit or number of distractors, and for shares out of range.
    """
    if min(budget, limit, distractors) < 0:
        raise ValueError(f"must not be negative: budget {budget}, limit {limit}, distractors {distractors}")
    if not 0 <= explore <= 1 or not 0 <= withhold < 1:
        raise ValueError(f"explore must lie in [0, 1] and withhold in [0, 1): {explore}, {withhold}")
    chooses = worth is not None or explore > 0
    chosen: dict[str, Retrieved] = {}
    texts: set[str] = set()
    left = budget

    def take(candidates: Sequence[Post]) -> bool:
        """Choose one of those that fit; whether one did."""
        nonlocal left
        fits = [p for p in candidates if p.id not in chosen and canonical(p) not in texts]
        fits = [p for p in fits if count_tokens(render(p)) <= left]
        if not fits:
            return False
        post, propensity = _choose(fits, worth or {}, explore, rng)
        chosen[post.id] = Retrieved(post, propensity)
        texts.add(canonical(post))
        left -= count_tokens(render(post))
        return True

    if definitions is None:
        by_name = _by_name(library, names, canonical, every=chooses)
    else:
        by_name = [[definitions[n]] for n in dict.fromkeys(names) if n in definitions]
    for candidates in by_name:
        if len(chosen) < limit:
            take(candidates)
    most = (16 if accept else 4) * limit + len(by_name)
    found = _by_words(library, words, most, canonical) if len(chosen) < limit else []
    found = [p for p in found if POST_KINDS[p.kind].retrieved and (p.kind != "definition" or p.title not in names)]
    if accept:
        found = [post for post in found if accept(post)][: 4 * limit]
    if chooses:
        while len(chosen) < limit and take(found):
            pass
    for post in found:
        if len(chosen) < limit:
            take([post])
    extra: list[Retrieved] = []
    if distractors:
        shown = {item.post.title for item in chosen.values()}.union(names)
        held: Mapping[str, Post | str] = library.definition_ids() if definitions is None else definitions
        others = [held[name] for name in held if name not in shown]
        drawn = rng.sample(others, min(distractors, len(others)))
        for item in drawn:
            other = library.get(item) if isinstance(item, str) else item
            assert other is not None, item
            if count_tokens(render(other)) <= left // len(drawn):
                extra.append(Retrieved(other, len(drawn) / len(others), asked=False))
    result = [_withheld(item, withhold, rng) for item in chosen.values()] + extra
    rng.shuffle(result)
    return result


def _choose(fits: Sequence[Post], worth: Mapping[str, float], explore: float, rng: random.Random) -> tuple[Post, float]:
    """One of `fits`, and the probability with which it was chosen."""
    if len(fits) == 1:
        return fits[0], 1.0
    best = max(range(len(fits)), key=lambda i: (worth.get(fits[i].id, 0.0), -i))
    at = rng.randrange(len(fits)) if explore and rng.random() < explore else best
    return fits[at], explore / len(fits) + (1 - explore if at == best else 0.0)


def _withheld(item: Retrieved, withhold: float, rng: random.Random) -> Retrieved:
    if not withhold:
        return item
    out = rng.random() < withhold
    return replace(item, shown=not out, propensity=item.propensity * (withhold if out else 1 - withhold))


def _by_name(library: Library, names: Sequence[str], canonical: Canonical, every: bool) -> list[list[Post]]:
    """For each name with a definition, what can stand for it, the earliest first: the definition in force, or each
    author's own first one, without those that say the same."""
    if not every:
        return [[post] for post in library.definitions(names).values()]
    found = []
    for posts in library.by_title(names).values():
        first = {post.author: post for post in reversed(posts)}
        firsts = [post for post in posts if first[post.author] is post]
        found.append(collapse(firsts, {post.id: i for i, post in enumerate(firsts)}, canonical))
    return found


def _by_words(library: Library, words: str, limit: int, canonical: Canonical) -> list[Post]:
    """Search results, the best first, without definitions whose name an earlier definition holds and without those
    that say the same as an earlier one."""
    found = library.search(words, limit=limit)
    in_force = library.definitions([post.title for post in found if post.kind == "definition"])
    found = [post for post in found if post.kind != "definition" or in_force[post.title].id == post.id]
    return collapse(found, library.order([post.id for post in found]), canonical)
