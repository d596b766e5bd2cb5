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
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

SPLITS = ("dev", "test")


def digest(text: str) -> str:
    """First 16 hex digits of the SHA-256 of `text`; the key form used for problems."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]


def quoted(text: str) -> str:
    """A text as a quotation, every line marked, so that nothing in it can be taken for the words around it."""
    return "\n".join(f"> {line}" for line in text.splitlines())


def lines_of(text: str) -> list[tuple[int, int]]:
    """(start, stop) of the characters of each line, with its line break."""
    found, at = list[tuple[int, int]](), 0
    for line in text.splitlines(keepends=True):
        found.append((at, at + len(line)))
        at += len(line)
    return found


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
class Span:
    """The characters text[start:stop] of an attempt, which hold one of its steps or its answer.

    `right` is True for what was verified, False for the first mistake, and None for what was not judged, in particular
    for everything after the first mistake.
    """

    start: int
    stop: int
    right: bool | None


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
    """A domain that models can play that follow instructions and were not trained on its notation.

    Both texts are prose and state the form of the answer; text by agents is `quoted`. The caller adds the agent's role
    and how the answer is marked in the reply. Replies are parsed by `parse_proposal` and `verify`.
    """

    def setting(self, parent: str | None) -> str:
        """The request for a problem: what a problem is, its form with an example, and the parent to vary, if any."""

    def asking(self, problem: Problem) -> str:
        """The request for a solution: the problem, all that is needed to understand it, and the form of the answer."""


@runtime_checkable
class Brief(Protocol):
    """A domain that also has short requests, for models that were trained on them (`ratchet make-seed --from`)."""

    def short_setting(self, parent: str | None) -> str:
        """The request for a problem, or for a variation of `parent`, without rules and example."""

    def short_asking(self, problem: Problem) -> str:
        """The request for a solution, without rules."""


@runtime_checkable
class Requestable(Protocol):
    """A domain whose setters can be asked for a kind of problem, so that all kinds are asked for equally often."""

    def request(self, rng: random.Random) -> str:
        """A kind of problem in a few words, drawn evenly."""

    def request_for(self, problem: Problem, rng: random.Random) -> str | None:
        """A request that a problem meets, as `request` words it; None if no request describes it."""

    def meets(self, problem: Problem, request: str) -> bool:
        """Whether a problem is of the requested kind."""


@runtime_checkable
class Confirmed(Protocol):
    """A domain whose reference answers may be wrong: the setter's program need not compute what its question asks."""

    def confirms(self, problem: Problem, text: str) -> bool:
        """Whether an attempt supports the reference answer: its steps lead there, or begin to, apart from slips
        within a step."""


@runtime_checkable
class Credited(Protocol):
    """A domain that judges the single steps of an attempt."""

    mark: str  # the text that ends a step

    def credit(self, problem: Problem, text: str) -> list[Span]:
        """The steps of an attempt in their order, of which at most one is wrong; empty if none can be judged."""


@runtime_checkable
class Taught(Protocol):
    """A domain that can write the posts from which models learn how to write their own."""

    def sample_post(self, problem: Problem, rng: random.Random) -> tuple[str, str, str]:
        """Title, line that says when it is of use, and body of a post on how to solve problems like this one."""


@runtime_checkable
class Named(Protocol):
    """A domain whose problems use names that only the library explains, such as `hidden_words`.

    Agents guess what a name means; right guesses become definitions. All of it must be
    attributes of the class too, so that the program recognises such a class without an instance.
    """

    name: str
    kin: tuple[str, ...]  # other domains whose posts are of use in this one
    seed_option: str  # option of the class that takes the run's seed by default
    issued: tuple[str, ...]  # all names that any instance may use
    words: tuple[str, ...]  # the names of this instance

    @staticmethod
    def level(name: str) -> int:
        """Depth of a name: how many definitions build on each other in it, at least 1. 0 for other words."""

    def random_use(self, rng: random.Random, names: Sequence[str]) -> Problem:
        """A random problem that uses one of `names`."""

    def true_definition(self, name: str) -> str:
        """The definition of a name as this instance has it."""

    def definition(self, name: str, body: Sequence[str]) -> str:
        """The text of a definition."""

    def wrong_body(self, name: str) -> tuple[str, ...]:
        """A body that is as long as the true one and wrong."""

    def guess(self, name: str, known: Mapping[str, Sequence[str]] | Sequence[str], rng: random.Random) -> Guess:
        """A question for the meaning of `name`, which may build on names in `known`."""

    def check_guess(self, name: str, text: str) -> tuple[str, ...] | Rejection:
        """The body in primitives if the guess is right, otherwise the reason why not."""

    def reachable(self, known: Collection[str]) -> list[str]:
        """The unknown names that can be guessed with what is known."""

    def failure_from_guess(self, name: str, guess: str) -> tuple[str, str] | None:
        """Title and body of a failure post about a wrong guess; None if there is nothing to say."""

    def practice(
        self,
        definitions: Mapping[str, Sequence[str]],
        rng: random.Random,
        n: int,
        *,
        guess: float,
        dreams: float,
        unknown: float,
    ) -> list[tuple[str, str]]:
        """`n` exercises (prompt, completion) to train definitions into weights."""

    def recall_prompts(self, names: Sequence[str], given: str) -> list[str]:
        """Prompts that ask what each name means, with nothing to read."""

    def recalled(self, name: str, text: str) -> tuple[str, ...] | None:
        """The body that a reply to such a prompt states; None if it states none."""


@dataclass(frozen=True)
class Judged:
    """One answer to a problem whose own validity is being judged.

    strong: the agent solves at least as much of what others set as the population does on average.
    unclear: the agent said that the question can be read in more than one way.
    sound: whether the steps that it wrote hold; None if none can be checked.
    """

    agent: str
    answer: str | None
    correct: bool
    strong: bool
    unclear: bool = False
    sound: bool | None = None


@runtime_checkable
class Doubtful(Protocol):
    """A domain whose reference answer may not be what the question asks for."""

    def doubt(self, problem: Problem, answers: Sequence[Judged]) -> str | None:
        """Why the problem should not count, judging by the answers of its solvers and grader; None if it should."""

    def sound(self, text: str) -> bool | None:
        """Whether the steps in a reply hold; None if it has none that can be checked."""


def heldout_depths(domain: Domain) -> tuple[int, ...]:
    """All depths at which a domain has held-out sets: its `depths`, and those of its attribute `deeper`, if it has one,
    which are measured only where a config names them (`measure.depths`)."""
    return (*domain.depths, *getattr(domain, "deeper", ()))
