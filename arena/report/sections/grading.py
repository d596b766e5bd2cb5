"""Grading and gaming: do graders agree with execution, what do their votes tell, and was anything gamed?

A grader solves the problem again, blind; its vote says whether the attempt's answer equals its own, and execution
knows which answer is right. Answers right by a trace that does not hold, proposals refused, posts that no accepted
attempt stands behind: what could have been gamed is counted here.

Left out: votes on traces; a vote is on the answer alone. Not guaranteed: that what nobody counts was not gamed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from arena.report.figure import Figure, Panel, Row, Section, Series, Table
from arena.report.say import between, clear, count, listed, number, rate
from arena.report.source import Source
from arena.report.statistics import difference_interval, wilson_interval
from arena.store import Store

KEY, TITLE = "grading", "Grading and gaming: do graders agree with execution, was anything gamed?"
GRADES = (
    "SELECT g.generation, g.grader, g.says_correct AS says, a.answer_correct AS right, p.depth FROM grades g"
    " JOIN attempts a ON a.id = g.attempt JOIN problems p ON p.round = g.round ORDER BY g.generation, g.id"
)
NO_LABELS = (
    "There is no human decision in this run, so how graders agree with people is not known; the review desk of the "
    "watcher stores decisions, which count as labels."
)
MOST_GRADERS = 30
MOST_REASONS = 6


def section(source: Source) -> Section:
    store = source.store
    votes = store.query(GRADES)
    missing = []
    if not votes:
        missing.append(
            "No attempt has been graded by another agent: either rounds.grade is 0 or no round has come so far."
        )
    people = labels(store)
    if not people:
        missing.append(NO_LABELS)
    tried, refused = attempts(store), rejections(store)
    if not refused:
        missing.append("Nothing has been proposed yet, so there is nothing that could have been gamed.")
    figures = [
        *((agreement_figure(votes), calibration_figure(votes)) if votes else ()),
        *([wrong_reasons_figure(tried)] if tried else []),
        *([rejections_figure(refused)] if refused else []),
    ]
    tables = [
        *((confusion(votes), graders_table(votes)) if votes else ()),
        *([reasons_table(refused)] if refused else []),
    ]
    findings = [*(agreement(votes) if votes else ()), *(gamed(store, tried, refused) if refused else ())]
    return Section(KEY, TITLE, tuple(findings), tuple(f for f in figures if f), tuple(tables), tuple(missing))


def labels(store: Store) -> list[str]:
    """What a reviewer's decisions say of graders and of execution; nothing where there are none."""
    if not store.query("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'labels'"):
        return []
    sql = (
        "SELECT COUNT(*) AS n, COUNT(grader_agrees) AS votes, COALESCE(SUM(grader_agrees), 0) AS agree,"
        " COALESCE(SUM(says_right != execution_correct), 0) AS against FROM labels"
    )
    row = store.query(sql)[0]
    if not row["n"]:
        return []
    text = f"A reviewer labelled {count(row['n'], 'attempt')}, {row['against']} of them against execution"
    if row["votes"]:
        text += f"; graders' votes agree with the labels in {rate(row['agree'], row['votes'])}"
    return [f"{text}. What is labelled was chosen for being in doubt, so it is harder than the rest."]


# -- graders -----------------------------------------------------------------------------------------------------


def agreement(votes: Sequence[Row]) -> list[str]:
    """How often votes agree with execution, against always giving the commoner vote, and what a vote is worth."""
    cast = [v for v in votes if v["says"] is not None]
    silent = len(votes) - len(cast)
    if not cast:
        return [f"None of {count(len(votes), 'grader')} gave an answer, so there was no vote."]
    agree = sum(v["says"] == v["right"] for v in cast)
    right = sum(v["right"] for v in cast)
    text = (
        f"Graders agree with execution in {rate(agree, len(cast))} of {count(len(cast), 'vote')}, {silent} more had no "
        f"answer; who always said {'right' if 2 * right >= len(cast) else 'wrong'} would agree in "
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
            told += " So a vote tells nothing that is clear."
    return [text, told, *deep(yes)]


def deep(yes: Sequence[Row]) -> list[str]:
    """Whether a vote for right is worth less on deeper problems, where grader and solver err alike."""
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
        f"A vote for right is worth {word} on problems deeper than {middle}: {rate(sum(below), len(below))} against "
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


def graders_table(votes: Sequence[Row]) -> Table:
    columns = ("grader", "graded", "no vote", "agreement", "when it says right", "when it says wrong")
    names = Counter(v["grader"] for v in votes)
    rows = []
    for name, n in sorted(names.items(), key=lambda x: (-x[1], x[0]))[:MOST_GRADERS]:
        cast = [v for v in votes if v["grader"] == name and v["says"] is not None]
        sides = [[v["right"] for v in cast if v["says"] == says] for says in (1, 0)]
        agree = sum(v["says"] == v["right"] for v in cast)
        known = [rate(sum(s) if says else len(s) - sum(s), len(s)) for says, s in zip((1, 0), sides, strict=True)]
        rows.append((name, str(n), str(n - len(cast)), rate(agree, len(cast)), *known))
    caption = "Share of votes that agree with execution: of all, of those that say right, of those that say wrong."
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
        "Share of votes that agree with execution, with 95 % Wilson intervals, and the share that one would agree with "
        "who always gave that generation's commoner vote.",
        (
            Panel(
                (Series("graders", x, y, low_, high_), Series("the commoner vote", x, common, dash=True)),
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
        "What a vote is worth, by depth of the problem",
        "How often an attempt's answer is right, given what the grader said of it; 95 % Wilson intervals. Votes are "
        "worth something where the two lie apart; a perfect grader's lie at 1 and at 0.",
        (Panel(tuple(series), "depth of the problem", "share of answers right", (0.0, 1.0), whole_x=True),),
        tuple(rows),
    )


# -- gaming ------------------------------------------------------------------------------------------------------


def attempts(store: Store) -> list[Row]:
    """By generation: attempts, right answers, and those of them whose trace does not hold."""
    sql = (
        "SELECT generation, COUNT(*) AS attempts, SUM(answer_correct) AS right, SUM(correct) AS correct,"
        " SUM(answer_correct AND NOT correct) AS wrong_reasons FROM attempts GROUP BY generation ORDER BY generation"
    )
    return store.query(sql)


def rejections(store: Store) -> list[Row]:
    """By generation and reason; a reason of "ok" is what was valid."""
    sql = (
        "SELECT generation, reason, COUNT(*) AS n FROM problems GROUP BY generation, reason ORDER BY generation, reason"
    )
    return store.query(sql)


def gamed(store: Store, tried: Sequence[Row], refused: Sequence[Row]) -> list[str]:
    """What was tried and not paid, and whether anything unchecked got in."""
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
        text.append(
            f"{sum(reasons.values())} of {count(total, 'proposal')} were refused and cost their authors: {told}."
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
    return text


def trend(tried: Sequence[Row]) -> str:
    """How the share of right answers with a wrong trace went from the first quarter to the last."""
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
    return f"; {word} from the first quarter of the generations to the last, {between(b / m - a / n, low, high, sign=True)}"


def unfounded_posts(store: Store) -> int:
    """Worked examples that are not, word for word, a correct attempt of their author at that problem."""
    sql = (
        "SELECT COUNT(*) AS n FROM posts p WHERE p.kind = 'worked_example' AND NOT EXISTS (SELECT 1 FROM attempts a"
        " JOIN problems q ON q.round = a.round WHERE a.round = substr(p.about, instr(p.about, '/') + 1)"
        " AND a.agent = p.author AND a.correct AND a.text = p.body AND q.text = p.title)"
    )
    return int(store.query(sql)[0]["n"])


def leaked_problems(store: Store) -> int:
    """Held-out problems that were asked in evaluations and set as problems as well."""
    sql = "SELECT COUNT(DISTINCT text) AS n FROM problems WHERE valid AND text IN (SELECT problem FROM evaluations)"
    return int(store.query(sql)[0]["n"])


def wrong_reasons_figure(tried: Sequence[Row]) -> Figure:
    x = tuple(r["generation"] for r in tried)
    ends = [wilson_interval(r["wrong_reasons"], r["right"]) for r in tried]
    y = tuple(r["wrong_reasons"] / r["right"] if r["right"] else None for r in tried)
    return Figure(
        "wrong_reasons",
        "Right answers by wrong reasoning",
        "Share of the right answers whose written steps do not hold when they are executed, with 95 % Wilson "
        "intervals. They earn nothing: a trace has to be right step by step.",
        (
            Panel(
                (Series("wrong trace", x, y, tuple(e[0] for e in ends), tuple(e[1] for e in ends)),),
                "generation",
                "share of right answers",
                whole_x=True,
            ),
        ),
        tuple({**r, "share": s, "low": low, "high": high} for r, s, (low, high) in zip(tried, y, ends, strict=True)),
    )


def rejections_figure(refused: Sequence[Row]) -> Figure | None:
    """Why proposals were refused, over generations."""
    reasons = Counter[str]()
    for r in refused:
        reasons[r["reason"]] += r["n"]
    names = [name for name, _ in reasons.most_common() if name != "ok"]
    if not names:
        return None
    shown, rest = names[:MOST_REASONS], names[MOST_REASONS:]
    at = {(r["generation"], r["reason"]): r["n"] for r in refused}
    x = tuple(sorted({r["generation"] for r in refused}))
    total = {g: sum(r["n"] for r in refused if r["generation"] == g) for g in x}
    series = [Series(name, x, tuple(at.get((g, name), 0) / total[g] for g in x), kind="bars") for name in shown]
    if rest:
        y = tuple(sum(at.get((g, name), 0) for name in rest) / total[g] for g in x)
        series.append(Series("other", x, y, kind="bars"))
    rows = tuple({"generation": g, "proposals": total[g], **{n: at.get((g, n), 0) for n in names}} for g in x)
    return Figure(
        "rejections",
        "Why proposals were refused",
        "Share of a generation's proposals that were refused, by reason. Held-out: the problem is kept for measuring "
        "and may not be set; no-op: it changes nothing; duplicate: it was set before, word for word.",
        (Panel(tuple(series), "generation", "share of proposals", whole_x=True, stacked=True),),
        rows,
    )


def reasons_table(refused: Sequence[Row]) -> Table:
    columns = ("reason", "proposals", "share")
    reasons, total = Counter[str](), sum(r["n"] for r in refused)
    for r in refused:
        reasons[r["reason"]] += r["n"]
    rows = tuple((name, str(n), rate(n, total)) for name, n in reasons.most_common())
    return Table(columns, rows, "What became of all proposals; ok: they were valid.", frozenset(columns[1:]))
