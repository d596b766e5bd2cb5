"""Innovation: posts unlike everything their author had read, and how the library grew and was read.

A worked example is new if its problem (the text before the input) shares less than half of its word trigrams with each
post its author had read by then: at work up to that generation, in sleep up to the one before, and its own posts.

Left out: knowledge inherited with a parent's weights, and paraphrase. Not guaranteed: that fewer new posts mean fewer
ideas, since an agent that has read more finds more that is alike; the figure also shows novelty relative to the reading
of one generation, which does not grow with time.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from arena.report.figures.figure import Figure, Panel, Section, Series
from arena.report.metrics.diversity import asked
from arena.report.source import Source
from arena.report.stats.intervals import bootstrap_interval, widest, wilson_interval
from arena.run.store import Row, Store
from arena.text import between, count, number
from culture.measures import Nearest

TAU = 0.5
"""A post is new below this greatest similarity (the default of `culture.measures.innovation_rate`)."""
READS = (
    "SELECT generation, agent, post, MIN(phase = 'sleep') AS asleep FROM reads GROUP BY generation, agent, post"
    " ORDER BY generation, agent, post"
)


def part(source: Source) -> Section:
    rows = innovation(source.store)
    figures = [f for f in (innovation_figure(rows), growth_figure(source.store)) if f]
    return Section("innovation", "", tuple(findings(rows)), tuple(figures))


def innovation(store: Store) -> list[Row]:
    """By generation: worked examples, and the numbers that were new to all reading of their author and to its reading
    in that generation."""
    posts = store.query("SELECT id, author, generation, kind, title FROM posts ORDER BY seq")
    text = {p["id"]: asked(p["title"]) for p in posts if p["kind"] == "worked_example"}
    written: dict[int, list[Row]] = defaultdict(list)
    for p in posts:
        if p["id"] in text:
            written[p["generation"]].append(p)
    read: dict[int, list[Row]] = defaultdict(list)
    for r in store.query(READS):
        if r["post"] in text:
            read[r["generation"]].append(r)
    ever: dict[str, Nearest] = defaultdict(Nearest)
    rows = []
    for g in sorted({*written, *read}):
        lately: dict[str, Nearest] = defaultdict(Nearest)
        for r in read[g]:
            if not r["asleep"]:  # work comes before posting, sleep after
                ever[r["agent"]].add(text[r["post"]])
                lately[r["agent"]].add(text[r["post"]])
        new = [ever[p["author"]].closest(text[p["id"]]) < TAU for p in written[g]]
        fresh = [lately[p["author"]].closest(text[p["id"]]) < TAU for p in written[g]]
        for r in read[g]:
            ever[r["agent"]].add(text[r["post"]])
        for p in written[g]:
            ever[p["author"]].add(text[p["id"]])
        if new:
            rows.append({"generation": g, "posts": len(new), "new": sum(new), "new_to_lately_read": sum(fresh)})
    return rows


def findings(rows: Sequence[Row]) -> list[str]:
    total = sum(r["posts"] for r in rows)
    if not total:
        return []
    text = (
        f"{number(sum(r['new'] for r in rows) / total)} of {count(total, 'worked example')} were unlike everything "
        f"their author had read (greatest similarity of word trigrams below {TAU:g})"
    )
    quarter = len(rows) // 4
    if quarter < 2:
        return [text + "."]
    early, late = rows[:quarter], rows[-quarter:]
    shares = [[r["new"] / r["posts"] for r in side] for side in (early, late)]
    means = [sum(side) / quarter for side in shares]
    pooled = [wilson_interval(sum(r["new"] for r in side), sum(r["posts"] for r in side)) for side in (early, late)]
    ends = [widest(bootstrap_interval(side), whole) for side, whole in zip(shares, pooled, strict=True)]
    told = [between(m, *e) for m, e in zip(means, ends, strict=True)]
    return [f"{text}: {told[0]} in the first quarter of the generations, {told[1]} in the last."]


def innovation_figure(rows: Sequence[Row]) -> Figure | None:
    if not rows:
        return None
    x = tuple(r["generation"] for r in rows)

    def line(label: str, key: str) -> Series:
        ends = [wilson_interval(r[key], r["posts"]) for r in rows]
        y = tuple(r[key] / r["posts"] for r in rows)
        return Series(label, x, y, tuple(low for low, _ in ends), tuple(high for _, high in ends))

    return Figure(
        "innovation",
        "Share of posts that are new to their author",
        "Share of a generation's worked examples whose problem shares less than half of its word trigrams with each "
        "one its author had read before, ever or at work in the same generation; 95 % Wilson intervals. The first "
        "line falls by itself as more has been read.",
        (
            Panel(
                (
                    line("everything it had read", "new"),
                    line("its reading at work in that generation", "new_to_lately_read"),
                ),
                "generation",
                "share of posts",
                (0.0, 1.0),
                whole_x=True,
                legend="unlike",
            ),
        ),
        tuple(rows),
    )


def growth_figure(store: Store) -> Figure | None:
    """Posts and reads by kind over generations, and how large the library is."""
    posts, reads = Counter[tuple[int, str]](), Counter[tuple[int, str]]()
    for r in store.query("SELECT generation, kind, COUNT(*) AS n FROM posts GROUP BY 1, 2"):
        posts[r["generation"], r["kind"]] = r["n"]
    sql = (
        "SELECT r.generation, CASE WHEN r.phase = 'sleep' THEN 'asleep' WHEN r.phase = 'beside' THEN 'as distractors'"
        " ELSE 'at work, ' || p.kind END AS kind,"
        " COUNT(*) AS n FROM reads r JOIN posts p ON p.id = r.post GROUP BY 1, 2"
    )
    for r in store.query(sql):
        reads[r["generation"], r["kind"]] = r["n"]
    last = store.query("SELECT MAX(generation) AS g FROM phases")[0]["g"]
    if not posts or not last:
        return None
    x = tuple(range(1, last + 1))
    kinds, ways = sorted({k for _, k in posts}), sorted({k for _, k in reads})
    size, rows = Counter[str](), list[Row]()
    for g in x:
        for k in kinds:
            size[k] += posts[g, k]
        rows.append(
            {"generation": g}
            | {f"posted_{k}": posts[g, k] for k in kinds}
            | {f"library_{k}": size[k] for k in kinds}
            | {f"read {k}".replace(", ", "_").replace(" ", "_"): reads[g, k] for k in ways}
        )
    written = tuple(Series(plain(k), x, tuple(float(posts[g, k]) for g in x)) for k in kinds)
    held = tuple(Series(plain(k), x, tuple(float(r[f"library_{k}"]) for r in rows)) for k in kinds)
    seen = tuple(Series(plain(k), x, tuple(float(reads[g, k]) for g in x)) for k in ways)
    return Figure(
        "library",
        "Posts, the library, and reads",
        "Number of posts by kind, in each generation and in all, and number of reads. At work: put into a setter's or "
        "solver's context. Asleep: trained on.",
        (
            Panel(written, "", "posted", whole_x=True, height=0.7),
            Panel(held, "", "posts in the library", whole_x=True, height=0.7),
            Panel(seen, "generation", "reads", whole_x=True, height=0.7),
        ),
        tuple(rows),
    )


def plain(kind: str) -> str:
    return kind.replace("_", " ")
