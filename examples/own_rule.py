"""A payment rule of your own: setters are paid for problems that a quarter of the attempts solve. Play a run with it:

    PYTHONPATH=. ratchet run tiny rewards.setter=examples.own_rule:RULE

The rule holds the sentence that setters are shown, so that what they are told is what they are paid.
"""

from curricula.learnability import PaymentRule

TARGET = 0.25


def near_target(p: float) -> float:
    """1 at p = TARGET, falling linearly to 0 at p = 0 and p = 1. `p` is the solve rate of the other agents."""
    return p / TARGET if p < TARGET else (1.0 - p) / (1.0 - TARGET)


RULE = PaymentRule(
    name="near_target",
    pay=near_target,
    formula=f"p/{TARGET} below {TARGET}, (1-p)/{1 - TARGET} above",
    prompt="You are paid most when about a quarter of their attempts solve it: "
    "a problem that everybody solves or nobody can solve pays nothing",
    summary="most when about a quarter of the attempts are right",
)
