"""The data that the screens show, as frozen dataclasses without queries or widgets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from arena.report.metrics.diversity import Variety
from arena.report.metrics.paired_uplift import Offspring


@dataclass(frozen=True)
class Run:
    """A run folder that can be watched."""

    folder: Path
    name: str
    main: str
    """The first domain of the config."""
    planned: int
    """Generations in the config."""
    solvers: int
    payment_rule: str
    """The rule by which setters are paid (`rewards.setter`)."""
    review: str = "off"
    per_generation: int = 8
    """Maximum review items per generation."""
    waits: bool = False
    """Whether the run waits for reviewers (`review.wait`)."""
    ratchet_every: int = 0
    """Generations between readings of the ratchet meter; 0: it is off."""

    @property
    def database(self) -> Path:
        return self.folder / "run.db"


@dataclass(frozen=True)
class GenerationSummary:
    """The figures of one generation; None where the phase has not run or nothing was measured."""

    generation: int
    phases: frozenset[str]
    proposed: int | None
    valid: int | None
    learnable: int | None
    depth: float | None
    depth_solved: float | None  # each problem weighted by its solve rate
    solve_rate: float | None
    distinct: int | None
    behaviours: float | None  # effective number of distinct behaviours: Hill number of order 1
    duplicates: int
    varied: Variety | None
    heldout: dict[int, float]  # pass rate by depth
    ratchet: tuple[int, int, int, int] | None = None  # see `queries.generations.ratchet`


@dataclass(frozen=True)
class Member:
    """An agent in one generation. `rewards`: mean per act over the last RECENT generations, by role."""

    name: str
    age: int
    parents: tuple[str, ...]
    rewards: dict[str, float]
    retiring: bool
    model: str = ""
    """In a mixed population, the name of its model."""


@dataclass(frozen=True)
class RoundRow:
    round: str
    number: int
    domain: str
    author: str
    text: str
    valid: bool
    reason: str
    depth: int | None
    solve_rate: float | None
    learnable: bool
    paid: float | None
    disagreement: bool
    doubt: str = ""


@dataclass(frozen=True)
class Attempt:
    """One attempt. `step`: number of the first wrong step, from 1; `notes`: retrieved text in the solver's context;
    `estimates`: of its chance to be right, before it and after each step; `stopped`: whether one of them ended it."""

    agent: str
    seat: str
    text: str
    correct: bool
    answer_correct: bool
    reason: str
    step: int | None
    answer: str | None
    notes: tuple[str, ...]
    grade: Grade | None
    estimates: tuple[float, ...] = ()
    stopped: bool = False


@dataclass(frozen=True)
class Grade:
    """A grader's verdict on an attempt. `says_correct` and `agrees` are None if it gave no answer, hence no vote."""

    grader: str
    text: str
    answer: str | None
    says_correct: bool | None
    agrees: bool | None


@dataclass(frozen=True)
class RoundDetail:
    row: RoundRow
    generation: int
    proposal: str
    detail: str
    setter: str
    solvers: tuple[str, ...]
    parent: str | None
    parent_post: PostRow | None
    attempts: tuple[Attempt, ...]


@dataclass(frozen=True)
class PostRow:
    id: str
    seq: int
    generation: int
    kind: str
    author: str
    title: str
    body: str


@dataclass(frozen=True)
class PostDetail:
    """A post with its links, readers and lineage. `signature` is "valid" or a sentence that says what is wrong."""

    row: PostRow
    about: str
    signature: str
    cites: tuple[PostRow, ...]
    missing: tuple[str, ...]
    readers: tuple[tuple[str, int], ...]
    reads: dict[str, int]  # at work, asleep, as a distractor
    lineage: tuple[Ancestor, ...]
    applies: str = ""  # the condition under which the post applies
    removal: PostRemoval | None = None
    relations: tuple[tuple[str, PostRow], ...] = ()  # posts that it supersedes, reviews or retracts, and vice versa


@dataclass(frozen=True)
class PostRemoval:
    """How a post left the index. `by`: the post that replaced it; `receipt`: number of the receipt that rejected it."""

    state: str
    generation: int
    reason: str
    by: PostRow | None = None
    receipt: int | None = None


@dataclass(frozen=True)
class Ancestor:
    """A post that another cites, directly or through others, `steps` citations away. `again`: its own ancestors are
    listed earlier."""

    steps: int
    row: PostRow
    again: bool = False


@dataclass(frozen=True)
class AgentDetail:
    """One agent over the whole run. `rewards`: (mean, acts) by role and generation."""

    name: str
    born: int
    retired: int | None
    parents: tuple[str, ...]
    children: tuple[str, ...]
    inherited: str
    rewards: dict[str, dict[int, tuple[float, int]]]
    posts: int
    most_read: tuple[tuple[PostRow, int], ...]
    readers: tuple[tuple[str, int], ...]
    relatives: tuple[Relative, ...]
    model: str = ""
    """In a mixed population, the name of its model."""


@dataclass(frozen=True)
class PaidProblem:
    """A problem that has been paid for."""

    paid: float
    generation: int
    round: str
    author: str
    text: str
    reason: str
    solve_rate: float | None
    learnable: int


@dataclass(frozen=True)
class DefinitionRef:
    """A definition in the ledger; `title` is the name it defines."""

    seq: int
    title: str
    author: str
    generation: int


@dataclass(frozen=True)
class PostOffspring:
    """The problems of one generation that were varied from one post."""

    seq: int
    author: str
    offspring: Offspring


@dataclass(frozen=True)
class Relative:
    """An agent in a family tree, `steps` levels below the oldest. Ancestors come first, then the agent itself, then its
    descendants."""

    steps: int
    name: str
    born: int
    retired: int | None
