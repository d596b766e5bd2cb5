"""Citations between posts, and lineages of worked examples.

A worked example cites the definitions of the names it uses and the post that its problem was varied from; the arena
writes these citations, so they are actual use, not claimed credit. Its lineage is the chain of posts from which its
problem was varied, one from the other.

Left out: agents that read a post without varying it (`posts` names readers of definitions). Not guaranteed: that a
variation owes anything to its parent beyond having been requested as one.
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from arena.report.figures.figure import Figure, Network, Node, Panel, Section, Series, Table
from arena.report.source import Source
from arena.report.stats.intervals import bootstrap_interval, mean_interval
from arena.run.store import Row, Store
from arena.text import between, count, number, one_line
from culture.measures import citation_depth, pagerank, reuse_rate

MOST_POSTS = 60
MOST_RANKED = 10
MOST_AUTHORS = 6
MOST_LINEAGES = 24
POSTS = (
    "SELECT p.id, p.seq, p.kind, p.author, p.generation, p.title, p.body, p.cites, r.parent_post, q.depth FROM posts p"
    " LEFT JOIN rounds r ON p.kind = 'worked_example' AND r.id = substr(p.about, instr(p.about, '/') + 1)"
    " LEFT JOIN problems q ON q.round = r.id ORDER BY p.seq"
)


@dataclass(frozen=True)
class Entry:
    """A post and its place: `step` counts the worked examples before it in its lineage."""

    id: str
    seq: int
    kind: str
    author: str
    generation: int
    title: str
    body: str
    cites: tuple[str, ...]
    parent: str | None
    depth: int | None
    step: int

    @property
    def text(self) -> str:
        what = one_line(self.body if self.kind == "definition" else self.title)
        return f"{self.kind.replace('_', ' ')} {self.seq} by {self.author}, generation {self.generation}: {what}"


def part(source: Source) -> Section:
    posts = entries(source.store)
    cites = {e.id: e.cites for e in posts.values()}
    ranks = pagerank(cites)
    cited = Counter(to for e in posts.values() for to in e.cites if to in posts)
    findings = [reuse(posts, cites, cited), *lineage_findings(posts)]
    figures = (
        citation_figure(posts, cited, ranks),
        lineage_figure(posts),
        *steps_figures(posts),
    )
    return Section("citations", "", tuple(findings), tuple(f for f in figures if f), (rank_table(posts, cited, ranks),))


def entries(store: Store) -> dict[str, Entry]:
    """Every post by id, in the order they were admitted."""
    found: dict[str, Entry] = {}
    for p in store.query(POSTS):
        before = found.get(p["parent_post"] or "")
        parent = before.id if before and before.kind == "worked_example" else None
        step = before.step + 1 if before and parent else 0
        columns = (p["kind"], p["author"], p["generation"], p["title"], p["body"], tuple(json.loads(p["cites"])))
        found[p["id"]] = Entry(p["id"], p["seq"], *columns, parent, p["depth"], step)
    return found


# -- cites -------------------------------------------------------------------------------------------------------


def reuse(posts: dict[str, Entry], cites: dict[str, tuple[str, ...]], cited: Counter[str]) -> str:
    share = reuse_rate(cites, {e.id: e.author for e in posts.values()})
    text = f"{number(share)} of {count(len(posts), 'post')} are cited by somebody other than their author"
    text += f"; the longest chain of cites has {count(citation_depth(cites), 'step')}."
    if cited:
        top = min(cited, key=lambda i: (-cited[i], posts[i].seq))
        text += f" The most cited is {posts[top].text}, with {count(cited[top], 'cite')}."
    return text


def citation_figure(posts: dict[str, Entry], cited: Counter[str], ranks: dict[str, float]) -> Figure | None:
    """The most influential posts, by generation from left to right."""
    shown = set(sorted(cited, key=lambda i: (-ranks[i], posts[i].seq))[:MOST_POSTS])
    if not shown:
        return None
    chosen = [e for e in posts.values() if e.id in shown]
    edges = [(e.id, to) for e in chosen for to in e.cites if to in shown]
    at = layers(chosen, edges)
    authors = leading_authors(chosen)
    nodes = tuple(
        Node(
            e.id,
            float(e.generation),
            at[e.id],
            e.title if e.kind == "definition" else "",
            e.author if e.author in authors else "others",
            ranks[e.id] * len(posts),
            f"{e.text}; cited {count(cited[e.id], 'time')}",
        )
        for e in chosen
    )
    tall = min(1.3, 0.5 + max(Counter(e.generation for e in chosen).values()) / 16)
    return Figure(
        "citations",
        f"The {len(chosen)} most influential posts, and the citations between them",
        "Chosen by PageRank, which the area of a dot grows with; from left to right by the generation they were "
        "posted in, coloured by author. Definitions are named, the other dots are worked examples. A line joins a "
        "post with an earlier one that it cites.",
        (Panel(Network(nodes, tuple(edges)), "generation", whole_x=True, height=tall),),
        tuple(
            post_row(e, cited[e.id], ranks[e.id]) for e in sorted(posts.values(), key=lambda e: (-ranks[e.id], e.seq))
        ),
    )


def layers(posts: Sequence[Entry], edges: Iterable[tuple[str, str]]) -> dict[str, float]:
    """A height for each post: those of one generation lie apart, in the order of what they cite, around 0."""
    targets: dict[str, list[str]] = defaultdict(list)
    for by, to in edges:
        targets[by].append(to)
    by_generation: dict[int, list[Entry]] = defaultdict(list)
    for e in posts:
        by_generation[e.generation].append(e)
    at: dict[str, float] = {}
    for generation in sorted(by_generation):

        def wish(e: Entry) -> tuple[float, int]:
            known = [at[to] for to in targets[e.id] if to in at]
            return (sum(known) / len(known) if known else 0.0, e.seq)

        layer = sorted(by_generation[generation], key=wish)
        shift = 0.5 * (generation % 2)  # neighbours in one line would hide the lines between them
        for i, e in enumerate(layer):
            at[e.id] = i - (len(layer) - 1) / 2 + shift
    return at


def leading_authors(posts: Iterable[Entry]) -> list[str]:
    tally = Counter(e.author for e in posts)
    return sorted(tally, key=lambda a: (-tally[a], a))[: MOST_AUTHORS if len(tally) > MOST_AUTHORS + 1 else len(tally)]


def rank_table(posts: dict[str, Entry], cited: Counter[str], ranks: dict[str, float]) -> Table:
    columns = ("post", "kind", "author", "gen", "cited", "PageRank")
    best = sorted(posts.values(), key=lambda e: (-ranks[e.id], e.seq))[:MOST_RANKED]
    rows = tuple(
        (
            e.body if e.kind == "definition" else e.title,
            e.kind.replace("_", " "),
            e.author,
            str(e.generation),
            str(cited[e.id]),
            f"{ranks[e.id] * len(posts):.1f}",
        )
        for e in best
    )
    caption = (
        "The most influential posts. PageRank: how often a reader who follows citations arrives, where 1 is a post's "
        "equal share; citations by much cited posts count for more."
    )
    return Table(columns, rows, caption, frozenset(columns[3:]))


def post_row(e: Entry, cited: int, rank: float) -> Row:
    return {
        "post": e.id,
        "number": e.seq,
        "kind": e.kind,
        "author": e.author,
        "generation": e.generation,
        "title": e.title,
        "cited": cited,
        "pagerank": rank,
        "parent": e.parent,
        "lineage_step": e.step,
    }


# -- lineages of posts -------------------------------------------------------------------------------------------


def descendants(posts: dict[str, Entry]) -> Counter[str]:
    """The number of descendants of each post."""
    found: Counter[str] = Counter()
    for e in reversed(posts.values()):  # children stand after their parents
        if e.parent:
            found[e.parent] += found[e.id] + 1
    return found


def lineage_findings(posts: dict[str, Entry]) -> list[str]:
    examples = [e for e in posts.values() if e.kind == "worked_example"]
    varied = [e for e in examples if e.parent]
    if not varied:
        return ["No worked example descends from another: no post was varied into one yet."]
    deepest = max(varied, key=lambda e: (e.step, -e.seq))
    family = descendants(posts)
    root = max((e for e in examples if not e.parent), key=lambda e: (family[e.id], -e.seq))
    text = (
        f"{len(varied):,} of {count(len(examples), 'worked example')} came of varying an earlier one. The longest "
        f"lineage has {count(deepest.step, 'step')}, from generation {first_of(posts, deepest).generation} to "
        f"{deepest.generation}; the largest family has {count(family[root.id] + 1, 'post')} and began with {root.text}."
    )
    pairs = [
        (e.depth - parent.depth, e)
        for e in varied
        if e.depth is not None and (parent := posts[e.parent or ""]).depth is not None
    ]
    if len(pairs) < 2:
        return [text]
    changes = [float(d) for d, _ in pairs]
    low, high = bootstrap_interval(changes, [e.parent for _, e in pairs])
    step = "From one step of a lineage to the next, problems' depth changes by "
    step += f"{between(sum(changes) / len(changes), low, high, sign=True)} on average ({count(len(pairs), 'pair')})."
    last = max(e.generation for e in examples)
    late = [e for e in examples if e.generation == last]
    founders = {first_of(posts, e).id for e in late}
    old = sum(posts[i].generation < last for i in founders)
    return [
        text,
        step,
        f"The {count(len(late), 'worked example')} of generation {last} go back to {count(len(founders), 'founder')}, "
        f"{old} of them from earlier generations.",
    ]


def first_of(posts: dict[str, Entry], e: Entry) -> Entry:
    while e.parent:
        e = posts[e.parent]
    return e


def lineage_figure(posts: dict[str, Entry]) -> Figure | None:
    """Lineages of the last worked examples back to the first."""
    examples = [e for e in posts.values() if e.kind == "worked_example"]
    last = max((e.generation for e in examples), default=0)
    leaves = sorted((e for e in examples if e.generation == last and e.parent), key=lambda e: (-e.step, e.seq))
    shown: dict[str, Entry] = {}
    for e in leaves[:MOST_LINEAGES]:
        at: Entry | None = e
        while at and at.id not in shown:
            shown[at.id] = at
            at = posts[at.parent] if at.parent else None
    if not shown:
        return None
    chosen = sorted(shown.values(), key=lambda e: e.seq)
    family, height, authors = descendants(posts), tree_heights(chosen), leading_authors(chosen)
    nodes = tuple(
        Node(
            e.id,
            float(e.generation),
            height[e.id],
            "" if e.parent else e.title.partition("|")[0].strip(),
            e.author if e.author in authors else "others",
            float(family[e.id]),
            f"{e.text}; {count(family[e.id], 'descendant')}",
        )
        for e in chosen
    )
    edges = tuple((e.parent, e.id) for e in chosen if e.parent)
    return Figure(
        "post-lineages",
        f"Ancestors of the worked examples of generation {last}",
        f"The {min(MOST_LINEAGES, len(leaves))} longest lineages that end in generation {last}, back to the first "
        "post of each, whose problem is named. A line leads from a worked example to one whose problem was set by "
        "varying it; the area of a dot grows with all posts that descend from it, its colour is who solved it first "
        "and posted it.",
        (
            Panel(
                Network(nodes, edges, side="left"),
                "generation",
                whole_x=True,
                height=min(1.8, 0.5 + len(leaves[:MOST_LINEAGES]) / 18),
            ),
        ),
        tuple(
            {
                "post": e.id,
                "title": e.title,
                "author": e.author,
                "generation": e.generation,
                "parent": e.parent,
                "step": e.step,
                "descendants": family[e.id],
            }
            for e in examples
        ),
    )


def tree_heights(posts: Sequence[Entry]) -> dict[str, float]:
    """A height for each post of some trees: leaves lie apart, a parent amid its children."""
    children: dict[str, list[Entry]] = defaultdict(list)
    for e in posts:
        children[e.parent or ""].append(e)
    at: dict[str, float] = {}
    leaves = 0
    stack = [(e, False) for e in children[""]]  # without recursion: lineages grow with generations
    while stack:
        e, seen = stack.pop()
        below = children[e.id]
        if not below:
            at[e.id] = float(leaves)
            leaves += 1
        elif seen:
            at[e.id] = sum(at[c.id] for c in below) / len(below)
        else:
            stack.append((e, True))
            stack += [(c, False) for c in below]
    return at


def steps_figures(posts: dict[str, Entry]) -> list[Figure]:
    """Length of lineages by generation, and depth of problems along them."""
    examples = [e for e in posts.values() if e.kind == "worked_example"]
    by_generation, by_step = defaultdict[int, list[Entry]](list), defaultdict[int, list[Entry]](list)
    for e in examples:
        by_generation[e.generation].append(e)
        by_step[e.step].append(e)
    if len(by_step) < 2:
        return []
    upper = [mean_row("generation", g, [float(e.step) for e in es]) for g, es in sorted(by_generation.items())]
    lower = [
        mean_row("step", s, [float(e.depth) for e in es if e.depth is not None]) for s, es in sorted(by_step.items())
    ]
    narrow = (
        "95 % intervals, Student's t; examples of one lineage depend on each other, so they are somewhat too narrow."
    )
    steps = Figure(
        "lineage-steps",
        "Distance of worked examples from the first of their lineage",
        "Steps from the first of its lineage to a worked example, mean by generation: it rises if culture accumulates "
        f"and stays flat if it starts anew. {narrow}",
        (Panel((mean_line("generation", upper),), "generation", "steps of lineage", whole_x=True),),
        tuple(upper),
    )
    depth = Figure(
        "lineage-depth",
        "Depth of problems along a lineage",
        f"Depth of a worked example's problem by its steps from the first of its lineage, mean. {narrow}",
        (Panel((mean_line("step", lower),), "steps of lineage", "depth of problem", whole_x=True),),
        tuple(lower),
    )
    return [steps, depth]


def mean_row(key: str, at: int, values: list[float]) -> Row:
    low, high = mean_interval(values)
    mean = sum(values) / len(values) if values else None
    return {key: at, "n": len(values), "mean": mean, "low": finite(max(low, 0.0)), "high": finite(high)}


def mean_line(key: str, rows: Sequence[Row]) -> Series:
    x, y, low, high = (tuple(r[k] for r in rows) for k in (key, "mean", "low", "high"))
    return Series("mean", x, y, low, high)


def finite(value: float) -> float | None:
    return None if math.isnan(value) else value
