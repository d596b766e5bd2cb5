"""The posts that helped most, their authors and their users: uplift of definitions, use of worked examples.

Definitions are ranked by their shrunken uplift (`arena.report.metrics.paired_uplift`), counted from the generation in
which they were posted; of several for one name, the first is the one that is read. Worked examples are ranked by the
problems varied from them, which is use and no effect: no problem is asked with and without one of them.

Left out: reads of a definition as a distractor, drawn at random beside others; they are no use of it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from arena.report.figures.figure import Figure, Panel, Section, Series, Table
from arena.report.metrics.generation import AT_WORK
from arena.report.metrics.paired_uplift import EVALUATIONS, Pairs, Uplift, offspring, uplifts
from arena.report.source import Source
from arena.report.stats.intervals import rate, wilson_interval
from arena.run.store import Row, Store
from arena.text import between, count, listed, number, one_line

ENOUGH = 100
"""Pairs to see an uplift of 0.2 in one post: a two-sided test at 5 % with four fifths power, arms near one half."""
MOST_SHOWN = 30
MOST_EXAMPLES = 10
READERS = (
    "SELECT r.post, r.agent, COUNT(*) AS n FROM reads r JOIN posts p ON p.id = r.post"
    f" WHERE r.{AT_WORK} AND p.kind = ? GROUP BY r.post, r.agent ORDER BY n DESC, r.agent"
)
SLEEPERS = (
    "SELECT r.post, COUNT(DISTINCT r.agent) AS n FROM reads r JOIN posts p ON p.id = r.post"
    " WHERE r.phase = 'sleep' AND p.kind = ? GROUP BY r.post"
)


@dataclass(frozen=True)
class Definition:
    """A definition in force, with its uplift and the agents that read it because a problem used its name."""

    id: str
    name: str
    body: str
    author: str
    generation: int
    uplift: Uplift | None
    readers: dict[str, int]

    @property
    def label(self) -> str:
        return f"{self.name}, {self.author}"

    @property
    def worth(self) -> float:
        """Uplift times reads at work: about the number of attempts that succeeded because of it."""
        return max(self.uplift.shrunk, 0.0) * sum(self.readers.values()) if self.uplift else 0.0


def part(source: Source) -> Section:
    found = definitions(source.store)
    examples, use = worked_examples(source.store)
    return Section(
        "posts",
        "",
        (*best(found), *use),
        tuple(f for f in (forest(found), with_and_without(source)) if f),
        tuple(t for t in (definitions_table(found), examples) if t),
        () if any(d.uplift for d in found) else (why_none(source),),
    )


def definitions(store: Store) -> list[Definition]:
    """Definitions in force, the most helpful first; without pairs, last and by age."""
    sql = (
        "SELECT id, title, body, author, generation, MIN(seq) AS seq FROM posts WHERE kind = 'definition'"
        " GROUP BY title ORDER BY seq"
    )
    posts = store.query(sql)
    pairs = Pairs()
    if posts:
        pairs.add(row[1:] for row in store.db.conn.execute(f"{EVALUATIONS} ORDER BY rowid"))
    measured = uplifts({p["id"]: pairs.counts(p["title"], p["generation"]) for p in posts})
    readers = read_by(store, "definition")
    found = [
        Definition(
            p["id"],
            p["title"],
            p["body"],
            p["author"],
            p["generation"],
            measured.get(p["id"]),
            readers.get(p["id"], {}),
        )
        for p in posts
    ]
    return sorted(found, key=lambda d: -d.uplift.shrunk if d.uplift else 2.0)


def read_by(store: Store, kind: str) -> dict[str, dict[str, int]]:
    """How often each agent read each post at work, the most frequent reader first."""
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for row in store.query(READERS, [kind]):
        found[row["post"]][row["agent"]] = row["n"]
    return dict(found)


def why_none(source: Source) -> str:
    if source.config.named_domain is None:
        return (
            "No paired uplift of definitions is known: the run has none (no domain with hidden names in its config). "
            "The effect of other posts is measured by withholding some at random (library.withhold)."
        )
    return (
        "No defined name has been asked for yet, with and without reading, so the paired uplift of posts is not known."
    )


def best(found: list[Definition]) -> list[str]:
    """The post that helped most, its author and its readers."""
    if not found:
        return []
    top, u = found[0], found[0].uplift
    if u is None:
        return [f"{count(len(found), 'definition')} stand in the library; none was among the problems measured since."]
    text = (
        f"The post that helped most is the definition “{top.body}” by {top.author} (generation {top.generation}): "
        f"problems with its name are solved {number(u.with_reading)} of the time with what the library holds and "
        f"{number(u.without_reading)} without, a paired uplift of {between(u.difference, u.low, u.high, sign=True)} "
        f"over {count(u.n, 'pair')} ({number(u.shrunk, sign=True)} after shrinkage to the mean of all). Paired "
        "uplift: the same held-out problems, asked of one agent with all "
        "that the library has on their names and with nothing."
    )
    level = sum(d.uplift is not None and d.uplift.high >= u.low for d in found[1:])
    if level:
        text += f" The intervals of {count(level, 'other')} overlap with it, so its place is not certain."
    done = max(found, key=lambda d: (d.worth, d.id))
    if done is not top:
        text += (
            f" Weighed by how often it was read, “{done.body}” by {done.author} did most: paired uplift times reads at "
        )
        text += f"work is about {done.worth:.0f} attempts, against {top.worth:.0f}."
    helped = sum(d.uplift is not None and d.uplift.low > 0 for d in found)
    harmed = sum(d.uplift is not None and d.uplift.high < 0 for d in found)
    more = f"Of {count(len(found), 'definition')} in force, {helped} clearly helped and {harmed} clearly harmed."
    return [text, readers_sentence(top), " ".join([more, *power(found)])]


def readers_sentence(post: Definition) -> str:
    total = sum(post.readers.values())
    if not total:
        return f"Nobody has read “{post.body}” at work."
    names = [f"{name} {n}" for name, n in list(post.readers.items())[:6]]
    more = len(post.readers) - len(names)
    told = listed([*names, count(more, "other")] if more > 0 else names)
    return f"“{post.body}” was read {count(total, 'time')} at work, by {told}."


def power(found: list[Definition]) -> list[str]:
    few = [d for d in found if d.uplift is None or d.uplift.n < ENOUGH]
    if not few:
        return []
    text = f"About {ENOUGH} pairs are needed to see a paired uplift of 0.2 on one post; "
    text += f"{len(few)} of {len(found)} have fewer"
    return [f"{text} ({listed([d.name for d in few[:8]] + (['more'] if len(few) > 8 else []))})."]


def forest(found: list[Definition]) -> Figure | None:
    """Measured and shrunken uplift of each definition, the best first."""
    shown = [(d, d.uplift) for d in found if d.uplift][:MOST_SHOWN]
    if not shown:
        return None
    x = tuple(d.label for d, _ in shown)
    text = tuple(f"{d.body}; generation {d.generation}; n = {u.n}" for d, u in shown)
    measured = Series(
        "measured, 95 % interval",
        x,
        tuple(u.difference for _, u in shown),
        tuple(u.low for _, u in shown),
        tuple(u.high for _, u in shown),
        "points",
        text=text,
    )
    shrunk = Series("shrunk to the mean", x, tuple(u.shrunk for _, u in shown), kind="points")
    more = len([d for d in found if d.uplift]) - len(shown)
    lowest = min(0.0, *(u.low for _, u in shown)) - 0.02
    return Figure(
        "uplift",
        "Effect of reading each definition",
        "Share of problems solved with what the library holds on their names, minus the share solved without, by the "
        "definition (name, author), the most helpful first: paired by agent and problem, since the generation it was "
        "posted in; problems are repeated in later generations, so the intervals are somewhat too narrow. Points "
        "shrunk to the mean of all definitions are the better estimate where pairs are few; posts are ranked by them."
        + (f" {more} more are in the data." if more else ""),
        (Panel((measured, shrunk), "definition, author", "paired uplift (difference of shares)", (lowest, 1.02)),),
        tuple(uplift_row(d) for d in found if d.uplift),
    )


def uplift_row(d: Definition) -> Row:
    u = d.uplift
    assert u is not None
    return {
        "post": d.id,
        "name": d.name,
        "body": d.body,
        "author": d.author,
        "generation": d.generation,
        "pairs": u.n,
        "with_reading": u.with_reading,
        "without_reading": u.without_reading,
        "uplift": u.difference,
        "low": u.low,
        "high": u.high,
        "shrunk": u.shrunk,
        "reads": sum(d.readers.values()),
        "readers": ", ".join(f"{name} {n}" for name, n in d.readers.items()),
    }


def definitions_table(found: list[Definition]) -> Table | None:
    if not found:
        return None
    columns = ("definition", "author", "gen", "pairs", "with", "without", "paired uplift", "shrunk", "read by")
    rows = []
    for d in found[:MOST_SHOWN]:
        u = d.uplift
        readers = ", ".join(f"{name} {n}" for name, n in list(d.readers.items())[:6]) or "-"
        cells = ("0", "-", "-", "-", "-")
        if u:
            uplift = between(u.difference, u.low, u.high, sign=True)
            rates = (number(u.with_reading), number(u.without_reading))
            cells = (str(u.n), *rates, uplift, number(u.shrunk, sign=True))
        rows.append((d.body, d.author, str(d.generation), *cells, readers))
    caption = (
        "Definitions by paired uplift, shrunk to their mean where pairs are few. Read by: how often each agent read "
        "it at work because a problem used its name."
    )
    return Table(columns, tuple(rows), caption, frozenset(columns[2:8]))


def with_and_without(source: Source) -> Figure | None:
    """Pass rates with and without reading, by generation."""
    names = source.analysis.get("names") or {}
    rows = []
    for g in names.get("generations", ()):
        known = g["known"]
        if known["n"]:
            row: Row = {"generation": g["generation"], "pairs": known["n"]}
            for key in ("with_reading", "without_reading"):
                low, high = wilson_interval(round(known[key] * known["n"]), known["n"])
                row |= {key: known[key], f"{key}_low": low, f"{key}_high": high}
            rows.append(row)
    if not rows:
        return None
    x = tuple(r["generation"] for r in rows)

    def line(label: str, key: str) -> Series:
        y, low, high = (tuple(r[k] for r in rows) for k in (key, f"{key}_low", f"{key}_high"))
        return Series(label, x, y, low, high)

    return Figure(
        "names-reading",
        "Problems with known names, with and without reading",
        "Share solved, with 95 % Wilson intervals, of held-out problems all of whose names the library defines by "
        "then. The gap is the effect of the text; a rise without reading is in the weights. Which problems are known "
        "changes as names are defined.",
        (
            Panel(
                (line("with the library", "with_reading"), line("without", "without_reading")),
                "generation",
                "share solved",
                (0.0, 1.0),
                whole_x=True,
            ),
        ),
        tuple(rows),
    )


def worked_examples(store: Store) -> tuple[Table | None, list[str]]:
    """The worked examples from which most problems were varied, and a sentence on the first of them."""
    born = offspring(store)
    sql = (
        "SELECT p.id, p.title, p.author, p.generation, r.author AS setter FROM posts p LEFT JOIN rounds r"
        " ON r.id = substr(p.about, instr(p.about, '/') + 1) WHERE p.kind = ?"
    )
    posts = {p["id"]: p for p in store.query(sql, KIND)}
    ranked = sorted(
        ((posts[i], o) for i, o in born.items() if i in posts), key=lambda x: (-x[1].learnable, -x[1].set, x[0]["id"])
    )
    if not ranked:
        return None, []
    readers = read_by(store, *KIND)
    slept = {r["post"]: r["n"] for r in store.query(SLEEPERS, KIND)}
    rows = []
    for post, o in ranked[:MOST_EXAMPLES]:
        setters = ", ".join(f"{name} {n}" for name, n in list(readers.get(post["id"], {}).items())[:6]) or "-"
        cells = (str(o.set), str(o.valid), str(o.learnable), setters, str(slept.get(post["id"], 0)))
        rows.append(
            (one_line(post["title"], 60), post["setter"] or "-", post["author"], str(post["generation"]), *cells)
        )
    columns = (
        "worked example",
        "set by",
        "solved by",
        "gen",
        "varied",
        "valid",
        "learnable",
        "varied by",
        "sleepers",
    )
    caption = (
        "The worked examples from which most learnable problems were varied: use, not effect, since no problem is "
        "asked with and without one. Sleepers: agents that trained on it."
    )
    (post, o), total = ranked[0], sum(x.set for _, x in ranked)
    text = (
        f"The worked example that was used most, “{one_line(post['title'])}”, set by {post['setter'] or 'nobody'} and "
        f"first solved by {post['author']} in generation {post['generation']}, was varied {count(o.set, 'time')}: "
        f"{count(o.learnable, 'learnable problem')} came of it. That is use, not effect. In all {len(ranked):,} of "
        f"{len(posts):,} worked examples were varied, {count(total, 'time')}; of these variations "
        f"{rate(sum(x.learnable for _, x in ranked), total)} proved learnable."
    )
    return Table(columns, tuple(rows), caption, frozenset({*columns[3:7], columns[8]})), [text]


KIND = ["worked_example"]
