"""How far each grader's votes are to be trusted: against execution, and against a reviewer's labels.

Rates with Wilson intervals. A grader judges whether an answer is right, blind; execution judges the same of every
attempt, a reviewer of those that were labelled.

Left out: confidence (graders give none, only a vote). Not guaranteed: that agreement with a reviewer speaks of all
attempts. What is put on the desk is chosen for being in doubt, so it is lower than it would be over attempts drawn at
random; it compares graders with each other, and says where reviewer and execution part.
"""

from __future__ import annotations

from arena.report.stats.intervals import wilson_interval
from arena.run.store import Row, Store

REVIEWED = (
    "SELECT COUNT(*) AS labels, COALESCE(SUM(says_right != execution_correct), 0) AS against_execution"
    " FROM labels WHERE generation <= ?"
)


def calibration(store: Store) -> list[Row]:
    """One row a grader, in alphabetical order: rates are None, and their intervals, where there is nothing to count.

    `graded` counts what the grader was given, `votes` where it gave an answer, `labelled` its votes that a reviewer has
    labelled; `execution` is the share of votes that agree with execution, `human` that of labelled votes that agree
    with the reviewer, each with `_low` and `_high` (95 %).
    """
    sql = "SELECT grader, COUNT(*) AS graded, COUNT(agrees) AS votes, SUM(agrees) AS agrees FROM grades GROUP BY grader"
    rows = store.query(f"{sql} ORDER BY grader")
    sql = "SELECT grader, COUNT(grader_agrees) AS n, SUM(grader_agrees) AS agrees FROM labels GROUP BY grader"
    labels = {r["grader"]: r for r in store.query(sql)}
    found = []
    for r in rows:
        label = labels.get(r["grader"], {"n": 0, "agrees": 0})
        row: Row = {"grader": r["grader"], "graded": r["graded"], "votes": r["votes"], "labelled": label["n"]}
        found.append(row | _rate("execution", r["agrees"], r["votes"]) | _rate("human", label["agrees"], label["n"]))
    return found


def reviewed(store: Store, up_to: int | None = None) -> Row:
    """What the reviewer said: `labels`, of which `against_execution`, where one says right and the other wrong."""
    return store.query(REVIEWED, [2**62 if up_to is None else up_to])[0]


def _rate(name: str, successes: int | None, n: int) -> Row:
    if not n:
        return {name: None, f"{name}_low": None, f"{name}_high": None}
    low, high = wilson_interval(successes or 0, n)
    return {name: (successes or 0) / n, f"{name}_low": low, f"{name}_high": high}
