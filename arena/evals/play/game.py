"""Rules and score of a game of one person against agents of a run. No input or output (see `person.py`).

In the first half, the person and the agents solve the same problems, set by agents; the score counts right answers
and ignores the steps. In the second half, the person sets problems. Setters are paid by the run's reward rule, from the
solve rate of the other players. Equal seeds give equal problems and equal attempts of the agents.

Left out: grading. Not guaranteed: a check of the steps that a person types; only the answer counts.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from arena.evals.play.run_agents import RunAgents, TextRequest
from arena.rounds.roles import setter, solver
from curricula.domain import Problem, Rejection, Verdict

TRIES = 3
"""Attempts to get a valid problem from an agent before a stored problem of the run is used."""


@dataclass(frozen=True)
class SetProblem:
    """A problem and the agent that set it. `now`: set in this game, not in the run."""

    author: str
    problem: Problem
    now: bool


@dataclass(frozen=True)
class Attempt:
    """One attempt of one player at a problem."""

    player: str
    text: str
    verdict: Verdict

    @property
    def right(self) -> bool:
        return self.verdict.answer_correct


@dataclass
class Score:
    """Score of one player: right answers, attempts, and the pay of each problem that the player set."""

    right: int = 0
    tried: int = 0
    pay: list[float] = field(default_factory=list)


class Game:
    """State of one game: the agents, the domain, the seed and the scores of all players.

    Args:
        agents: the run's agents, at least two.
        seed: seed of the problems and of the agents' attempts.
        person: name of the person among the players.

    Raises:
        ValueError: for fewer than two agents.
    """

    def __init__(self, agents: RunAgents, seed: int, person: str = "you") -> None:
        if len(agents.names) < 2:
            raise ValueError(f"a game needs at least 2 agents (a setter and a solver), got {len(agents.names)}")
        self.agents, self.domain, self.seed, self.person = agents, agents.domain, seed, person
        self.scores = {name: Score() for name in (person, *agents.names)}

    def problems(self, count: int) -> list[SetProblem]:
        """`count` different problems, set by the agents in turn as variations of stored problems of the run.

        If no valid problem results from `TRIES` attempts, a stored problem of the run takes its place, or a random one
        if none is left.
        """
        names, rng, found, seen = self.agents.names, self.rng("set"), dict[int, SetProblem](), set[str]()
        for try_ in range(TRIES):
            open_ = [i for i in range(count) if i not in found]
            wanted = []
            for i in open_:
                author, key = names[i % len(names)], f"play/{self.seed}/set/{try_}/{i}"
                prompt = setter.ask(self.agents.voice, self.domain, author, self.agents.parent(rng))
                wanted.append(TextRequest(author, key, prompt, self.agents.config.rounds.set_temperature))
            for i, w, text in zip(open_, wanted, self.agents.say(wanted), strict=True):
                made = self.domain.parse_proposal(setter.read(self.agents.voice, text))
                if isinstance(made, Problem) and made.text_key not in seen:
                    seen.add(made.text_key)
                    found[i] = SetProblem(w.agent, made, True)
        for i in (i for i in range(count) if i not in found):
            found[i] = self._stored(seen, rng, names[i % len(names)])
        return [found[i] for i in range(count)]

    def _stored(self, seen: set[str], rng: random.Random, author: str) -> SetProblem:
        for by, text in rng.sample(self.agents.stored, len(self.agents.stored)):
            problem = self.domain.problem(text)
            if problem.text_key not in seen and not self.domain.is_heldout(problem):
                seen.add(problem.text_key)
                return SetProblem(by, problem, False)
        return SetProblem(author, self.domain.random_problem(rng), False)

    def judge(self, problem: Problem, text: str) -> Attempt:
        """Verify the person's text. A text that is only an answer, without steps, is accepted as an answer."""
        verdict = self.domain.verify(problem, text)
        if verdict.answer is None:
            alone = self.domain.verify(problem, f" answer {text.strip()}")
            if alone.answer is not None:
                reason = "only the answer" if alone.answer_correct else "another answer is right"
                verdict = replace(alone, reason=reason, step=None)
        return Attempt(self.person, text, verdict)

    def attempts(self, problem: Problem, author: str, each: int = 1) -> list[Attempt]:
        """`each` attempts by every agent except the author.

        A single attempt is greedy; several are sampled at the run's temperature. Raises ValueError if the prompt is too
        long for the agents' model.
        """
        notes, rounds = self.agents.notes(problem), self.agents.config.rounds
        wanted = [
            TextRequest(
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
        return [
            Attempt(w.agent, text, self.domain.verify(problem, text)) for w, text in zip(wanted, texts, strict=True)
        ]

    def solved(self, author: str, tries: Sequence[Attempt]) -> float:
        """Count the attempts at an agent's problem in the score. Returns the author's pay."""
        for t in tries:
            self.scores[t.player].tried += 1
            self.scores[t.player].right += t.right
        return self.pay(author, tries)

    def pay(self, author: str, tries: Sequence[Attempt]) -> float:
        """Pay the author of a problem by the share of right answers among `tries`. Returns the pay."""
        paid = self.agents.config.rewards.rule(sum(t.right for t in tries) / len(tries))
        self.scores.setdefault(author, Score()).pay.append(paid)  # the author of a stored problem may not be a player
        return paid

    def rejected(self) -> float:
        """Charge the person for proposing no valid problem. Returns the (negative) pay."""
        cost = self.agents.config.rewards.invalid
        self.scores[self.person].pay.append(cost)
        return cost

    def propose(self, text: str) -> Problem | Rejection:
        return self.domain.parse_proposal(text)

    def rng(self, what: str) -> random.Random:
        """Random generator of the part `what` of the game, seeded by the game's seed."""
        return random.Random(f"play/{self.seed}/{what}")
