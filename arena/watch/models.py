"""What the screens show, as plain frozen dataclasses: the nouns of `arena.watch`, without a query or a widget."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from arena.report.metrics.paired_uplift import Offspring


@dataclass(frozen=True)
class Run:
    """A run folder that can be watched."""

    folder: Path
    name: str
    main: str
    planned: int
    solvers: int
    pays: str
    """The rule by which setters are paid (`rewards.setter`)."""
    review: str = "off"
    per_generation: int = 8
    """Items of a generation on the reviewer's desk."""

    @property
    def database(self) -> Path:
        return self.folder / "run.db"


@dataclass(frozen=True)
class Summary:
    """One generation in figures; None where its phase has not been played or nothing was measured."""

    generation: int
    phases: frozenset[str]
    proposed: int | None
    valid: int | None
    learnable: int | None
    depth: float | None
    depth_solved: float | None  # each problem weighted by its solve rate
    solve_rate: float | None
    distinct: int | None
    behaviours: float | None  # effective number of distinct ones: Hill number of order 1
    duplicates: int
    heldout: dict[int, float]  # pass rate by depth
    ratchet: tuple[int, int, int, int] | None = None  # problems; solved with own library, only so, only with the first


@dataclass(frozen=True)
class Member:
    """An agent as it stood in one generation. `rewards` are means per act over the last generations, by role."""

    name: str
    age: int
    parents: tuple[str, ...]
    rewards: dict[str, float]
    retiring: bool


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
class Try:
    """One attempt. `step` is the first wrong step, from 1; `notes` are what was in the solver's context."""

    agent: str
    seat: str
    text: str
    correct: bool
    answer_correct: bool
    reason: str
    step: int | None
    answer: str | None
    notes: tuple[str, ...]
    grade: Grading | None


@dataclass(frozen=True)
class Grading:
    """A grader's judgement; None: it gave no answer, so it has no vote."""

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
    attempts: tuple[Try, ...]


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
class PostView:
    """A post with its surroundings. `signature` is "valid", or says in words what is wrong."""

    row: PostRow
    about: str
    signature: str
    cites: tuple[PostRow, ...]
    missing: tuple[str, ...]
    readers: tuple[tuple[str, int], ...]
    reads: dict[str, int]  # by phase
    drawn: int  # of these, those drawn at random, as a definition that no problem asked for is
    lineage: tuple[Ancestor, ...]
    applies: str = ""  # when it is of use
    gone: Gone | None = None
    relations: tuple[tuple[str, PostRow], ...] = ()  # posts it supersedes, reviews or retracts, and that do so to it


@dataclass(frozen=True)
class Gone:
    """How a post left the index. `by`: the post that did it; `receipt`: the number of the one that rejected it."""

    state: str
    generation: int
    reason: str
    by: PostRow | None = None
    receipt: int | None = None


@dataclass(frozen=True)
class Ancestor:
    """A post that another descends from by cites, `steps` away. `again`: its own ancestors stand further up."""

    steps: int
    row: PostRow
    again: bool = False


@dataclass(frozen=True)
class Life:
    """One agent. `rewards` are (mean, acts) by role, by generation."""

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
    kin: tuple[Kin, ...]


@dataclass(frozen=True)
class SetRow:
    """A problem as its author's life remembers it."""

    paid: float
    generation: int
    round: str
    author: str
    text: str
    reason: str
    solve_rate: float | None
    learnable: int


@dataclass(frozen=True)
class PostMark:
    """As much of a post as it takes to count what it did."""

    seq: int
    kind: str
    title: str
    author: str
    generation: int


@dataclass(frozen=True)
class Bred:
    """What one post's offspring of one generation came to."""

    seq: int
    author: str
    offspring: Offspring


@dataclass(frozen=True)
class Kin:
    """An agent in a family tree, `steps` below the oldest; ancestors first, then whose life it is, then descendants."""

    steps: int
    name: str
    born: int
    retired: int | None
