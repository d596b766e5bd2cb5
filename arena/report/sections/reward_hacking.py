"""Reward hacking in sentences, a figure and a table, which the sections on grading and the summary show.

The figures are those of `arena.report.metrics.reward_hacking`. Left out: rejections over time (`curriculum`). Not
guaranteed: that nothing was gamed; only the listed checks are counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from arena.report.figures.figure import Figure, Panel, Series, Table
from arena.report.metrics.reward_hacking import MOST_REASONS, leaked_problems, unfounded_posts
from arena.report.stats.intervals import difference_interval, rate, wilson_interval
from arena.run.retention import thinned_until
from arena.run.store import Row, Store
from arena.text import between, clear, count, listed


def gamed(store: Store, tried: Sequence[Row], refused: Sequence[Row]) -> list[str]:
    """Attempts at gaming that were not rewarded, and whether anything passed unchecked."""
    text = []
    right, wrong = sum(r["right"] for r in tried), sum(r["wrong_reasons"] for r in tried)
    if right:
        text.append(
            f"Right answers, wrong reasoning: {rate(wrong, right)} of {count(right, 'right answer')} came with a trace "
            f"that does not hold, and earned nothing{trend(tried)}."
        )
    total, bad = sum(r["n"] for r in refused), [r for r in refused if r["reason"] != "ok"]
    reasons = Counter[str]()
    for r in bad:
        reasons[r["reason"]] += r["n"]
    told = listed([f"{reason} {n}" for reason, n in reasons.most_common(MOST_REASONS)])
    if bad:
        text.append(f"{sum(reasons.values())} of {count(total, 'proposal')} were refused: {told}.")
    doubted = store.query("SELECT COUNT(*) AS n FROM outcomes WHERE doubt IS NOT NULL")[0]["n"]
    if doubted:
        text.append(
            f"{count(doubted, 'problem')} did not count: strong solvers or a grader contradicted the program's answer."
        )
    unfounded, leaked = unfounded_posts(store), leaked_problems(store)
    posts = store.query("SELECT COUNT(*) AS n FROM posts WHERE kind = 'worked_example'")[0]["n"]
    asked = store.query("SELECT COUNT(DISTINCT problem) AS n FROM evaluations")[0]["n"]
    verdict = "Gamed past the checks: " if unfounded or leaked else "Nothing got past the checks that were counted: "
    text.append(
        f"{verdict}{unfounded or 'none'} of {count(posts, 'worked example')} stand without an attempt that execution "
        f"accepted word for word, and {leaked or 'none'} of {count(asked, 'held-out problem')} asked in this run "
        f"{'was' if leaked == 1 else 'were'} ever set."
    )
    if (last := thinned_until(store)) is not None:
        text.append(
            f"The words of attempts up to generation {last} were not kept: for posts of that time it was checked only "
            "that execution accepted an attempt of their author at that problem."
        )
    return text


def trend(tried: Sequence[Row]) -> str:
    """Change of the share of right answers with a wrong trace from the first quarter to the last."""
    quarter = len(tried) // 4
    if quarter < 2:
        return ""
    sides = [
        (sum(r["wrong_reasons"] for r in s), sum(r["right"] for r in s)) for s in (tried[:quarter], tried[-quarter:])
    ]
    if not all(n for _, n in sides):
        return ""
    (a, n), (b, m) = sides
    low, high = difference_interval(b, m, a, n)
    word = {1: "more of it", -1: "less of it", 0: "no clear change"}[clear(low, high)]
    told = between(b / m - a / n, low, high, sign=True)
    return f"; {word} from the first quarter of the generations to the last, {told}"


def wrong_reasons_figure(tried: Sequence[Row]) -> Figure:
    x = tuple(r["generation"] for r in tried)
    ends = [wilson_interval(r["wrong_reasons"], r["right"]) for r in tried]
    y = tuple(r["wrong_reasons"] / r["right"] if r["right"] else None for r in tried)
    return Figure(
        "wrong-reasons",
        "Right answers by wrong reasoning",
        "Share of the right answers whose written steps do not hold when they are executed, with 95 % Wilson "
        "intervals. They earn nothing: a trace has to be right step by step.",
        (
            Panel(
                (Series("wrong trace", x, y, tuple(e[0] for e in ends), tuple(e[1] for e in ends)),),
                "generation",
                "share of right answers",
                (0.0, min(1.0, 1.05 * max((e[1] for e in ends if e[1] == e[1]), default=1.0))),
                whole_x=True,
            ),
        ),
        tuple({**r, "share": s, "low": low, "high": high} for r, s, (low, high) in zip(tried, y, ends, strict=True)),
    )


def reasons_table(refused: Sequence[Row]) -> Table:
    columns = ("reason", "proposals", "share")
    reasons, total = Counter[str](), sum(r["n"] for r in refused)
    for r in refused:
        reasons[r["reason"]] += r["n"]
    rows = tuple((name, str(n), rate(n, total)) for name, n in reasons.most_common())
    return Table(columns, rows, "Outcomes of all proposals; ok: valid.", frozenset(columns[1:]))
