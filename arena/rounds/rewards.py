"""What a finished round pays each seat.

Setters earn by the solve rate of others (curricula/learnability.py), solvers for a right answer by a fully verified
trace, graders for agreeing with execution. A doubted problem costs its author what an invalid one does, and pays
nobody. A rejected proposal costs its author; a grader without an answer has no
vote and no pay. A grader is paid once more when a reviewer has said whether the attempt was right: for agreeing with
the reviewer, in the generation in which the label is taken.
"""

from __future__ import annotations

from arena.rounds.round import GRADER, SETTER, Round, solver_seat
from curricula.learnability import RULES


def rewards(round_: Round, rule: str, invalid: float) -> list[tuple[str, str, str, float]]:
    """(seat, agent, role, reward) for every paid act of a finished round; a solver has one entry an attempt."""
    if round_.problem is None or round_.doubt:
        return [(SETTER, round_.author, "setter", invalid)]
    p = round_.solve_rate
    assert p is not None, round_.id
    paid = [(SETTER, round_.author, "setter", RULES[rule](p))]
    seats = {agent: solver_seat(i) for i, agent in enumerate(round_.solvers)}
    for attempt, verdict in zip(round_.attempts, round_.verdicts, strict=True):
        paid.append((seats[attempt.agent], attempt.agent, "solver", float(verdict.correct)))
    if round_.grade is not None and round_.grade.agrees is not None:
        paid.append((GRADER, round_.grade.grader, "grader", float(round_.grade.agrees)))
    return paid
