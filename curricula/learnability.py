"""Payment rules: what a problem pays its author, from the solve rate p of the other agents.

A rule is one object that holds the formula and the sentences that setters and people are shown, so that what they are
told is what they are paid. Add a rule to `RULES`, or name one of your own in `rewards.setter` by its import path.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class PaymentRule:
    """Pay of a setter as a function of the solve rate.

    pay: function of the solve rate p in [0, 1]; a problem with p = 0 should pay 0.
    formula: `pay` in writing, for reports and help texts.
    prompt: sentence for setters, without the final period. It is part of a prompt to a model: changing it changes runs.
    summary: completes "It pays ..." for people.
    """

    name: str
    pay: Callable[[float], float]
    formula: str
    prompt: str
    summary: str

    def __call__(self, p: float) -> float:
        return self.pay(p)


def variance(p: float) -> float:
    """4p(1-p): the variance of one attempt, scaled to [0, 1]; highest at p = 1/2."""
    return 4.0 * p * (1.0 - p)


def inverse(p: float) -> float:
    """1-p for p > 0, else 0: harder problems pay more, as long as one attempt succeeds (Zhao et al. 2025, Absolute
    Zero)."""
    return 1.0 - p if p > 0.0 else 0.0


NOTHING = "a problem that everybody solves or nobody can solve pays nothing"

RULES: dict[str, PaymentRule] = {
    rule.name: rule
    for rule in (
        PaymentRule(
            "variance",
            variance,
            "4p(1-p)",
            f"You are paid most when about half of their attempts solve it: {NOTHING}",
            "most when about half of the attempts are right",
        ),
        PaymentRule(
            "inverse",
            inverse,
            "1-p for p > 0, else 0",
            f"You are paid more the fewer of their attempts solve it, as long as at least one does: {NOTHING}",
            "more the fewer attempts are right, as long as at least one is",
        ),
    )
}
"""The built-in rules by name. Both pay nothing if nobody or everybody solves the problem."""


def is_learnable(p: float) -> bool:
    """Some attempts succeed and some fail."""
    return 0.0 < p < 1.0
