"""The protocol of a domain: what can be asked, and how an answer is checked.

A domain turns text into problems and attempts into verdicts. It knows nothing of agents, rewards or posts.
Adding one is one file with a class that has these methods, and one line in `curricula/registry.py`
(docs/add_a_domain.md walks through it). Left out on purpose: who is asked, how often, and what it pays.

Parsing is total: any string at all is either a value or a `Rejection` or `Verdict` with a reason, never an exception.
Texts of domains for the shipped model are plain words separated by single spaces; others may have lines.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

SPLITS = ("dev", "test")


def digest(text: str) -> str:
    """First 16 hex digits of the SHA-256 of `text`; the key form used for problems."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]


def quoted(text: str) -> str:
    """A text as a quotation, every line marked, so that nothing in it can be taken for the words around it."""
    return "\n".join(f"> {line}" for line in text.splitlines())


@dataclass(frozen=True)
class Problem:
    """One well-formed problem. `text` is canonical: parsing it again gives an equal problem."""

    domain: str
    text: str
    depth: int
    answer: str
    text_key: str  # digest of the exact words: deduplication
    heldout_key: str  # what held-out sets are compared by
    behaviour_key: str  # digest of what it does on fixed probe inputs: novelty
    names: tuple[str, ...] = ()  # issued names it uses, which a solver may have to look up
    question: str = ""  # what a solver may see of it, where that is not the whole text

    @property
    def shown(self) -> str:
        """What a solver may see."""
        return self.question or self.text


@dataclass(frozen=True)
class Rejection:
    """Why a proposal is not a problem. `reason` is one of the domain's `reasons`."""

    reason: str
    detail: str = ""


@dataclass(frozen=True)
class Attempt:
    """One try of one agent at one problem."""

    problem: str
    agent: str
    index: int
    text: str


@dataclass(frozen=True)
class Verdict:
    """One judgement of a try.

    `correct` asks for the right answer by a fully verified trace; `answer_correct` for the answer alone. `step` is
    the 1-based index of the first step that failed, or None.
    """

    correct: bool
    answer_correct: bool
    reason: str  # "ok" or what was wrong
    step: int | None = None
    answer: str | None = None


@dataclass(frozen=True)
class Guess:
    """A question to the world: which hidden body does `name` have? `prompt` holds what a guesser may see."""

    name: str
    prompt: str
    parents: tuple[str, ...] = ()
    examples: tuple[tuple[str, str], ...] = field(default=())


@runtime_checkable
class Domain(Protocol):
    """What the arena asks of a domain."""

    name: str
    reasons: tuple[str, ...]  # why a proposal may be rejected
    depths: tuple[int, ...]  # difficulty levels of the held-out sets

    def propose_prompt(self, parent: str | None) -> str:
        """The prompt that asks for a new problem, or for a variation of the problem text `parent`."""

    def parse_proposal(self, text: str) -> Problem | Rejection:
        """A proposal's text as a problem, or the reason why it is none (held-out problems are rejected here)."""

    def problem(self, text: str) -> Problem:
        """A stored problem's text as a problem, held-out or not. Raises ValueError if it is malformed."""

    def solve_prompt(self, problem: Problem, notes: Sequence[str]) -> str:
        """The prompt that asks for a solution, with the bodies of the posts that were read as `notes`."""

    def solution(self, problem: Problem) -> str:
        """A reference attempt that `verify` accepts (for seed data, tests and scripted seats)."""

    def verify(self, problem: Problem, text: str) -> Verdict:
        """Judge an attempt by execution. Total: any text gets a verdict."""

    def features(self, problem: Problem) -> dict[str, float]:
        """Difficulty features by name."""

    def heldout(self, split: str, depth: int) -> Sequence[Problem]:
        """The frozen held-out problems of one split ("dev" or the sealed "test") and depth."""

    def is_heldout(self, problem: Problem) -> bool:
        """Whether the problem may be neither proposed, nor posted, nor trained on."""

    def random_problem(self, rng: random.Random, depth: int | None = None) -> Problem:
        """A uniformly drawn problem that is not held out."""

    def mutate(self, parent: str, rng: random.Random) -> str:
        """A programmatic variation of a problem text (the control for a setter that is a language model)."""


@runtime_checkable
class Spoken(Protocol):
    """What a domain has beside that, so that models that follow instructions can play it without having been taught.

    Both texts are prose and say in which form the answer is to come; what an agent wrote is `quoted`. The arena adds
    who is asked and where in the reply the answer stands. What comes back is parsed by `parse_proposal` and `verify`,
    like any other text.
    """

    def setting(self, parent: str | None) -> str:
        """What a setter is asked: what a problem is, its form with an example, and the parent to vary if there is
        one."""

    def asking(self, problem: Problem) -> str:
        """What a solver is asked: the problem, all that is needed to understand it, and the form of the answer."""


@dataclass(frozen=True)
class Judged:
    """One answer to a problem, for who looks whether the problem itself is sound. `strong`: its agent solves at least
    as much of what others set as the population does on average."""

    agent: str
    answer: str | None
    correct: bool
    strong: bool
    unclear: bool = False  # the agent said that the question can be read in more than one way


@runtime_checkable
class Doubtful(Protocol):
    """What a domain has whose reference answer may not be what the question asks for."""

    def doubt(self, problem: Problem, answers: Sequence[Judged]) -> str | None:
        """Why the problem should not count, as its solvers' and grader's answers tell; None if nothing speaks
        against it."""
