"""Curriculum: the problems that were set by depth and by the words they use, and their outcomes.

A problem's words are those before its first bar, without numbers; of a domain that has no bar, all its words. Shares of
first and last generations are called different if their 95 % Wilson intervals do not overlap.

Left out: diversity of a generation's problems (`diversity`). Not guaranteed: that setters prefer a word that becomes
more frequent, as learnable problems are varied again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from arena.report.figures.figure import GREY, Figure, Heat, Panel, Section, Series, Table, spread
from arena.report.metrics.heldout import names_in
from arena.report.metrics.rejections import reasons as reason_words
from arena.report.source import Source
from arena.report.stats.intervals import wilson_interval
from arena.run.store import Row, Store
from arena.text import compact, number, one_line, span

Analysis = dict[str, Any]
MOST_WORDS = 24
"""Most words, and most names, in one figure."""
MOST_REASONS = 6
EXAMPLE = 90
"""Longest example in characters."""
FATES = (
    ("solved always", "#56B4E9"),
    ("learnable", "#D55E00"),
    ("solved never", "#555555"),
    ("rejected", "#cccccc"),
    ("not settled", "#f0e6c8"),
)


def section(source: Source) -> Section:
    title, a = "Curriculum: the problems that were set", source.analysis
    played = [g for g in a["generations"] if g["proposed"]]
    if not played:
        return Section("curriculum", title, missing=("No problem has been set yet.",))
    fates = read_fates(source.store)
    words = read_words(source.store)
    figures = [setting_figure(a), fates_figure(fates)]
    missing = []
    if words.plain:
        figures.append(
            words_figure("words", "Words of the problems set", "valid problems that use it", words.plain, words)
        )
    if words.names:
        figures.append(names_figure(words))
    elif source.config.named_domain is None:
        missing.append("Names: the run has no domain with hidden names.")
    else:
        missing.append("Names: no valid problem has used one yet.")
    reasons = read_reasons(source.store)
    if reasons:
        figures.append(reasons_figure(played, reasons))
    return Section(
        "curriculum",
        title,
        findings(a, played, fates, words, reasons, source.config.sleep.references > 0),
        tuple(figures),
        (
            generations_table(a),
            *([reasons_table(source.store, reasons, sum(g["proposed"] for g in played))] if reasons else []),
            *([rejections_table(played)] if reasons else []),
        ),
        tuple(missing),
    )


def generations_table(a: Analysis) -> Table:
    """One row per generation: problems set and solved, posts, reads, and held-out skill."""
    means: dict[int, list[float]] = {}
    depths = a["heldout_before_after"]["depths"]
    for h in a["heldout"]:
        if h["depth"] in depths:
            means.setdefault(h["generation"], []).append(h["pass_at_1"])
    held = f"held-out {span(depths)}".strip()
    columns = ("gen", "set", "valid", "learn", "depth", "solved", "posts", "reads", held, "sec")
    rows = []
    for g in spread(a["generations"]):
        counts = (compact(g[key]) for key in ("proposed", "valid", "learnable"))
        figures = (number(g["mean_difficulty"], 1), number(g["solve_rate"]), compact(g["posts"]), compact(g["reads"]))
        skill = number(fmean(means[g["index"]])) if g["index"] in means else "-"
        rows.append((str(g["index"]), *counts, *figures, skill, number(g["seconds"], 1)))
    caption = (
        "Problems set, solved and posted. learn: learnable, so neither always nor never solved; depth and solved: "
        f"means over valid problems; {held}: pass rate, mean of these depths."
    )
    return Table(columns, tuple(rows), caption, frozenset(columns))


# -- what is read ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Words:
    """By generation: how many valid problems there are, and how many of them use a word or a name."""

    valid: dict[int, int]
    plain: dict[str, Counter[int]]
    names: dict[str, Counter[int]]

    def share(self, word: str, generations: Sequence[int]) -> tuple[int, int]:
        """(problems that use it, valid problems)."""
        found = self.plain.get(word) or self.names[word]
        return sum(found[g] for g in generations), sum(self.valid[g] for g in generations)


def read_words(store: Store) -> Words:
    found = Words({}, {}, {})
    sql = "SELECT generation, text FROM problems WHERE valid ORDER BY generation"
    for generation, text in store.db.execute(sql):
        found.valid[generation] = found.valid.get(generation, 0) + 1
        names = set(names_in(text))
        for word in sorted(set(text.partition("|")[0].split())):
            if not word.lstrip("+-").replace(".", "", 1).isdigit():
                (found.names if word in names else found.plain).setdefault(word, Counter())[generation] += 1
    return found


def read_fates(store: Store) -> dict[int, Counter[str]]:
    """By generation, the outcomes of the problems that were set."""
    sql = (
        "SELECT p.generation, CASE WHEN NOT p.valid THEN 'rejected' WHEN o.solve_rate IS NULL THEN 'not settled'"
        " WHEN o.learnable THEN 'learnable' WHEN o.solve_rate > 0 THEN 'solved always' ELSE 'solved never' END AS fate,"
        " COUNT(*) AS n FROM problems p LEFT JOIN outcomes o ON o.round = p.round GROUP BY 1, 2"
    )
    found: dict[int, Counter[str]] = {}
    for row in store.query(sql):
        found.setdefault(row["generation"], Counter())[row["fate"]] += row["n"]
    return dict(sorted(found.items()))


def read_reasons(store: Store) -> dict[str, Counter[int]]:
    """By reason, the most frequent first: rejections by generation."""
    found: dict[str, Counter[int]] = {}
    sql = "SELECT reason, generation, COUNT(*) AS n FROM problems WHERE NOT valid GROUP BY 1, 2"
    for row in store.query(sql):
        found.setdefault(row["reason"], Counter())[row["generation"]] += row["n"]
    return dict(sorted(found.items(), key=lambda item: (-item[1].total(), item[0])))


# -- what is said ----------------------------------------------------------------------------------------------------


def findings(
    a: Analysis, played: list[Analysis], fates: dict[int, Counter[str]], words: Words, reasons: dict[str, Counter[int]],
    references: bool,
) -> tuple[str, ...]:  # fmt: skip
    said = []
    means = [g for g in played if g["mean_difficulty"] is not None]
    if means:
        first, last = means[0], means[-1]
        said.append(
            f"Mean depth of valid problems: {first['mean_difficulty']:.1f} in generation {first['index']}"
            + (f", {last['mean_difficulty']:.1f} in generation {last['index']}." if last is not first else ".")
        )
    total = sum((Counter(f) for f in fates.values()), Counter[str]())
    n = total.total()
    shares = ", ".join(f"{total[fate] / n:.0%} {fate}" for fate, _ in FATES if total[fate])
    training = "pay their setters" if references else "give a training signal"
    said.append(
        f"Of {n:,} problems set, {shares}. Only learnable ones, solved by some attempts and not by others, {training}."
        + " Agents are trained on reference solutions of unsolved ones too (sleep.references)." * references
    )
    if reasons:
        worst, counts = next(iter(reasons.items()))
        said.append(f"The most frequent reason to reject a proposal: {worst} ({counts.total() / n:.1%} of those set).")
    first_g, last_g = quarters(list(words.valid))
    if first_g:
        rose, fell = [], []
        for word in words.plain:
            (a1, n1), (a2, n2) = words.share(word, first_g), words.share(word, last_g)
            (low1, high1), (low2, high2) = wilson_interval(a1, n1), wilson_interval(a2, n2)
            if low2 > high1:
                rose.append((a1 / n1 - a2 / n2, f"{word} ({a1 / n1:.0%} to {a2 / n2:.0%})"))
            elif high2 < low1:
                fell.append((a2 / n2 - a1 / n1, f"{word} ({a1 / n1:.0%} to {a2 / n2:.0%})"))
        for verb, changed in (("more", rose), ("less", fell)):
            if changed:
                told = ", ".join(text for _, text in sorted(changed)[:4])
                said.append(
                    f"Used {verb} in generations {last_g[0]} to {last_g[-1]} than in {first_g[0]} to {first_g[-1]}, as "
                    f"a share of valid problems: {told}."
                )
    if words.names:
        used = len(words.names)
        said.append(f"{used} hidden name{'s' * (used != 1)} occurred in valid problems.")
    return tuple(said)


def quarters(generations: Sequence[int]) -> tuple[list[int], list[int]]:
    """The first and the last quarter; nothing where a quarter is a single generation."""
    n = len(generations) // 4
    return (list(generations[:n]), list(generations[-n:])) if n > 1 else ([], [])


def reasons_table(store: Store, reasons: dict[str, Counter[int]], set_: int) -> Table:
    rows = []
    for reason, counts in reasons.items():
        sql = "SELECT proposal, detail FROM problems WHERE NOT valid AND reason = ? ORDER BY rowid DESC LIMIT 1"
        last = store.query(sql, [reason])[0]
        text, detail = one_line(last["proposal"] or "", EXAMPLE), one_line(last["detail"] or "", EXAMPLE)
        wrong = "" if detail == text else detail  # of a duplicate, the problem itself
        rows.append((reason, f"{counts.total():,}", f"{counts.total() / set_:.1%}", text, wrong))
    columns = ("reason", "proposals", "of those set", "the latest one", "what was wrong with it")
    return Table(columns, tuple(rows), "Why proposals were rejected.", frozenset(columns[1:3]))


def rejections_table(played: list[Analysis]) -> Table:
    """The most frequent reasons of each generation."""
    rows = []
    for g in spread(played):
        rejected = g["proposed"] - (g["valid"] or 0)
        rows.append((str(g["index"]), compact(rejected), compact(g["proposed"]), reason_words(g["rejections"], 3)))
    columns = ("gen", "rejected", "of", "most frequent reasons")
    return Table(columns, tuple(rows), "Why proposals were rejected, by generation.", frozenset(columns[:3]))


# -- what is shown ---------------------------------------------------------------------------------------------------


def setting_figure(a: Analysis) -> Figure:
    """Depths of valid problems above; valid, learnable and solved shares below."""
    played = [g for g in a["generations"] if g["proposed"] is not None]
    deepest = max((int(d) for g in played for d in g["depths"]), default=0)
    span = range(played[0]["index"], played[-1]["index"] + 1) if played and deepest else range(0)
    shares = {g["index"]: {int(d): n / g["valid"] for d, n in g["depths"].items()} for g in played if g["valid"]}
    means = [(g["index"], g["mean_difficulty"]) for g in played if g["mean_difficulty"] is not None]
    lines = []
    for name, colour, dash, key, of in (
        ("valid, of those set", GREY, False, "valid", "proposed"),
        ("solve rate", "#0072B2", True, "solve_rate", None),
        ("learnable, of valid", "#D55E00", False, "learnable", "valid"),
    ):
        points = [
            (g["index"], g[key] / (g[of] if of else 1)) for g in played if g[key] is not None and (not of or g[of])
        ]
        if points:
            xs, ys = zip(*points, strict=True)
            lines.append(Series(name, xs, ys, colour=colour, dash=dash))
    rows: list[Row] = []
    for g in played:
        row = {"generation": g["index"]} | {k: g[k] for k in ("proposed", "valid", "learnable", "solve_rate")}
        row["mean_depth"] = g["mean_difficulty"]
        rows.append(row | {f"depth_{d}": g["depths"].get(str(d), g["depths"].get(d, 0)) for d in range(1, deepest + 1)})
    title = f"Problems set, run {a['run']}, seed {a['seed']}"
    if means:
        (first, one), (last, other) = means[0], means[-1]
        title += f"\nmean depth {one:.1f} in generation {first}"
        title += f", {other:.1f} in generation {last}" if last != first else ""
    heat = Heat(
        tuple(span),
        tuple(range(1, deepest + 1)),
        tuple(
            tuple(shares.get(g, {}).get(d, 0.0) if g in shares else None for g in span) for d in range(1, deepest + 1)
        ),
        "share of the generation's valid problems",
        low=0.0,
    )
    over = (Series("mean depth", tuple(g for g, _ in means), tuple(d for _, d in means), colour="#D55E00"),)
    return Figure(
        "setting",
        title,
        "Above: depths of the valid problems of each generation; the line is their mean. Below: the share of valid "
        "problems among those set, the share of learnable ones among the valid (solved by some attempts and not by "
        "others), and the mean solve rate of the valid ones.",
        (
            Panel(
                heat,
                "" if lines else "generation",
                "depth",
                whole_x=True,
                over=over if means else (),
                height=1.1,
                empty="no problem was valid" if played else "no problem has been set yet",
            ),
            Panel(tuple(lines), "generation", "share", (0.0, 1.0), whole_x=True, height=0.75, empty=""),
        ),
        tuple(rows),
    )


def fates_figure(fates: dict[int, Counter[str]]) -> Figure:
    generations = tuple(fates)
    series = tuple(
        Series(fate, generations, tuple(float(fates[g][fate]) for g in generations), kind="bars", colour=colour)
        for fate, colour in FATES
        if any(fates[g][fate] for g in generations)
    )
    return Figure(
        "fates",
        "Outcomes of the problems that were set",
        "Learnable: solved by some attempts and not by others. Problems solved always are too easy to teach, those "
        "solved never too hard, for now.",
        (Panel(series, "generation", "problems set", whole_x=True, stacked=True),),
        tuple({"generation": g} | {fate.replace(" ", "_"): fates[g][fate] for fate, _ in FATES} for g in generations),
    )


def words_figure(key: str, title: str, what: str, counts: dict[str, Counter[int]], words: Words) -> Figure:
    """Shares of the generation's valid problems that use each word, the most used on top."""
    shown = most_used(counts)
    span = range(min(words.valid), max(words.valid) + 1)
    values = tuple(tuple(counts[w][g] / words.valid[g] if g in words.valid else None for g in span) for w in shown)
    more = f" The {MOST_WORDS} most used of {len(counts)}." if len(counts) > MOST_WORDS else ""
    return Figure(
        key,
        title,
        f"Share of a generation's {what}, the most used word on top.{more}",
        (
            Panel(
                Heat(tuple(span), tuple(shown), values, f"share of {what}", low=0.0),
                "generation",
                "word",
                whole_x=True,
                height=0.35 + 0.068 * len(shown),
            ),
        ),
        tuple(
            {"generation": g, "word": w, "problems": counts[w][g], "valid": words.valid[g]}
            for w in counts
            for g in words.valid
        ),
    )


def names_figure(words: Words) -> Figure:
    shown = most_used(words.names)
    span = range(min(words.valid), max(words.valid) + 1)
    values = tuple(tuple(float(words.names[w][g]) if g in words.valid else None for g in span) for w in shown)
    more = f" The {MOST_WORDS} most used of {len(words.names)}." if len(words.names) > MOST_WORDS else ""
    return Figure(
        "names-used",
        "Hidden names in the problems set",
        f"How many valid problems of a generation use each name, the most used on top.{more}",
        (
            Panel(
                Heat(tuple(span), tuple(shown), values, "valid problems that use it", low=0.0),
                "generation",
                "name",
                whole_x=True,
                height=0.35 + 0.068 * len(shown),
            ),
        ),
        tuple(
            {"generation": g, "name": w, "problems": words.names[w][g], "valid": words.valid[g]}
            for w in words.names
            for g in words.valid
        ),
    )


def most_used(counts: dict[str, Counter[int]]) -> list[str]:
    """From the bottom up."""
    return sorted(counts, key=lambda w: (-counts[w].total(), w))[:MOST_WORDS][::-1]


def reasons_figure(played: list[Analysis], reasons: dict[str, Counter[int]]) -> Figure:
    generations = tuple(g["index"] for g in played)
    kept, rest = list(reasons)[:MOST_REASONS], list(reasons)[MOST_REASONS:]
    series = [Series(r, generations, tuple(float(reasons[r][g]) for g in generations), kind="bars") for r in kept]
    if rest:
        others = tuple(float(sum(reasons[r][g] for r in rest)) for g in generations)
        series.append(Series("other reasons", generations, others, kind="bars", colour=GREY))
    return Figure(
        "rejections",
        "Why proposals were rejected",
        "Rejected proposals of each generation, by reason. Held-out: the setter proposed a problem that is reserved "
        "for evaluation.",
        (Panel(tuple(series), "generation", "rejected proposals", whole_x=True, stacked=True, height=0.8),),
        tuple(
            {"generation": g["index"], "reason": r, "rejected": reasons[r][g["index"]], "set": g["proposed"]}
            for g in played
            for r in reasons
        ),
    )
