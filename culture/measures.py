"""Measures of culture: use, accumulation, novelty and diversity of posts.

Small pure functions over plain data (ids, texts, counts), for screens and the report.

Left out: whether posts help (that takes a controlled experiment, not counting), intervals, and plots.

Not guaranteed: cites are an author's claims, so `reuse_rate` and `citation_depth` measure credit given, not use; word
overlap is blind to paraphrase, so `innovation_rate` is an upper estimate. A rate over nothing is nan, never 0.
"""

import math
import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np


def reuse_rate(cites: Mapping[str, Sequence[str]], author: Mapping[str, str]) -> float:
    """Share of posts that someone other than their author cites, in [0, 1]; nan without posts.

    `cites` maps every post's id to the ids it cites, `author` every post's id to its author. Cites of posts
    outside `cites` are ignored. Self-citation does not count, so it cannot be farmed alone.
    """
    used = {to for by, targets in cites.items() for to in targets if to in cites and author[by] != author[to]}
    return len(used) / len(cites) if cites else math.nan


def citation_depth(cites: Mapping[str, Sequence[str]]) -> int:
    """Number of citations on the longest chain of posts that cite one another; 0 without a citation. Cites of posts
    outside `cites` are ignored. Raises ValueError for a cycle, which content-based ids cannot form."""
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


def pagerank(cites: Mapping[str, Sequence[str]], damping: float = 0.85, rounds: int = 200) -> dict[str, float]:
    """PageRank: share of time that a reader who follows citations spends on each post (Brin & Page 1998); the shares
    sum to 1.

    With probability 1 - `damping`, and from a post that cites nothing, the reader jumps to a random post. Cites of
    posts outside `cites` are ignored. By power iteration, at most `rounds` times, until the total change is below
    1e-12.
    """
    ids = list(cites)
    if not ids:
        return {}
    number = {post: i for i, post in enumerate(ids)}
    pairs = [(i, number[to]) for i, post in enumerate(ids) for to in dict.fromkeys(cites[post]) if to in number]
    source, target = (np.array([pair[side] for pair in pairs], dtype=np.int64) for side in (0, 1))
    out = np.bincount(source, minlength=len(ids))
    rank = np.full(len(ids), 1 / len(ids))
    for _ in range(rounds):
        flow = np.bincount(target, weights=rank[source] / out[source], minlength=len(ids))
        after = (1 - damping + damping * rank[out == 0].sum()) / len(ids) + damping * flow
        moved, rank = float(np.abs(after - rank).sum()), after
        if moved < 1e-12:
            break
    return dict(zip(ids, rank.tolist(), strict=True))


def ngrams(text: str, n: int) -> list[tuple[str, ...]]:
    """The n-grams of a text's words in order, case folded; a punctuation mark such as `+` is a word, as in programs."""
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

    `posts` gives each post's text and the texts its author read before. A post is new if its greatest `similarity`
    (Jaccard on word n-grams, n = 3) to any of those is below `tau`; every post of an author who read nothing is new.
    """
    if not 0.0 < tau <= 1.0:
        raise ValueError(f"tau must lie in (0, 1]: {tau}")
    new = [all(similarity(text, seen, n) < tau for seen in read) for text, read in posts]
    return sum(new) / len(new) if new else math.nan


class Nearest:
    """Texts read so far, with the greatest similarity of a new text to any of them, found through an index of n-grams.

    The result equals a comparison with each of them by `similarity`.
    """

    def __init__(self, n: int = 3) -> None:
        self.n = n
        self.sizes: list[int] = []
        self.holding: dict[tuple[str, ...], list[int]] = defaultdict(list)
        self.held: set[frozenset[tuple[str, ...]]] = set()

    def add(self, text: str) -> None:
        grams = frozenset(_shingles(text, self.n))
        if grams not in self.held:
            self.held.add(grams)
            for gram in grams:
                self.holding[gram].append(len(self.sizes))
            self.sizes.append(len(grams))

    def closest(self, text: str) -> float:
        """The greatest similarity to any text added, 0 with none."""
        grams = _shingles(text, self.n)
        shared = Counter(i for gram in grams for i in self.holding.get(gram, ()))
        return max((n / (len(grams) + self.sizes[i] - n) for i, n in shared.items()), default=0.0)


def hill_numbers(counts: Iterable[float]) -> tuple[float, float, float]:
    """Effective numbers of kinds of order 0, 1 and 2 (Hill 1973): N0 >= N1 >= N2.

    With p the shares of `counts`: N0 = number of kinds that occur, N1 = exp(-sum p ln p), N2 = 1 / sum p^2. All are 0
    for empty counts. Raises ValueError for a negative count.
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


def distinct_at(texts: Iterable[str], n: int, words: int) -> float:
    """`distinct_n` of the first `words` words of the texts in order, n-grams within a text; nan where there are fewer.

    For comparing samples of different size. Raises ValueError unless `words` is at least 1.
    """
    if words < 1:
        raise ValueError(f"a sample of words must have at least 1: {words}")
    left, grams = words, list[tuple[str, ...]]()
    for text in texts:
        found = [word for (word,) in ngrams(text, 1)][:left]
        left -= len(found)
        grams += [tuple(found[i : i + n]) for i in range(len(found) - n + 1)]
    return len(set(grams)) / len(grams) if grams and not left else math.nan


def perplexity(nats: Sequence[float], tokens: Sequence[int]) -> float:
    """Perplexity: exp of the mean nats per token of all texts together, each with its `nats` and number of `tokens`; at
    least 1.

    Under the initial model of a chain of generations it measures how likely that model would have written the texts
    (Shumailov et al. 2024, "AI models collapse when trained on recursively generated data"). nan without tokens. Raises
    ValueError for lists of unequal length.
    """
    if len(nats) != len(tokens):
        raise ValueError(f"{len(nats)} texts have {len(tokens)} numbers of tokens")
    return math.exp(math.fsum(nats) / sum(tokens)) if sum(tokens) else math.nan


def tail_mass(now: Sequence[float], before: Sequence[float], below: float) -> float:
    """Share of texts whose probability fell below the share `below` of its earlier value, in [0, 1]; nan without texts.

    `now` and `before` are the texts' negative log-probabilities in nats. On texts drawn from a model's first training
    data, it grows when the tails of that distribution are lost, which happens before its middle is (early collapse;
    Shumailov et al. 2024). Raises ValueError for lists of unequal length and unless 0 < below <= 1.
    """
    if len(now) != len(before):
        raise ValueError(f"{len(now)} texts have {len(before)} earlier probabilities")
    if not 0 < below <= 1:
        raise ValueError(f"the share of a probability that is left must lie in (0, 1]: {below}")
    return sum(a > b - math.log(below) for a, b in zip(now, before, strict=True)) / len(now) if now else math.nan


def vendi_score(texts: Sequence[str], n: int = 3) -> float:
    """Effective number of different texts, from 1 (all alike) to their number; nan without texts.

    exp(-sum l ln l) over the eigenvalues l of K / m, where K holds the `similarity` of each two of the m texts
    (Friedman & Dieng 2023, "The Vendi Score"). It grows with m, so compare equal numbers. Costs m^2 comparisons.
    """
    if not texts:
        return math.nan
    grams = [_shingles(text, n) for text in texts]
    kernel = np.eye(len(texts))
    for i, a in enumerate(grams):
        for j, b in enumerate(grams[:i]):
            shared = len(a & b)
            kernel[i, j] = kernel[j, i] = shared / (len(a) + len(b) - shared)
    values = np.linalg.eigvalsh(kernel / len(texts))
    values = values[values > 1e-12]
    return float(np.exp(-(values * np.log(values)).sum()))


def compression_ratio(texts: Iterable[str], size: int | None = None) -> float:
    """Bytes of the texts, one per line, over their bytes after compression by zlib; it increases with repetition.

    After Shaib et al. 2024 ("Standardizing the Measurement of Text Diversity"). `size` truncates the lines to that many
    bytes first, since longer data compress better; nan with fewer bytes, or none.
    """
    data = "\n".join(texts).encode("utf-8", errors="surrogatepass")
    if not data or (size is not None and len(data) < size):
        return math.nan
    data = data[:size]
    return len(data) / len(zlib.compress(data, 9))


def effective_styles(words: Mapping[str, Iterable[str]]) -> float:
    """Effective number of styles, from 1 (all authors use the same words) to the number of authors (no word shared);
    nan without words.

    The beta diversity of order 1 (Jost 2007): the effective number of words of all authors together over that of one
    author alone, with equal weights. With few words it is biased upwards.
    """
    counts = [Counter(w) for w in words.values()]
    counts = [c for c in counts if c]
    if not counts:
        return math.nan
    pooled: dict[str, float] = defaultdict(float)
    alone = 0.0
    for c in counts:
        total = c.total()
        alone += math.log(hill_numbers(c.values())[1])
        for word, k in c.items():
            pooled[word] += k / total
    return hill_numbers(pooled.values())[1] / math.exp(alone / len(counts))
