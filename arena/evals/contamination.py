"""Which items the run has met: as a problem that was set, in a post, or among what was slept on.

Texts are compared as words and signs, without case and white space. A domain's own problem was met if just that problem
was. A question was met if it is a stored text, or the bare prompt that asks for one, or if one of the two holds the
other whole and the shorter has 13 words or more, the length by which overlap is usually told from chance (Brown et al.
2020, appendix C). So a question is rather counted as met than not.

Left out: paraphrases, and what the base model had met before the run. An agent's own proposals, which it may have slept
on, count as set.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from arena.evals.dataset import Item
from arena.run.store import Store
from curricula.domain import Domain

SET, POSTED, TRAINED = KINDS = ("set", "posted", "trained")
OVERLAP = 13
BLOCK = 1_000_000
"""Letters of stored texts that are searched at a time."""
_WORDS = re.compile(r"\w+|[^\w\s]")

Stored = tuple[str, str, frozenset[str]]
"""A domain's name (empty if none), a text, and how it was met."""


def met(store: Store, domains: Mapping[str, Domain], items: Sequence[Item], generation: int) -> list[frozenset[str]]:
    """How the run had met each item by the end of `generation`: some of KINDS."""
    found = [set[str]() for _ in items]
    problems = {(i.problem.domain, i.problem.text): list[int]() for i in items if i.problem}
    questions = list[tuple[int, str]]()
    for at, item in enumerate(items):
        if item.problem:
            problems[item.problem.domain, item.problem.text].append(at)
        else:
            questions.append((at, plain(item.text)))
    texts = _Questions(questions, domains)
    for stored in _stored(store, generation):
        domain, text, kinds = stored
        for at in problems.get((domain, text), ()):
            found[at] |= kinds
    if questions:
        for stored in _stored(store, generation):
            for at in texts.asking(*stored[:2]):
                found[at] |= stored[2]
        for at, kinds in texts.inside(_stored(store, generation)):
            found[at] |= kinds
    return [frozenset(kinds) for kinds in found]


def plain(text: str) -> str:
    """A text as its words and signs, with a space between."""
    return " ".join(_WORDS.findall(text.casefold()))


class _Questions:
    """The questions as one text to search in, and each by itself."""

    def __init__(self, questions: Sequence[tuple[int, str]], domains: Mapping[str, Domain]) -> None:
        self.questions, self.domains = questions, domains
        self.all = "\n".join(f" {q} " for _, q in questions)

    def asking(self, domain: str, text: str) -> Iterator[int]:
        """The questions that are a stored text or ask for it, or hold all of it."""
        words = plain(text)
        if not words or f" {words} " not in self.all:
            return
        same, long = {words}, words.count(" ") + 1 >= OVERLAP
        if domain in self.domains:
            with contextlib.suppress(ValueError):  # a post's title need not be a problem
                same.add(plain(self.domains[domain].solve_prompt(self.domains[domain].problem(text), ())))
        yield from (at for at, q in self.questions if q in same or (long and f" {words} " in f" {q} "))

    def inside(self, stored: Iterable[Stored]) -> Iterator[tuple[int, frozenset[str]]]:
        """The questions that a stored text holds whole."""
        long = [(at, f" {q} ") for at, q in self.questions if q.count(" ") + 1 >= OVERLAP]
        for kinds, block in _blocks(stored) if long else ():
            yield from ((at, kinds) for at, q in long if q in block)


def _blocks(stored: Iterable[Stored]) -> Iterator[tuple[frozenset[str], str]]:
    """Stored texts in few long ones, by how they were met."""
    waiting: dict[frozenset[str], list[str]] = {}
    sizes: dict[frozenset[str], int] = {}
    for _, text, kinds in stored:
        waiting.setdefault(kinds, []).append(f" {plain(text)} ")
        sizes[kinds] = sizes.get(kinds, 0) + len(text)
        if sizes[kinds] > BLOCK:
            yield kinds, "\n".join(waiting.pop(kinds))
            sizes[kinds] = 0
    yield from ((kinds, "\n".join(texts)) for kinds, texts in waiting.items())


def _stored(store: Store, generation: int) -> Iterator[Stored]:
    """What the run holds: valid problems, and titles and bodies of posts."""
    asked = [generation]
    for r in store.db.query("SELECT domain, text FROM problems WHERE valid AND generation <= ?", asked):
        yield r["domain"], r["text"], frozenset({SET})
    sql = (
        "SELECT p.about, p.title, p.body, EXISTS (SELECT 1 FROM slept s WHERE s.post = p.id) AS slept FROM posts p"
        " WHERE p.generation <= ?"
    )
    slept = "WITH slept AS MATERIALIZED (SELECT DISTINCT post FROM reads WHERE phase = 'sleep' AND generation <= ?) "
    for r in store.db.query(slept + sql, [generation, generation]):
        kinds = frozenset({POSTED, TRAINED} if r["slept"] else {POSTED})
        domain = r["about"].partition("/")[0]
        yield domain, r["title"], kinds
        if r["body"] != r["title"]:
            yield "", r["body"], kinds
