"""Losses: posts that left the index, and the measurements of collapse against the base model.

A post leaves the index (never the log) when its author supersedes or retracts it, when a book compiles it, or when it
is forgotten. Collapse is measured if `measure.collapse` is set (arena/phases/measure/collapse.py); a population is
compared with itself at the first measurement at which it had posts to vary, since problems set from nothing are harder
to predict than variations.

Left out: expiry and burns (`library.lasts`, `library.burn`), which are temporary or in no table. Not guaranteed: that a
name which was found again had been missed, or that a shift away from the seed examples is a loss: agents are paid to
go beyond them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from arena.phases.measure.collapse import BELOW, TEXTS, WORDS
from arena.report.figures.figure import Figure, Panel, Section, Series, Table
from arena.report.metrics.generation import AT_WORK
from arena.report.metrics.post_status import standings
from arena.report.source import Source
from arena.report.stats.intervals import mean_interval
from arena.run.store import Row, Store
from arena.text import between, count, listed
from culture.removals import STATES

LOOKS = ("perplexity", "tail_mass", "distinct_2", "depth", "entropy")
SHARES = ("tail_mass", "distinct_2")
MANY = 0.25
"""Share of the reference texts whose loss is called a sign of collapse."""
GONE = "forgotten"


def part(source: Source) -> Section:
    gone, looked = removed(source.store), looks(source.store)
    missing = []
    if not gone:
        missing.append(
            "Nothing has left the index, so there is no forgetting to show (library.forget is "
            f"{source.config.library.forget})."
        )
    if not looked:
        missing.append("Collapse was not measured: set measure.collapse in the config.")
    figures = [f for f in (removed_figure(source.store, gone), collapse_figure(looked)) if f]
    tables = (removed_table(gone),) if gone else ()
    told = [*removed_findings(source.store, gone), *collapse_findings(looked)]
    return Section("forgetting", "", tuple(told), tuple(figures), tables, tuple(missing))


# -- what left the index -----------------------------------------------------------------------------------------


def removed(store: Store) -> list[Row]:
    """Posts outside the index in the order they were written: kind, name, and when, how and why they left."""
    out = standings(store)
    reads = store.query(f"SELECT post, COUNT(*) AS n FROM reads WHERE {AT_WORK} GROUP BY post")
    used = {r["post"]: r["n"] for r in reads}
    return [
        {
            "post": p["id"],
            "kind": p["kind"],
            "title": p["title"],
            "written": p["generation"],
            "left": out[p["id"]].generation,
            "state": out[p["id"]].state,
            "reason": out[p["id"]].reason if out[p["id"]].state == GONE else "",
            "reads": used.get(p["id"], 0),
        }
        for p in store.query("SELECT id, kind, title, generation FROM posts ORDER BY seq")
        if p["id"] in out
    ]


def found_again(store: Store, gone: Sequence[Row]) -> int:
    """Forgotten definitions that were written again afterwards, by name."""
    last: dict[str, int] = {}
    for r in store.query("SELECT title, MAX(generation) AS g FROM posts WHERE kind = 'definition' GROUP BY title"):
        last[r["title"]] = r["g"]
    names = {r["title"]: r["left"] for r in gone if r["state"] == GONE and r["kind"] == "definition"}
    return sum(last[name] >= left for name, left in names.items())


def removed_findings(store: Store, gone: Sequence[Row]) -> list[str]:
    if not gone:
        return []
    written = store.query("SELECT COUNT(*) AS n FROM posts")[0]["n"]
    states = Counter(r["state"] for r in gone)
    text = f"{len(gone):,} of {count(written, 'post')} left the index, none the log: "
    found = [text + listed([f"{states[s]:,} {s}" for s in STATES if states[s]]) + "."]
    lost = [r for r in gone if r["state"] == GONE]
    if lost:
        names, again = {r["title"] for r in lost if r["kind"] == "definition"}, found_again(store, gone)
        text = f"Forgotten posts had been read {count(sum(r['reads'] for r in lost), 'time')} at work"
        if names:
            text += (
                f"; of {count(len(names), 'forgotten name')}, {again} {'was' if again == 1 else 'were'} defined again"
            )
        found.append(text + ".")
    return found


def removed_figure(store: Store, gone: Sequence[Row]) -> Figure | None:
    """Removals by generation and state, and the numbers of posts in the index and in the log."""
    last = store.query("SELECT MAX(generation) AS g FROM phases")[0]["g"]
    if not gone or not last:
        return None
    x = tuple(range(1, last + 1))
    left = Counter((r["left"], r["state"]) for r in gone)
    sql = "SELECT generation, kind IN ('definition', 'book') AS named, COUNT(*) AS n FROM posts GROUP BY 1, 2"
    written = {(r["generation"], bool(r["named"])): r["n"] for r in store.query(sql)}
    out = Counter((r["left"], r["kind"] in ("definition", "book")) for r in gone)
    states = [s for s in STATES if any(left[g, s] for g in x)]
    size, rows = {"named": [0, 0], "posts": [0, 0]}, list[Row]()
    for g in x:
        for key, kinds in (("named", (True,)), ("posts", (True, False))):
            size[key][0] += sum(written.get((g, k), 0) for k in kinds)
            size[key][1] += sum(out[g, k] for k in kinds)
        rows.append(
            {"generation": g}
            | {s: left[g, s] for s in states}
            | {
                "written": size["posts"][0],
                "in_index": size["posts"][0] - size["posts"][1],
                "definitions_and_books_written": size["named"][0],
                "definitions_and_books_in_index": size["named"][0] - size["named"][1],
            }
        )

    def line(name: str, key: str, dash: bool = False, kind: str = "line") -> Series:
        y = tuple(float(r[key]) for r in rows)
        return Series(name, x, y, kind="bars") if kind == "bars" else Series(name, x, y, dash=dash)

    return Figure(
        "forgetting",
        "Posts that left the index",
        "Posts that left the index in each generation, by how they left, and how many definitions and books were "
        "written so far and were still in the index. Superseded and retracted: by their authors. Compiled: a book took "
        "their place. Forgotten: by the arena, as library.forget says. The log keeps all of them.",
        (
            Panel(
                tuple(line(s, s, kind="bars") for s in states),
                "",
                "posts that left",
                whole_x=True,
                stacked=True,
                height=0.7,
                legend="left because",
            ),
            Panel(
                (
                    line("in the index", "definitions_and_books_in_index"),
                    line("written so far", "definitions_and_books_written", dash=True),
                ),
                "generation",
                "definitions and books",
                whole_x=True,
                height=0.8,
            ),
        ),
        tuple(rows),
    )


def removed_table(gone: Sequence[Row]) -> Table:
    groups = Counter((r["state"], r["kind"], r["reason"]) for r in gone)
    reads: Counter[tuple[str, str, str]] = Counter()
    for r in gone:
        reads[r["state"], r["kind"], r["reason"]] += r["reads"]
    order = sorted(groups, key=lambda k: (-groups[k], k))
    rows = tuple(
        (s, k.replace("_", " "), why, f"{groups[s, k, why]:,}", f"{reads[s, k, why]:,}") for s, k, why in order
    )
    caption = "Posts outside the index: how they left, their kind, the reason if the arena removed them, and how often"
    columns = ("left", "kind", "why", "posts", "reads")
    return Table(columns, rows, f"{caption} they had been read at work.", frozenset(("posts", "reads")))


# -- collapse ----------------------------------------------------------------------------------------------------


def looks(store: Store) -> list[Row]:
    """By generation: mean over agents, with its 95 % interval (Student's t) if there are several."""
    found = []
    rows = store.query("SELECT * FROM collapse ORDER BY generation, agent")
    for g in sorted({r["generation"] for r in rows}):
        row: Row = {"generation": g}
        for key in LOOKS:
            values = [r[key] for r in rows if r["generation"] == g and r[key] is not None]
            low, high = mean_interval(values) if len(values) > 1 else (math.nan, math.nan)
            row[key] = math.fsum(values) / len(values) if values else None
            if key in SHARES:
                low, high = max(low, 0.0), min(high, 1.0)
            row[f"{key}_low"], row[f"{key}_high"] = _finite(low), _finite(high)
        found.append(row)
    return found


def collapse_findings(rows: Sequence[Row]) -> list[str]:
    if not rows:
        return []
    later = [r for r in rows if r["generation"] > 1]
    first, last = (later or rows)[0], rows[-1]
    texts, lost = 2 * TEXTS, f"less than {BELOW:g} of the probability the untrained model gives them"
    tail = f"{_at(last, 'tail_mass')} of {texts} fixed texts of the seed data have {lost}"
    if first is last:
        return [f"In generation {last['generation']}, {tail}."]
    found = [f"{tail}, {_at(first, 'tail_mass')} in generation {first['generation']}."]
    changes = [
        f"{label} {_at(first, key, places)} to {_at(last, key, places)}"
        for key, label, places in (
            ("perplexity", "perplexity of proposals to the untrained model from", 1),
            ("distinct_2", "distinct word pairs from", 2),
            ("depth", "depth from", 1),
            ("entropy", "entropy from", 2),
        )
        if first[key] is not None and last[key] is not None
    ]
    span = f"From generation {first['generation']} to {last['generation']}"
    if changes:
        found.append(f"{span}: {listed(changes)}.")
    return [verdict(first, last), *found]


def verdict(first: Row, last: Row) -> str:
    """Whether the tails were lost, and proposals became clearly narrower or shallower."""
    tails = (last["tail_mass"] or 0.0) >= MANY
    narrower = [
        name for key, name in (("distinct_2", "less varied"), ("depth", "shallower")) if _fell(first, last, key)
    ]
    if tails and narrower:
        return (
            f"Signs of collapse: the model loses the tails of its training data, and proposals are {listed(narrower)}."
        )
    if tails:
        return (
            "An early sign of collapse: the model loses the tails of its training data, though proposals are neither "
            "clearly less varied nor shallower."
        )
    if narrower:
        return f"The tails of the training data are intact, but proposals are clearly {listed(narrower)}."
    return (
        "No sign of collapse: the tails of the training data are intact, and proposals are neither clearly less "
        "varied nor shallower."
    )


def _fell(first: Row, last: Row, key: str) -> bool:
    """Clearly: the intervals over agents do not overlap."""
    high, low = last[f"{key}_high"], first[f"{key}_low"]
    return high is not None and low is not None and high < low


def _at(row: Row, key: str, places: int = 2) -> str:
    return between(row[key], row[f"{key}_low"], row[f"{key}_high"], places)


def collapse_figure(rows: Sequence[Row]) -> Figure | None:
    if not rows:
        return None
    x = tuple(r["generation"] for r in rows)

    def panel(key: str, label: str, last: bool = False, whole: bool = False) -> Panel:
        low, high = (tuple(r[f"{key}_{end}"] for r in rows) for end in ("low", "high"))
        line = Series(label, x, tuple(r[key] for r in rows), low, high)
        return Panel(
            (line,), "generation" if last else "", label, (0.0, 1.0) if whole else None, whole_x=True, height=0.6
        )

    return Figure(
        "collapse",
        "Collapse: probability and variety of what agents write",
        "Mean over agents with its 95 % interval. Perplexity: of valid proposals, to the model without an adapter; it "
        "falls when proposals become more likely under this model, and rises when they become less likely. Tail lost: "
        f"share of {2 * TEXTS} fixed setting texts of the seed data that an agent gives less than {BELOW:g} of the "
        f"probability the untrained model gives them. Distinct: different word pairs over all, in {WORDS} words an "
        "agent. Entropy: nats per token of proposals. In the first generation there is nothing to vary yet, and "
        "problems set from nothing are harder to predict.",
        (
            panel("perplexity", "perplexity"),
            panel("tail_mass", "tail lost, share", whole=True),
            panel("distinct_2", "distinct word pairs", whole=True),
            panel("depth", "depth"),
            panel("entropy", "entropy, nats per token", last=True),
        ),
        tuple(rows),
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
