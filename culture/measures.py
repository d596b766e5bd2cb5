"""Measures of culture: is what was written used, does it build on itself, is it new, and is it varied.

Small pure functions over plain data (ids, texts, counts), for a live screen and a report alike.

Left out: whether posts help (that takes a controlled experiment, not counting), intervals, and plots.

Not guaranteed: cites are an author's claims, so `reuse_rate` and `citation_depth` measure credit given, not
use; word overlap is blind to paraphrase, so `innovation_rate` is an upper estimate. A rate over nothing is
nan, never 0.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence


def reuse_rate(cites: Mapping[str, Sequence[str]], author: Mapping[str, str]) -> float:
    """Share of posts that someone other than their author cites, in [0, 1]; nan without posts.

    `cites` maps every post's id to the ids it cites, `author` every post's id to its author. Cites of posts
    outside `cites` are ignored. Self-citation does not count, so it cannot be farmed alone.
    """
    used = {to for by, targets in cites.items() for to in targets if to in cites and author[by] != author[to]}
    return len(used) / len(cites) if cites else math.nan


def citation_depth(cites: Mapping[str, Sequence[str]]) -> int:
    """Number of cites on the longest chain of posts that cite one another; 0 when none does.

    Cites of posts outside `cites` are ignored. Raises ValueError for a cycle, which ids by content cannot
    form.
    """
    depth: dict[str, int] = {}
    open_: set[str] = set()
    for start in cites:
        stack = [start]  # an explicit stack: chains grow with generations, past Python's recursion limit
        while stack:
            node = stack[-1]
            if node in depth:
                stack.pop()
                continue
            targets = [to for to in cites[node] if to in cites]
            waiting = [to for to in targets if to not in depth]
            if not waiting:
                depth[node] = max((1 + depth[to] for to in targets), default=0)
                open_.discard(node)
                stack.pop()
                continue
            open_.add(node)
            for to in waiting:
                if to in open_:
                    raise ValueError(f"posts cite one another in a circle through {to!r}")
            stack += waiting
    return max(depth.values(), default=0)


def ngrams(text: str, n: int) -> list[tuple[str, ...]]:
    """The n-grams of a text's words in order, case folded; a mark such as `+` is a word, as programs need."""
    if n < 1:
        raise ValueError(f"n of an n-gram must be at least 1: {n}")
    words = re.findall(r"\w+|[^\w\s]", text.casefold())
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


def similarity(a: str, b: str, n: int = 3) -> float:
    """Jaccard similarity of two texts' sets of word n-grams, in [0, 1] (Broder 1997, "resemblance").

    A text of fewer than n words counts as one gram of its own; two texts without any words are alike (1).
    """
    grams_a, grams_b = _shingles(a, n), _shingles(b, n)
    return len(grams_a & grams_b) / len(grams_a | grams_b)


def _shingles(text: str, n: int) -> set[tuple[str, ...]]:
    return set(ngrams(text, n)) or {tuple(word for (word,) in ngrams(text, 1))}


def innovation_rate(posts: Iterable[tuple[str, Sequence[str]]], tau: float = 0.5, n: int = 3) -> float:
    """Share of posts that are unlike everything their author had read, in [0, 1]; nan without posts.

    `posts` gives each post's text and the texts its author read before. A post is new when its greatest
    `similarity` (Jaccard on word n-grams, n = 3) to any of those is below `tau`; an author who read nothing
    copied nothing.
    """
    if not 0.0 < tau <= 1.0:
        raise ValueError(f"tau must lie in (0, 1]: {tau}")
    new = [all(similarity(text, seen, n) < tau for seen in read) for text, read in posts]
    return sum(new) / len(new) if new else math.nan


def hill_numbers(counts: Iterable[float]) -> tuple[float, float, float]:
    """Effective numbers of kinds of order 0, 1 and 2 (Hill 1973): N0 >= N1 >= N2.

    With p the shares of `counts`: N0 = how many occur, N1 = exp(-sum p ln p), N2 = 1 / sum p^2. All are 0
    when nothing occurs. Raises ValueError for a negative count.
    """
    values = list(counts)
    if any(not value >= 0 for value in values):
        raise ValueError(f"counts must not be negative: {values}")
    total = math.fsum(values)
    if total == 0:
        return 0.0, 0.0, 0.0
    shares = [value / total for value in values if value > 0]
    n1 = math.exp(-math.fsum(p * math.log(p) for p in shares))
    return float(len(shares)), n1, 1.0 / math.fsum(p * p for p in shares)


def distinct_n(texts: Iterable[str], n: int) -> float:
    """Distinct word n-grams of all texts over their number, in (0, 1]; nan without any n-gram.

    After Li et al. 2016 ("A Diversity-Promoting Objective Function for Neural Conversation Models"), who
    divide by the number of words; dividing by the number of n-grams lets texts without repetition reach 1. It
    falls as text is added, so compare equal amounts.
    """
    grams = [gram for text in texts for gram in ngrams(text, n)]
    return len(set(grams)) / len(grams) if grams else math.nan
