"""TODO."""

from __future__ import annotations

from collections.abc import Container, Sequence

from arena.library.utility import worth
from arena.phases.records import Produced, request
from arena.rounds.rewards import rewards
from arena.rounds.round import GRADER
from arena.rounds.validity import doubts
from arena.run.state import Arena
from arena.run.store import Row
from curricula.learnability import is_learnable

REVIEW_LAG = 4  # generations after which a review is paid


def grade(arena: Arena) -> Produced:
    """A tenth of the problems is solved again, blind, by a third agent; then rounds are settled and paid."""
    g, config = arena.generation.index, arena.config
    graded = [r for r in arena.generation.rounds if r.phase == "grade"]
    done = arena.generate([request(arena, r.id, r.asks()[0], 0.0, r.grader) for r in graded])
    grades, outcomes, paid = [], [], dict[tuple[str, str], list[float]]()
    for r, completion in zip(graded, done, strict=True):
        r.take([completion.text])
        assert r.grade is not None
        grades.append(
            {
                "id": f"{r.id}/{GRADER}",
                "generation": g,
                "round": r.id,
                "attempt": f"{r.id}/solver_0/0",
                "grader": r.grade.grader,
                "text": completion.text,
                "answer": r.grade.answer,
                "says_correct": r.grade.says_correct,
                "agrees": r.grade.agrees,
            }
        )
    doubted = doubts(arena.generation.rounds)
    for r in arena.generation.rounds:
        r.doubt = doubted.get(r.id, "")
        for _, agent, role, reward in rewards(r, config.rewards.setter, config.rewards.invalid):
            paid.setdefault((agent, role), []).append(reward)
            if role == "setter":
                p = r.solve_rate
                outcomes.append(
                    {
                        "round": r.id,
                        "generation": g,
                        "solve_rate": p,
                        "learnable": int(p is not None and is_learnable(p) and not r.doubt),
                        "setter_reward": reward,
                        "doubt": r.doubt or None,
                    }
                )
    for agent, reward in label_rewards(arena.generation.labels, arena.living):
        paid.setdefault((agent, "grader"), []).append(reward)
    for agent, reward in review_rewards(arena):
        paid.setdefault((agent, "reviewer"), []).append(reward)
    totals = [
        {"generation": g, "agent": a, "role": role, "reward": sum(x) / len(x), "n": len(x)}
        for (a, role), x in sorted(paid.items())
    ]
    return {"grades": grades, "outcomes": outcomes, "rewards": totals}


def review_rewards(arena: Arena) -> list[tuple[str, float]]:
    """(agent, reward) for each review of some generations ago by who still lives: half a point to or fro, by whether
    what the post has done for its readers since then bears the verdict out. Posts that nobody read pay nothing."""
    sql = "SELECT author, about, body FROM posts WHERE kind = 'review' AND generation = ? ORDER BY seq"
    rows = [r for r in arena.store.query(sql, [arena.generation.index - REVIEW_LAG]) if r["author"] in arena.living]
    known = worth(arena) if rows else {}
    return [
        (r["author"], 0.5 if (known[r["about"]] > 0) == r["body"].startswith("helps") else -0.5)
        for r in rows
        if r["about"] in known
    ]


def label_rewards(labels: Sequence[Row], living: Container[str]) -> list[tuple[str, float]]:
    """(grader, reward) for each label of an attempt on which a living grader had voted."""
    return [
        (label["grader"], float(label["grader_agrees"]))
        for label in labels
        if label["grader"] in living and label["grader_agrees"] is not None
    ]
