"""A game of one person against some of a run's agents: its rules and its score, without a word on the screen.

Both sides solve the same problems, set by agents, and are scored by right answers, however they got them. Then both
sides are setters, paid as in the run by the solve rate of the others. Equal seeds give equal problems and equal
attempts of the agents.

Left out: grading. Not guaranteed: fairness to a person who types the reference form of a trace badly; the answer alone
counts.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from arena.evals.play.run_agents import RunAgents, Wanted
from arena.rounds.roles import setter, solver
from curricula.domain import Problem, Rejection, Verdict

TRIES = 3
"""Times an agent is asked for a problem that is none, before one of the run's own is taken."""


@dataclass(frozen=True)
class Posed:
    """A problem that an agent set: now, or in the run."""

    author: str
    problem: Problem
    now: bool


@dataclass(frozen=True)
class Tried:
    """One try of one player at a problem."""

    player: str
    text: str
    verdict: Verdict

    @property
    def right(self) -> bool:
        return self.verdict.answer_correct


@dataclass
class Score:
    """What one player has come to: answers right of those tried, and the pay of each problem set."""

    right: int = 0
    tried: int = 0
    pay: list[float] = field(default_factory=list)


class Game:
    """`person` is the person's name among the players."""

    def __init__(self, agents: RunAgents, seed: int, person: str = "you") -> None:
        if len(agents.names) < 2:
            raise ValueError(f"a game needs 2 agents, one to set and one to solve, got {len(agents.names)}")
        self.agents, self.domain, self.seed, self.person = agents, agents.domain, seed, person
        self.scores = {name: Score() for name in (person, *agents.names)}

    def problems(self, count: int) -> list[Posed]:
        """`count` different problems, set by the agents in turn, each varying one of the run; those that come to
        nothing in `TRIES` are replaced by what agents set in the run, or by random ones."""
        names, rng, found, seen = self.agents.names, self.rng("set"), dict[int, Posed](), set[str]()
        for try_ in range(TRIES):
            open_ = [i for i in range(count) if i not in found]
            wanted = []
            for i in open_:
                author, key = names[i % len(names)], f"play/{self.seed}/set/{try_}/{i}"
                prompt = setter.ask(self.agents.voice, self.domain, author, self.agents.parent(rng))
                wanted.append(Wanted(author, key, prompt, self.agents.config.rounds.set_temperature))
            for i, w, text in zip(open_, wanted, self.agents.say(wanted), strict=True):
                made = self.domain.parse_proposal(setter.read(self.agents.voice, text))
                if isinstance(made, Problem) and made.text_key not in seen:
                    seen.add(made.text_key)
                    found[i] = Posed(w.agent, made, True)
        for i in (i for i in range(count) if i not in found):
            found[i] = self._stored(seen, rng, names[i % len(names)])
        return [found[i] for i in range(count)]

    def _stored(self, seen: set[str], rng: random.Random, author: str) -> Posed:
        for by, text in rng.sample(self.agents.stored, len(self.agents.stored)):
            problem = self.domain.problem(text)
            if problem.text_key not in seen and not self.domain.is_heldout(problem):
                seen.add(problem.text_key)
                return Posed(by, problem, False)
        return Posed(author, self.domain.random_problem(rng), False)

    def judge(self, problem: Problem, text: str) -> Tried:
        """What a person's text comes to; an answer without anything around it is read as one."""
        verdict = self.domain.verify(problem, text)
        if verdict.answer is None:
            alone = self.domain.verify(problem, f" answer {text.strip()}")
            if alone.answer is not None:
                reason = "only the answer" if alone.answer_correct else "another answer is right"
                verdict = replace(alone, reason=reason, step=None)
        return Tried(self.person, text, verdict)

    def attempts(self, problem: Problem, author: str, each: int = 1) -> list[Tried]:
        """`each` tries by every agent but the author: one is greedy, several are as warm as in the run. Raises
        ValueError where the agents' model cannot hold the problem."""
        notes, rounds = self.agents.notes(problem), self.agents.config.rounds
        wanted = [
            Wanted(
                name,
                f"play/{self.seed}/solve/{problem.text_key}/{name}/{j}",
                solver.ask(self.agents.voice, self.domain, name, problem, notes),
                rounds.temperature if each > 1 else 0.0,
            )
            for name in self.agents.names
            if name != author
            for j in range(each)
        ]
        texts = [solver.read(self.agents.voice, text) for text in self.agents.say(wanted)]
        return [Tried(w.agent, text, self.domain.verify(problem, text)) for w, text in zip(wanted, texts, strict=True)]

    def solved(self, author: str, tries: Sequence[Tried]) -> float:
        """Take the tries at an agent's problem into the score; what it pays its author."""
        for t in tries:
            self.scores[t.player].tried += 1
            self.scores[t.player].right += t.right
        return self.pay(author, tries)

    def pay(self, author: str, tries: Sequence[Tried]) -> float:
        """Pay a problem's author by the share of right answers of others."""
        paid = self.agents.config.rewards.rule(sum(t.right for t in tries) / len(tries))
        self.scores.setdefault(author, Score()).pay.append(paid)  # who set it once need not be at the table
        return paid

    def rejected(self) -> float:
        """The person proposed nothing that is a problem; what it costs."""
        cost = self.agents.config.rewards.invalid
        self.scores[self.person].pay.append(cost)
        return cost

    def propose(self, text: str) -> Problem | Rejection:
        return self.domain.parse_proposal(text)

    def rng(self, what: str) -> random.Random:
        """Randomness of one part of the game."""
        return random.Random(f"play/{self.seed}/{what}")
