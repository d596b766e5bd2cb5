"""Grading and reward hacking: agreement of graders with execution, and checks against gaming.

A grader solves the problem again without seeing the attempt; its vote says whether the attempt's answer equals its own,
and execution knows which answer is correct. Correct answers with a wrong trace, refused proposals and posts without an
accepted attempt are counted here.

Left out: votes on traces; a vote is on the answer alone. Not guaranteed: that nothing was gamed in ways that nobody
counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from arena.report.figures.figure import Figure, Panel, Section, Series, Table
from arena.report.metrics.grader_calibration import calibration, reviewed
from arena.report.metrics.reward_hacking import attempts, rejections
from arena.report.sections.reward_hacking import gamed, reasons_table, wrong_reasons_figure
from arena.report.source import Source
from arena.report.stats.intervals import difference_interval, rate, wilson_interval
from arena.run.store import Row, Store
from arena.text import between, clear, count, number

KEY, TITLE = "grading", "Grading and reward hacking: agreement of graders with execution, and checks against gaming"
GRADES = (
    "SELECT g.generation, g.grader, g.says_correct AS says, a.answer_correct AS right, p.depth FROM grades g"
    " JOIN attempts a ON a.id = g.attempt JOIN problems p ON p.round = g.round ORDER BY g.generation, g.id"
)
NO_LABELS = (
    "There is no human decision in this run, so the agreement of graders with people is not known; decisions on the "
    "review screen of the watcher count as labels."
)
MOST_GRADERS = 30


def section(source: Source) -> Section:
    store = source.store
    votes = store.query(GRADES)
    missing = []
    if not votes:
        missing.append(
            "No attempt has been graded by another agent: either rounds.grade is 0 or no round has reached that phase."
        )
    people = labels(store)
    if not people:
        missing.append(NO_LABELS)
    tried, refused = attempts(store), rejections(store)
    if not refused:
        missing.append("No problem has been proposed yet, so nothing could have been gamed.")
    figures = [
        *((agreement_figure(votes), calibration_figure(votes)) if votes else ()),
        *([wrong_reasons_figure(tried)] if tried else []),
    ]
    tables = [confusion(votes), graders_table(votes, calibration(store))] if votes else []
    tables += [reasons_table(refused)] if refused else []
    findings = [*(agreement(votes) if votes else ()), *people, *(gamed(store, tried, refused) if refused else ())]
    return Section(KEY, TITLE, tuple(findings), tuple(f for f in figures if f), tuple(tables), tuple(missing))


def labels(store: Store) -> list[str]:
    """A reviewer's decisions against graders and execution; empty without a decision."""
    said = reviewed(store)
    if not said["labels"]:
        return []
    graders = [g for g in calibration(store) if g["labelled"]]
    votes = sum(g["labelled"] for g in graders)
    text = (
        f"A reviewer labelled {count(said['labels'], 'attempt')}, {said['against_execution']} of them against execution"
    )
    if votes:
        agree = sum(round(g["human"] * g["labelled"]) for g in graders)
        text += f"; graders' votes agree with the labels in {rate(agree, votes)}"
    return [f"{text}. Attempts are chosen for labelling because they are in doubt, so they are harder than the rest."]


# -- graders -----------------------------------------------------------------------------------------------------


def agreement(votes: Sequence[Row]) -> list[str]:
    """Agreement of votes with execution, against always giving the more common vote, and the reliability of votes."""
    cast = [v for v in votes if v["says"] is not None]
    silent = len(votes) - len(cast)
    if not cast:
        return [f"Graders gave no answer to any of {count(len(votes), 'attempt')}, so there was no vote."]
    agree = sum(v["says"] == v["right"] for v in cast)
    right = sum(v["right"] for v in cast)
    text = (
        f"Graders agree with execution in {rate(agree, len(cast))} of {count(len(cast), 'vote')}, {silent} more had no "
        f"answer; always saying {'right' if 2 * right >= len(cast) else 'wrong'} would agree in "
        f"{number(max(right, len(cast) - right) / len(cast))}."
    )
    yes, no = ([v for v in cast if v["says"] == says] for says in (1, 0))
    told = (
        f"An attempt that a grader calls right is right with {rate(sum(v['right'] for v in yes), len(yes))}, one that "
        f"it calls wrong with {rate(sum(v['right'] for v in no), len(no))}."
    )
    if yes and no:
        apart = difference_interval(sum(v["right"] for v in yes), len(yes), sum(v["right"] for v in no), len(no))
        if clear(*apart) <= 0:
            told += " So votes carry no clear information."
    return [text, told, *deep(yes)]


def deep(yes: Sequence[Row]) -> list[str]:
    """Whether a vote for right is less reliable on deeper problems, where grader and solver make the same errors."""
    depths = sorted(v["depth"] for v in yes)
    if not depths or depths[0] == depths[-1]:
        return []
    middle = depths[len(depths) // 2]
    shallow, below = ([v["right"] for v in yes if (v["depth"] > middle) == side] for side in (False, True))
    if not shallow or not below:
        return []
    low, high = difference_interval(sum(below), len(below), sum(shallow), len(shallow))
    if clear(low, high) == 0:
        return []
    word = "less" if high < 0 else "more"
    return [
        f"A vote for right is {word} reliable on problems deeper than {middle}: {rate(sum(below), len(below))} against "
        f"{rate(sum(shallow), len(shallow))}; where problems are hard, grader and solver can make the same mistake."
    ]


def confusion(votes: Sequence[Row]) -> Table:
    columns = ("the grader says", "answer right", "answer wrong", "share right")
    tally = Counter((v["says"], v["right"]) for v in votes)
    rows = []
    for label, says in (("right", 1), ("wrong", 0), ("no vote", None)):
        right, wrong = tally[says, 1], tally[says, 0]
        rows.append((label, str(right), str(wrong), rate(right, right + wrong)))
    return Table(columns, tuple(rows), "Votes against execution, with 95 % Wilson intervals.", frozenset(columns[1:]))


def graders_table(votes: Sequence[Row], trusted: Sequence[Row]) -> Table:
    columns: tuple[str, ...] = ("grader", "graded", "no vote", "agreement", "when it says right", "when it says wrong")
    people = {g["grader"]: g for g in trusted if g["labelled"]}
    columns += ("with a reviewer",) if people else ()
    names = Counter(v["grader"] for v in votes)
    rows = []
    for name, n in sorted(names.items(), key=lambda x: (-x[1], x[0]))[:MOST_GRADERS]:
        cast = [v for v in votes if v["grader"] == name and v["says"] is not None]
        sides = [[v["right"] for v in cast if v["says"] == says] for says in (1, 0)]
        agree = sum(v["says"] == v["right"] for v in cast)
        known = [rate(sum(s) if says else len(s) - sum(s), len(s)) for says, s in zip((1, 0), sides, strict=True)]
        row = (name, str(n), str(n - len(cast)), rate(agree, len(cast)), *known)
        label = people.get(name)
        told = between(label["human"], label["human_low"], label["human_high"]) if label else "-"
        rows.append((*row, told) if people else row)
    caption = "Share of votes that agree with execution: of all, of those that say right, of those that say wrong."
    caption += " With a reviewer: of its votes that a person labelled, the share that agrees." if people else ""
    return Table(columns, tuple(rows), caption, frozenset(columns[1:]))


def agreement_figure(votes: Sequence[Row]) -> Figure:
    rows = []
    for g in sorted({v["generation"] for v in votes}):
        cast = [v for v in votes if v["generation"] == g and v["says"] is not None]
        agree, right = sum(v["says"] == v["right"] for v in cast), sum(v["right"] for v in cast)
        low, high = wilson_interval(agree, len(cast))
        graded = sum(v["generation"] == g for v in votes)
        row = {"generation": g, "graded": graded, "votes": len(cast), "agree": agree, "right": right}
        share = agree / len(cast) if cast else None
        most = max(right, len(cast) - right) / len(cast) if cast else None
        rows.append({**row, "agreement": share, "low": low, "high": high, "commoner": most})
    x = tuple(r["generation"] for r in rows)
    y, low_, high_, common = (tuple(r[k] for r in rows) for k in ("agreement", "low", "high", "commoner"))
    return Figure(
        "agreement",
        "Graders' agreement with execution",
        "Share of votes that agree with execution, with 95 % Wilson intervals, and the agreement of always giving "
        "that generation's more common vote.",
        (
            Panel(
                (Series("graders", x, y, low_, high_), Series("the more common vote", x, common, dash=True)),
                "generation",
                "share of votes",
                (0.0, 1.0),
                whole_x=True,
            ),
        ),
        tuple(rows),
    )


def calibration_figure(votes: Sequence[Row]) -> Figure | None:
    """How often an attempt is right, given the vote, by depth of the problem."""
    rows = []
    for says, label in ((1, "grader says right"), (0, "grader says wrong")):
        for depth in sorted({v["depth"] for v in votes}):
            found = [v["right"] for v in votes if v["says"] == says and v["depth"] == depth]
            if found:
                low, high = wilson_interval(sum(found), len(found))
                share = sum(found) / len(found)
                rows.append({"vote": label, "depth": depth, "n": len(found), "right": share, "low": low, "high": high})
    if not rows:
        return None
    series = []
    for label in dict.fromkeys(r["vote"] for r in rows):
        own = [r for r in rows if r["vote"] == label]
        x, y, low_, high_ = (tuple(r[k] for r in own) for k in ("depth", "right", "low", "high"))
        series.append(Series(label, x, y, low_, high_, "points", text=tuple(f"n = {r['n']}" for r in own)))
    return Figure(
        "calibration",
        "Reliability of votes, by depth of the problem",
        "How often an attempt's answer is right, given what the grader said of it; 95 % Wilson intervals. Votes are "
        "informative where the two differ; those of a perfect grader are 1 and 0.",
        (Panel(tuple(series), "depth of the problem", "share of answers right", (0.0, 1.0), whole_x=True),),
        tuple(rows),
    )
