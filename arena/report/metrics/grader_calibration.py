"""How reliable each grader's votes are: against execution, and against a reviewer's labels.

Rates with Wilson intervals. A grader judges whether an answer is correct without seeing the verdict; execution judges
every attempt, a reviewer only those that were labelled.

Left out: confidence; graders give only a vote. Not guaranteed: that agreement with a reviewer holds for all attempts.
Attempts are shown to a reviewer because they are in doubt, so agreement is lower than over attempts drawn at random; it
compares graders with each other, and shows where reviewer and execution differ.
"""

from __future__ import annotations

from arena.report.stats.intervals import wilson_interval
from arena.run.store import Row, Store

REVIEWED = (
    "SELECT COUNT(*) AS labels, COALESCE(SUM(says_right != execution_correct), 0) AS against_execution"
    " FROM labels WHERE generation <= ?"
)


def calibration(store: Store) -> list[Row]:
    """One row per grader, in alphabetical order; rates over nothing, and their intervals, are None. `graded` counts the
    attempts given to the grader, `votes` those for which it gave an answer, `labelled` its votes that a reviewer has
    labelled; `execution` is the share of votes that agree with execution, `human` that of labelled votes that agree
    with the reviewer, each with `_low` and `_high` (95 %)."""
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
    """Counts of the reviewer's labels: `labels`, of which `against_execution` contradict execution."""
    return store.query(REVIEWED, [2**62 if up_to is None else up_to])[0]


def _rate(name: str, successes: int | None, n: int) -> Row:
    if not n:
        return {name: None, f"{name}_low": None, f"{name}_high": None}
    low, high = wilson_interval(successes or 0, n)
    return {name: (successes or 0) / n, f"{name}_low": low, f"{name}_high": high}
