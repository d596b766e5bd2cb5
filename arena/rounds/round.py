"""The round: one problem from proposal to grade, as a state machine whose seats are taken by agents.

propose -> solve -> grade -> done. `asks()` lists the texts that are needed now, `take()` receives them in the same
order and moves to the next phase. A round does no inference and no storage: the arena plays hundreds in parallel, so
that each step of all of them is one engine batch; `arena/rounds/env.py` plays one with PettingZoo. `take` judges texts;
a caller that has verdicts already, new or stored, passes them to `set_problem`, `set_attempts` and `set_grade`.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field

from agents.prompt import Prompt
from arena.rounds.roles import grader, setter, solver
from arena.rounds.roles.voice import BARE, Voice
from curricula.domain import Attempt, Domain, Problem, Rejection, Requestable, Verdict

SETTER, GRADER = "setter", "grader"


def solver_seat(index: int) -> str:
    return f"solver_{index}"


@dataclass(frozen=True)
class Ask:
    """A request for one text: seat, agent, phase and prompt. `number` counts the attempts of one seat."""

    seat: str
    agent: str
    phase: str
    number: int
    prompt: Prompt


@dataclass(frozen=True)
class Grade:
    """A grader's judgement of one attempt, made by solving the problem again without seeing it. None: no answer, so no
    vote."""

    attempt: int
    grader: str
    answer: str | None
    says_correct: bool | None
    agrees: bool | None  # with execution
    correct: bool = False  # whether its own answer is; not stored, needed where rounds are settled only
    unclear: bool = False  # whether it said that the question is; not stored either


@dataclass
class Round:
    """One round. `notes`: texts that each solver has read, by seat. `seen`: whether a text key was set before.

    `proposal` and the attempts hold the parts that were read from the replies.
    """

    id: str
    domain: Domain
    author: str
    solvers: tuple[str, ...]
    attempts_each: int = 1
    grader: str | None = None
    parent: str | None = None
    seen: Callable[[str], bool] = lambda text_key: False
    voice: Voice = BARE
    notes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    phase: str = "propose"
    proposal: str = ""
    problem: Problem | None = None
    rejection: Rejection | None = None
    attempts: list[Attempt] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    grade: Grade | None = None
    doubt: str = ""  # why the problem does not count: its reference answer may be wrong
    request: str = ""  # the kind of problem that the author is asked for (`curricula.domain.Requestable`)

    def __post_init__(self) -> None:
        seats = (self.author, *self.solvers, *((self.grader,) if self.grader else ()))
        if not self.solvers or len(set(seats)) < len(seats):
            raise ValueError(f"round {self.id}: author, solvers and grader must be different agents, got {seats}")

    def asks(self) -> list[Ask]:
        """The texts that are needed now; empty when the round is done."""
        if self.phase == "propose":
            return [
                Ask(
                    SETTER,
                    self.author,
                    "propose",
                    0,
                    setter.ask(self.voice, self.domain, self.author, self.parent, self.request),
                )
            ]
        if self.phase == "solve":
            assert self.problem is not None
            seats = [(solver_seat(i), a) for i, a in enumerate(self.solvers)]
            prompts = {
                seat: solver.ask(self.voice, self.domain, agent, self.problem, self.notes.get(seat, ()))
                for seat, agent in seats
            }
            return [
                Ask(seat, agent, "solve", number, prompts[seat])
                for seat, agent in seats
                for number in range(self.attempts_each)
            ]
        if self.phase == "grade":
            assert self.problem is not None and self.grader is not None
            prompt = grader.ask(self.voice, self.domain, self.grader, self.problem, self.notes_of(GRADER))
            return [Ask(GRADER, self.grader, "grade", 0, prompt)]
        return []

    def take(self, texts: Sequence[str]) -> None:
        """Judge one text for each of `asks()`, in order, and move to the next phase."""
        asks = self.asks()
        if len(texts) != len(asks):
            raise ValueError(f"round {self.id} asked for {len(asks)} texts in phase {self.phase}, got {len(texts)}")
        if self.phase == "propose":
            self.set_problem(texts[0], self.judge(texts[0]))
        elif self.phase == "solve":
            self.set_attempts(texts, [self.verify(text) for text in texts])
        elif self.phase == "grade":
            self.set_grade(self.judge_grade(texts[0]))

    # -- judging: computes and changes nothing -------------------------------------------------------------------

    def judge(self, text: str, also_seen: Container[str] = ()) -> Problem | Rejection:
        """A proposal as a problem or a rejection; problems set before, or in `also_seen` by text key, are rejected."""
        found = self.domain.parse_proposal(setter.read(self.voice, text))
        if isinstance(found, Problem) and (self.seen(found.text_key) or found.text_key in also_seen):
            return Rejection("duplicate", found.text)
        return found

    def verify(self, text: str) -> Verdict:
        """The verdict on a solver's or grader's text."""
        assert self.problem is not None
        return self.domain.verify(self.problem, solver.read(self.voice, text))

    def judge_grade(self, text: str) -> Grade:
        """The grader's text compared with the first attempt: its own answer with the attempt's, as values."""
        assert self.problem is not None and self.grader is not None
        mine, judged = self.verify(text), self.verdicts[0]
        says = None if mine.answer is None else judged.answer is not None and mine.answer == judged.answer
        agrees = None if says is None else says == judged.answer_correct
        unclear = solver.is_unclear(grader.read(self.voice, text))
        return Grade(0, self.grader, mine.answer, says, agrees, mine.answer_correct, unclear)

    # -- setting results, new or stored  -------------------------------------------------------

    def set_problem(self, text: str, found: Problem | Rejection) -> None:
        """Set the proposal's text and its problem or rejection."""
        self.proposal = setter.read(self.voice, text)
        if isinstance(found, Problem):
            self.problem, self.phase = found, "solve"
        else:
            self.rejection, self.phase = found, "done"

    def set_attempts(self, texts: Sequence[str], verdicts: Sequence[Verdict]) -> None:
        """Set the texts of all solvers, in the order of `asks`, and their verdicts."""
        agents = [agent for agent in self.solvers for _ in range(self.attempts_each)]
        said = zip(agents, texts, strict=True)
        self.attempts = [Attempt(self.id, a, i, solver.read(self.voice, text)) for i, (a, text) in enumerate(said)]
        self.verdicts = list(verdicts)
        self.phase = "grade" if self.grader else "done"

    def set_grade(self, grade: Grade) -> None:
        self.grade, self.phase = grade, "done"

    def notes_of(self, seat: str) -> tuple[str, ...]:
        """The texts that a seat has read; the grader reads those of the first solver."""
        return self.notes.get(seat, self.notes.get(solver_seat(0), ()) if seat == GRADER else ())

    @property
    def meets_request(self) -> bool:
        """Whether the problem is of the kind that was asked for; True if none was."""
        if not self.request or self.problem is None or not isinstance(self.domain, Requestable):
            return True
        return self.domain.meets(self.problem, self.request)

    @property
    def solve_rate(self) -> float | None:
        """Share of correct attempts by agents other than the author; None without a problem."""
        return sum(v.correct for v in self.verdicts) / len(self.verdicts) if self.verdicts else None
