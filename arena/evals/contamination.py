"""Contamination check: which items occurred in the run as a problem, in a post, or in fine-tuning data.

Texts are compared as sequences of words and signs, without case and white space. A problem of a domain occurred if
exactly that problem did. A question occurred if it equals a stored text or the bare prompt for one, or if one contains
the other and the shorter has 13 words or more, the usual length for telling overlap from chance (Brown et al. 2020,
appendix C). The check errs on the side of counting a question as seen.

Left out: paraphrases, and the base model's pretraining data. An agent's own proposals, on which it may have been
fine-tuned, count as set.
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
"""Characters of stored text that are searched at a time."""
_WORDS = re.compile(r"\w+|[^\w\s]")

Stored = tuple[str, str, frozenset[str]]
"""Name of the domain (empty if none), text, and where it occurred (members of KINDS)."""


def met(store: Store, domains: Mapping[str, Domain], items: Sequence[Item], generation: int) -> list[frozenset[str]]:
    """For each item, the members of KINDS that say where it occurred by the end of `generation`."""
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
    """The words and signs of a text in lower case, separated by single spaces."""
    return " ".join(_WORDS.findall(text.casefold()))


class _Questions:
    """The questions, joined into one text for fast search and one by one."""

    def __init__(self, questions: Sequence[tuple[int, str]], domains: Mapping[str, Domain]) -> None:
        self.questions, self.domains = questions, domains
        self.all = "\n".join(f" {q} " for _, q in questions)

    def asking(self, domain: str, text: str) -> Iterator[int]:
        """Indices of the questions that equal a stored text, ask for it, or contain it."""
        words = plain(text)
        if not words or f" {words} " not in self.all:
            return
        same, long = {words}, words.count(" ") + 1 >= OVERLAP
        if domain in self.domains:
            with contextlib.suppress(ValueError):  # a post's title need not be a problem
                same.add(plain(self.domains[domain].solve_prompt(self.domains[domain].problem(text), ())))
        yield from (at for at, q in self.questions if q in same or (long and f" {words} " in f" {q} "))

    def inside(self, stored: Iterable[Stored]) -> Iterator[tuple[int, frozenset[str]]]:
        """Indices of the questions that a stored text contains."""
        long = [(at, f" {q} ") for at, q in self.questions if q.count(" ") + 1 >= OVERLAP]
        for kinds, block in _blocks(stored) if long else ():
            yield from ((at, kinds) for at, q in long if q in block)


def _blocks(stored: Iterable[Stored]) -> Iterator[tuple[frozenset[str], str]]:
    """Stored texts joined into blocks of about BLOCK characters, by where they occurred."""
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
    """The run's texts: valid problems, and titles and bodies of posts."""
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
