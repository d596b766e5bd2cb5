"""Rewards of a finished round, by seat.

Setters are paid by a payment rule from the solve rate of others (curricula/learnability.py), solvers for a right answer
with a fully verified trace, graders for agreeing with execution. A rejected proposal costs its author `invalid`, and so
does a problem that is doubted; nobody else is paid for it. A grader without an answer has no vote and no pay. Left out:
the second payment of graders when a reviewer labels the attempt (`arena.phases.grade`).
"""

from __future__ import annotations

from arena.rounds.round import GRADER, SETTER, Round, solver_seat
from curricula.learnability import PaymentRule


def rewards(
    round_: Round, rule: PaymentRule, invalid: float, novelty: float = 1.0
) -> list[tuple[str, str, str, float]]:
    """(seat, agent, role, reward) of a finished round; a solver has one entry per attempt.

    `novelty`: factor on the setter's pay (`arena.rounds.diversity`). A problem of another kind than was asked for pays
    its setter nothing."""
    if round_.problem is None or round_.doubt:
        return [(SETTER, round_.author, "setter", invalid)]
    p = round_.solve_rate
    assert p is not None, round_.id
    paid = [(SETTER, round_.author, "setter", rule(p) * novelty if round_.meets_request else 0.0)]
    seats = {agent: solver_seat(i) for i, agent in enumerate(round_.solvers)}
    for attempt, verdict in zip(round_.attempts, round_.verdicts, strict=True):
        paid.append((seats[attempt.agent], attempt.agent, "solver", float(verdict.correct)))
    if round_.grade is not None and round_.grade.agrees is not None:
        paid.append((GRADER, round_.grade.grader, "grader", float(round_.grade.agrees)))
    return paid
