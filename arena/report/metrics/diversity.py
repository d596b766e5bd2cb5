"""Diversity of the problems that are set, by generation, measured on samples of equal size.

Nearly every measure of diversity depends on the amount of text, so each generation contributes the same number of valid
problems, words and bytes: a fixed random sample, as large as the smallest generation that has enough. Words are those
of a problem's text up to its input. Only the main domain is measured: the share of other domains is set by the config,
and names appear as they are defined.

Left out: diversity of solutions. Not guaranteed: that two problems with one behaviour key agree on every input.
"""

from __future__ import annotations

import json
import math
import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from arena.report.metrics.generation import Database
from arena.rounds.diversity import repeats, template
from arena.run.store import Row, Store
from culture.measures import (
    compression_ratio,
    distinct_n,
    effective_styles,
    hill_numbers,
    ngrams,
    vendi_score,
)

MOST_SAMPLED = 96
FEWEST_SAMPLED = 12
"""A generation with fewer valid problems is left out, so that it does not shrink all others' samples."""
OPERATION = "op "
"""Start of the names of such features."""
MOST_COMPARED = 48
"""Problems of a generation that are compared with each other for `Variety`, evenly spaced."""
SHUFFLES = 20
"""Random assignments of problems to authors, as the null model of authors with one style."""


def asked(problem: str) -> str:
    """A problem without its input or program: the text before the first bar or line of dashes, or all of it."""
    return problem.partition("\n---\n")[0].partition("|")[0].strip() or problem


def operations(features: str | None) -> dict[str, float]:
    """The features of a problem that count its operations, by symbol."""
    found = json.loads(features or "{}").items()
    return {name.removeprefix(OPERATION): n for name, n in found if name.startswith(OPERATION)}


@dataclass(frozen=True)
class Variety:
    """How varied the valid problems of one generation are: cheap figures for the live display and for alarms.

    `n`: problems compared, at most `MOST_COMPARED`. `first_words`: effective number of first words (Hill N1).
    `trigrams`: distinct word trigrams as a share of all. `alike`: the problems with the most frequent wording, that is
    those similar to the problem with most similar ones, and it (`arena.rounds.diversity`). All depend somewhat on n.
    """

    n: int
    first_words: float
    trigrams: float
    alike: int

    @property
    def share(self) -> float:
        return self.alike / self.n


def variety(db: Database, domain: str, generation: int | None = None) -> dict[int, Variety]:
    """The variety of the problems of one domain, by generation; a generation with fewer than two is absent."""
    where, values = ("", []) if generation is None else (" AND generation = ?", [generation])
    sql = (
        "SELECT generation, text, COALESCE(behaviour_key, round) AS behaviour_key FROM problems"
        f" WHERE valid AND text IS NOT NULL AND domain = ?{where} ORDER BY generation, round"
    )
    found: dict[int, list[tuple[str, str]]] = defaultdict(list)
    for r in db.query(sql, [domain, *values]):
        found[r["generation"]].append((asked(r["text"]), r["behaviour_key"]))
    return {g: _variety(problems) for g, problems in found.items() if len(problems) > 1}


def _variety(problems: Sequence[tuple[str, str]]) -> Variety:
    step = max(1.0, len(problems) / MOST_COMPARED)
    chosen = [problems[int(i * step)] for i in range(min(len(problems), MOST_COMPARED))]
    texts = [text for text, _ in chosen]
    firsts = Counter(words[0] for text in texts if (words := ngrams(text, 1)))
    similar = repeats([template(text, key) for text, key in chosen], [])
    return Variety(len(chosen), hill_numbers(firsts.values())[1], distinct_n(texts, 3), 1 + max(similar))


@dataclass(frozen=True)
class Amount:
    """Size of each generation's sample: problems, words and bytes."""

    problems: int
    words: int
    bytes: int


@dataclass(frozen=True)
class Problem:
    author: str
    text: str
    behaviour: str
    operations: Mapping[str, float] = field(default_factory=dict)
    """How often each operation occurs, by symbol, where the domain stores that."""

    @property
    def words(self) -> list[str]:
        return [word for (word,) in ngrams(self.text, 1)]


def diversity(store: Store, domain: str, seed: int) -> tuple[list[Row], Amount | None]:
    """One row per generation with enough valid problems, and the size of the samples (None without a row)."""
    sql = (
        "SELECT generation, author, text, behaviour_key, features FROM problems WHERE valid AND domain = ?"
        " ORDER BY generation, round"
    )
    every: dict[int, list[Problem]] = defaultdict(list)
    for r in store.query(sql, [domain]):
        made = Problem(r["author"], asked(r["text"]), r["behaviour_key"], operations(r["features"]))
        every[r["generation"]].append(made)
    enough = {g: problems for g, problems in every.items() if len(problems) >= FEWEST_SAMPLED}
    if not enough:
        return [], None
    m = min(MOST_SAMPLED, *(len(p) for p in enough.values()))
    samples = {}
    for g, problems in enough.items():
        chosen = random.Random(f"{seed}/diversity/{g}").sample(range(len(problems)), m)
        samples[g] = [problems[i] for i in chosen]
    words = min(sum(len(p.words) for p in s) for s in samples.values())
    size = min(len("\n".join(p.text for p in s).encode(errors="surrogatepass")) for s in samples.values())
    amount = Amount(m, words, size)
    set_ = {
        r["generation"]: r
        for r in store.query(
            "SELECT generation, SUM(reason = 'duplicate') AS duplicates, SUM(valid) AS valid, COUNT(DISTINCT CASE "
            "WHEN valid THEN behaviour_key END) AS behaviours FROM problems WHERE domain = ? GROUP BY generation",
            [domain],
        )
    }
    rows = [{"generation": g, **measure(s, amount, f"{seed}/{g}"), **repeated(set_[g])} for g, s in samples.items()]
    return rows, amount


def repeated(row: Row) -> Row:
    """Shares of the problems set: exact duplicates, which are refused, and valid ones that behave like another one."""
    asked_ = row["valid"] + row["duplicates"]
    return {
        "valid": row["valid"],
        "distinct_behaviours": row["behaviours"],
        "duplicates": row["duplicates"] / asked_,
        "same_behaviour": 1 - row["behaviours"] / row["valid"],
    }


def measure(sample: Sequence[Problem], amount: Amount, key: str) -> Row:
    """Every measure of one generation's sample."""
    texts = [p.text for p in sample]
    behaviours = hill_numbers(Counter(p.behaviour for p in sample).values())
    firsts = hill_numbers(Counter(p.words[0] for p in sample if p.words).values())
    words = hill_numbers(Counter(w for p in sample for w in p.words).values())
    cut = first_words(texts, amount.words)
    mix = Counter[str]()
    for p in sample:
        mix.update(p.operations)
    found: Row = {}
    for name, numbers in (("behaviours", behaviours), ("first_words", firsts), ("words", words)):
        found |= {f"{name}_n{order}": value for order, value in enumerate(numbers)}
    return found | {
        "vendi": vendi_score(texts, 2),
        "distinct_2": distinct_n(cut, 2),
        "distinct_3": distinct_n(cut, 3),
        "operations_n1": hill_numbers(mix.values())[1] if mix else None,
        "compression": compression_ratio(texts, amount.bytes),
        **styles(sample, key),
    }


def first_words(texts: Sequence[str], most: int) -> list[str]:
    """The texts up to `most` words in all."""
    found = []
    for text in texts:
        words = [word for (word,) in ngrams(text, 1)][:most]
        if not words:
            break
        most -= len(words)
        found.append(" ".join(words))
    return found


def styles(sample: Sequence[Problem], key: str) -> Row:
    """Effective number of authors' styles, and the same if problems are assigned to authors at random."""
    authors = [p.author for p in sample]
    rng, shuffled = random.Random(f"{key}/styles"), list[float]()
    for _ in range(SHUFFLES):
        dealt = list(authors)
        rng.shuffle(dealt)
        shuffled.append(effective_styles(words_by(dealt, sample)))
    return {
        "authors": len(set(authors)),
        "styles": effective_styles(words_by(authors, sample)),
        "styles_by_chance": math.fsum(shuffled) / SHUFFLES,
    }


def words_by(authors: Sequence[str], sample: Sequence[Problem]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for author, p in zip(authors, sample, strict=True):
        found[author] += p.words
    return found
