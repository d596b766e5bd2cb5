"""The phase `grade`: a third agent solves some of the problems again, blind; then rounds are settled and paid.

The phase computes on copies of the rounds. The fold takes grades, doubts and outcomes as they were stored.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import replace

from arena.library.utility import utilities
from arena.phases.records import Produced, request
from arena.rounds import diversity
from arena.rounds.rewards import rewards
from arena.rounds.round import GRADER, Grade
from arena.rounds.validity import doubts
from arena.run.fold import RunState
from arena.run.state import Arena
from arena.run.store import Records, Row
from curricula.learnability import is_learnable


def grade(arena: Arena) -> Produced:
    """Grades, outcomes of all rounds, and the mean reward of each agent in each role."""
    state = arena.state
    g, config, rounds = state.generation.index, arena.config, state.generation.rounds
    waiting = [r for r in rounds if r.phase == "grade"]
    done = arena.models.generate([request(state, r.id, r.asks()[0], 0.0, r.grader) for r in waiting])
    judged = {r.id: r.judge_grade(completion.text) for r, completion in zip(waiting, done, strict=True)}
    grades = [
        {
            "id": f"{r.id}/{GRADER}",
            "generation": g,
            "round": r.id,
            "attempt": f"{r.id}/solver_0/0",
            "grader": judged[r.id].grader,
            "text": completion.text,
            "answer": judged[r.id].answer,
            "says_correct": judged[r.id].says_correct,
            "agrees": judged[r.id].agrees,
            "logprobs": state.stored_logprobs(completion),
        }
        for r, completion in zip(waiting, done, strict=True)
    ]
    graded = [replace(r, grade=judged.get(r.id), phase="done") for r in rounds]
    doubted = doubts(graded)
    outcomes, paid = [], dict[tuple[str, str], list[float]]()
    repeated = count_repeats(state)
    for r in graded:
        r.doubt = doubted.get(r.id, "")
        novelty = diversity.factor(repeated.get(r.id, 0), config.rewards.diversity)
        for _, agent, role, reward in rewards(r, config.rewards.rule, config.rewards.invalid, novelty):
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
    for agent, reward in label_rewards(state.generation.labels, state.living):
        paid.setdefault((agent, "grader"), []).append(reward)
    for agent, reward in review_rewards(state):
        paid.setdefault((agent, "reviewer"), []).append(reward)
    totals = [
        {"generation": g, "agent": a, "role": role, "reward": sum(x) / len(x), "n": len(x)}
        for (a, role), x in sorted(paid.items())
    ]
    return {"grades": grades, "outcomes": outcomes, "rewards": totals}


def count_repeats(state: RunState) -> dict[str, int]:
    """The number of similar problems by round, for rounds with a problem; empty if similarity does not affect pay."""
    config, g = state.config.rewards, state.generation.index
    if not config.diversity:
        return {}
    rounds = [r for r in state.generation.rounds if r.problem is not None]
    sql = "SELECT domain, text, behaviour_key FROM problems WHERE valid AND generation BETWEEN ? AND ? ORDER BY rowid"
    rows = state.store.query(sql, [g - config.diversity_window, g - 1])
    earlier = [diversity.of_problem(state.domains[row["domain"]].problem(row["text"])) for row in rows]
    now = [diversity.of_problem(r.problem) for r in rounds if r.problem is not None]
    return dict(zip([r.id for r in rounds], diversity.repeats(now, earlier), strict=True))


def fold_grade(arena: Arena, records: Records) -> None:
    """Grades and outcomes as they were stored."""
    state = arena.state
    grades = {r["round"]: r for r in records.get("grades", ())}
    outcomes = {r["round"]: r for r in records["outcomes"]}
    for round_ in state.generation.rounds:
        if row := grades.get(round_.id):
            state.add_reply(row["id"], row)
            says, agrees = (None if row[name] is None else bool(row[name]) for name in ("says_correct", "agrees"))
            round_.set_grade(Grade(0, row["grader"], row["answer"], says, agrees))
        round_.doubt = outcomes.get(round_.id, {}).get("doubt") or ""
    state.generation.outcomes = outcomes


def review_rewards(state: RunState) -> list[tuple[str, float]]:
    """(agent, reward) for each review written `rewards.review_lag` generations ago by an agent that still lives.

    The reward is `rewards.review` if the post's measured utility agrees with the verdict, else minus that. Reviews of
    posts without a utility, which nobody has read since, pay nothing.
    """
    sql = "SELECT author, about, body FROM posts WHERE kind = 'review' AND generation = ? ORDER BY seq"
    then, paid = state.generation.index - state.config.rewards.review_lag, state.config.rewards.review
    rows = [r for r in state.store.query(sql, [then]) if r["author"] in state.living]
    known = utilities(state) if rows else {}
    return [
        (r["author"], paid if (known[r["about"]] > 0) == r["body"].startswith("helps") else -paid)
        for r in rows
        if r["about"] in known
    ]


def label_rewards(labels: Sequence[Row], living: Container[str]) -> list[tuple[str, float]]:
    """(grader, reward) for each reviewer's label of an attempt that a living grader had judged."""
    return [
        (label["grader"], float(label["grader_agrees"]))
        for label in labels
        if label["grader"] in living and label["grader_agrees"] is not None
    ]
