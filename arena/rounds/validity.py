"""Problems that should not count because the domain's reference answer may be wrong.

The domain has the rule (`curricula.domain.Doubtful`); this module computes its input. A solver is strong if it solved
at least the mean share of the generation's other problems. A doubted problem costs its author as much as an invalid
one, pays nobody else, and is neither posted nor trained on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from arena.rounds.roles.solver import is_unclear
from arena.rounds.round import Round
from curricula.domain import Doubtful, Judged


def doubts(rounds: Sequence[Round]) -> dict[str, str]:
    """The reason by round, for rounds whose problem is doubted."""
    open_to_it = [r for r in rounds if r.problem is not None and r.attempts and isinstance(r.domain, Doubtful)]
    if not open_to_it:
        return {}
    tried: dict[str, list[tuple[str, bool]]] = defaultdict(list)
    for r in rounds:
        for attempt, verdict in zip(r.attempts, r.verdicts, strict=True):
            tried[attempt.agent].append((r.id, verdict.correct))
    found = {}
    for r in open_to_it:
        assert r.problem is not None and isinstance(r.domain, Doubtful)
        others = {agent: [ok for id_, ok in mine if id_ != r.id] for agent, mine in tried.items()}
        skill = {agent: sum(mine) / len(mine) for agent, mine in others.items() if mine}
        mean = sum(skill.values()) / len(skill) if skill else 0.0
        answers = [
            Judged(
                a.agent,
                v.answer,
                v.correct,
                skill.get(a.agent, 0.0) >= mean,
                is_unclear(a.text),
                r.domain.sound(a.text),
            )
            for a, v in zip(r.attempts, r.verdicts, strict=True)
        ]
        if r.grade is not None:
            g = r.grade
            answers.append(Judged(g.grader, g.answer, g.correct, skill.get(g.grader, 0.0) >= mean, g.unclear))
        reason = r.domain.doubt(r.problem, answers)
        if reason:
            found[r.id] = reason
    return found
