"""The grader: solves the problem without seeing the attempts, or answers that the question is unclear."""

from __future__ import annotations

from collections.abc import Sequence

from agents.prompt import Prompt
from arena.rounds.roles import solver
from arena.rounds.roles.voice import Voice
from curricula.domain import Domain, Problem

ROLE = (
    "Now you judge the attempts of others at a problem, by solving it yourself without seeing them. If the question "
    f"lacks what is needed, or can be read in more than one way, your answer is the one word {solver.UNCLEAR}. You are "
    "paid when your judgement agrees with what running it shows."
)
BRIEF = f"You check problems by solving them. If the question is unclear, reply {solver.UNCLEAR}."


def ask(voice: Voice, domain: Domain, agent: str, problem: Problem, notes: Sequence[str]) -> Prompt:
    return solver.ask(voice, domain, agent, problem, notes, ROLE, BRIEF)


read = solver.read
