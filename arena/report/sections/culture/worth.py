"""Effect of posts on the readers they were shown to, from posts that were withheld at random.

Numbers come from `arena.report.metrics.randomised_uplift`. Kinds and authors have intervals; single posts have an
estimate shrunk to the mean of their kind, since few have enough attempts for one of their own.

Left out: effects on anything but the problem a post was chosen for, and joint effects of several posts. Not guaranteed:
that authors differ by what they write; they write about other names, at other times. Nor that the first and last posts
of the table are the best and the worst: of many estimates some lie at the ends by chance.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from arena.report.figures.figure import Figure, Panel, Section, Series, Table
from arena.report.metrics.randomised_uplift import EFFECT, Uplifts, row, worths
from arena.report.source import Source
from arena.run.store import Row, Store
from arena.text import between, clear, count, listed, number, one_line
from culture.uplift import Worth, needed, needed_choices

MOST_AUTHORS = 30
ENDS = 8
"""Posts shown from each end of the order."""
BIN = 0.1


@dataclass(frozen=True)
class PostUplift:
    """A post with attempts, and its uplift; `problems` counts distinct ones by arm."""

    id: str
    kind: str
    author: str
    generation: int
    words: str
    worth: Worth
    problems: tuple[int, int]


def part(source: Source) -> Section:
    found = worths(source.store)
    if found is None:
        return Section("worth", "", missing=(missing(source),))
    posts = ranked_posts(source.store, found)
    share = source.config.library.withhold
    findings = [*kinds_found(found), *authors_found(found), *power(found, posts, share), differs()]
    figures = (groups_figure(found), posts_figure(posts))
    tables = (groups_table(found), *posts_table(posts))
    return Section("worth", "", tuple(findings), tuple(f for f in figures if f), tables)


def missing(source: Source) -> str:
    withhold = source.config.library.withhold
    if not withhold:
        why = "the config withholds nothing (library.withhold is 0; 0.05 withholds one in twenty)"
    elif not source.store.query("SELECT 1 FROM withheld LIMIT 1"):
        why = f"none has been withheld (library.withhold is {withhold:g} now; earlier versions withheld nothing)"
    else:
        why = "no attempt of a reader from whom one was withheld has been made yet"
    return f"The effect of reading cannot be measured by withholding posts: {why}."


def ranked_posts(store: Store, found: Uplifts) -> list[PostUplift]:
    """The posts that were shown or withheld, the most useful first by their shrunken uplift."""
    posts = {p["id"]: p for p in store.query("SELECT id, kind, author, generation, title, body FROM posts")}
    rows = [
        PostUplift(id, p["kind"], p["author"], p["generation"], words(p), worth, found.problems[id])
        for id, worth in found.posts.items()
        for p in [posts[id]]
    ]
    return sorted(rows, key=lambda j: (-j.worth.shrunk, j.id))


def words(post: Row) -> str:
    return str(post["body"] if post["kind"] == "definition" else post["title"])


# -- sentences ---------------------------------------------------------------------------------------------------


def kinds_found(found: Uplifts) -> list[str]:
    told = [
        f"{say(w)} for a {_spaced(kind)} ({arms(w)})" for kind, w in found.kinds.items() if w.difference is not None
    ]
    if not told:
        return ["No kind of post was both shown and withheld, so the effect of reading is not known."]
    return [
        "Some of the posts chosen for readers were withheld at random. Effect of being shown one on the share of "
        f"attempts that succeed, the randomised uplift: {listed(told)}."
    ]


def authors_found(found: Uplifts) -> list[str]:
    known = {a: w for a, w in found.authors.items() if w.difference is not None}
    if len(known) < 2:
        return []
    above = sum(clear(w.low, w.high) > 0 for w in known.values())
    below = sum(clear(w.low, w.high) < 0 for w in known.values())
    order = sorted(known, key=lambda a: (-(known[a].difference or 0.0), a))
    first, last = order[0], order[-1]
    apart = known[first].low > known[last].high
    text = (
        f"By author it is clearly above nothing for {above} of {len(known)} and clearly below for {below}; most for "
        f"{first}, {say(known[first])}, least for {last}, {say(known[last])}"
    )
    return [f"{text}: these intervals {'do not ' if apart else ''}overlap."]


def power(found: Uplifts, posts: Sequence[PostUplift], withhold: float) -> list[str]:
    """The number of problems needed to judge a single post, and the number there were."""
    wanted, enough = needed(EFFECT), len(found.enough)
    most = max(posts, key=lambda j: (min(j.problems), sum(j.problems), j.id))
    text = (
        f"To see a difference of {EFFECT:g} on one post takes about {wanted} problems an arm, one attempt at each"
        + (f" (about {needed_choices(EFFECT, withhold):,} choices of it" if 0 < withhold < 1 else "")
        + (f", where a share of {withhold:g} is withheld)" if 0 < withhold < 1 else "")
    )
    shown, without = most.problems
    text += (
        f"; “{one_line(most.words)}” by {most.author} has most, {shown:,} with it and {without:,} without. "
        f"{enough or 'Not one'} of {count(len(posts), 'post')} {'have' if enough > 1 else 'has'} enough"
    )
    if enough == len(posts):
        return [f"{text}."]
    return [f"{text}; of {'the others' if enough else 'each'} there is an estimate shrunk to the mean of its kind."]


def differs() -> str:
    return (
        "Randomised uplift is not the paired uplift of definitions reported above. There, held-out problems are asked "
        "of one agent twice, with all that the library has on their names and with nothing, and every definition "
        "in them is credited. "
        "Here one post is missing at work and the others are shown, the problems are those that agents set, and each "
        "reader is asked in one way only, chosen at random: what the post adds to the rest, for those it was chosen "
        "for."
    )


def say(w: Worth) -> str:
    low, high = (w.low, w.high) if w.difference is not None else (None, None)
    return between(w.difference, low, high, sign=True)


def arms(w: Worth) -> str:
    return f"{w.shown:,} attempts with it, {w.withheld:,} without"


# -- figures -----------------------------------------------------------------------------------------------------


def groups_figure(found: Uplifts) -> Figure | None:
    """Uplift by kind and by author, with the attempts of both arms under each."""
    authors = sorted(found.authors.items(), key=lambda x: (-x[1].shown - x[1].withheld, x[0]))
    panels = [
        _forest(found.kinds, "kind: attempts shown / withheld", "By kind"),
        _forest(dict(sorted(authors[:MOST_AUTHORS])), "author: attempts shown / withheld", "By author"),
    ]
    if not any(panels):
        return None
    rows = [{"of": "kind", "name": k, **row(w)} for k, w in found.kinds.items()]
    rows += [{"of": "author", "name": a, **row(w)} for a, w in found.authors.items()]
    more = len(authors) - MOST_AUTHORS
    return Figure(
        "worth",
        "Effect of being shown a post, from posts withheld at random",
        "Share of attempts that succeed when a post that was chosen for the reader is shown, minus the share when it "
        "is withheld at random; both weighted so that they represent the same readers. 95 % intervals; attempts at "
        "one problem are taken together. Below each name: the attempts with and without. Authors also differ by the "
        "names they wrote about."
        + (f" The {MOST_AUTHORS} authors with most attempts; {more} more are in the data." if more > 0 else ""),
        tuple(p for p in panels if p),
        tuple(rows),
    )


def _forest(groups: Mapping[str, Worth], label: str, title: str) -> Panel | None:
    known = {name: w for name, w in groups.items() if w.difference is not None}
    if not known:
        return None
    x = tuple(f"{_spaced(name)}: {w.shown:,} / {w.withheld:,}" for name, w in known.items())
    y, low, high = (tuple(getattr(w, key) for w in known.values()) for key in ("difference", "low", "high"))
    points = Series("randomised uplift, 95 % interval", x, y, low, high, "points")
    floor = min(0.0, *low)
    return Panel((points,), label, "randomised uplift (difference of shares)", (floor, 1.0), title=title)


def posts_figure(posts: Sequence[PostUplift]) -> Figure | None:
    """Distribution of the shrunken uplifts of single posts, and the measured differences by number of attempts."""
    known = [(j, j.worth.difference) for j in posts if j.worth.difference is not None]
    if not known:
        return None
    kinds = sorted({j.kind for j, _ in known})
    places = {kind: Counter(math.floor(j.worth.shrunk / BIN) for j, _ in known if j.kind == kind) for kind in kinds}
    every = [b for c in places.values() for b in c]
    bins = range(min(*every, 0), max(*every, 0) + 1)
    middle = tuple(round((b + 0.5) * BIN, 3) for b in bins)
    bars = tuple(Series(_spaced(k), middle, tuple(float(places[k][b]) for b in bins), kind="bars") for k in kinds)
    n = tuple(min(j.worth.shown, j.worth.withheld) for j, _ in known)
    text = tuple(f"{j.words}; {j.author}; {arms(j.worth)}" for j, _ in known)
    measured = Series("measured", n, tuple(d for _, d in known), kind="points", colour="#999999", text=text)
    drawn = Series(
        "shrunk to the mean", n, tuple(j.worth.shrunk for j, _ in known), kind="points", colour="#0072B2", text=text
    )
    empty = len(posts) - len(known)
    return Figure(
        "worth-posts",
        "Effect of single posts",
        "Above: posts by their randomised uplift, shrunk to the mean of their kind the more, the less is known "
        "of them (steps of "
        f"{BIN:g}). Below: the same and the measured difference, by the attempts of the smaller arm. With few attempts "
        "measured differences vary widely."
        + (f" Of {count(empty, 'post')} more one arm is empty, so there is no measurement." if empty else ""),
        (
            Panel(bars, "randomised uplift, shrunk to the mean", "posts", stacked=True, height=0.8, legend="kind"),
            Panel(
                (measured, drawn),
                "attempts of the smaller arm",
                "randomised uplift",
                (min(0.0, *(d for _, d in known)), 1.0),
            ),
        ),
        tuple(post_row(j) for j in posts),
    )


def post_row(j: PostUplift) -> Row:
    return {
        "post": j.id,
        "kind": j.kind,
        "author": j.author,
        "generation": j.generation,
        "words": j.words,
        **row(j.worth),
        "shrunk": j.worth.shrunk,
        "problems_shown": j.problems[0],
        "problems_withheld": j.problems[1],
    }


# -- tables ------------------------------------------------------------------------------------------------------


def groups_table(found: Uplifts) -> Table:
    rows = []
    for group, groups, of in (
        ("kind", found.kinds, found.trials.kinds),
        ("author", found.authors, found.trials.authors),
    ):
        posts = Counter(of.values())
        for name, w in groups.items():
            shown = _spaced(name) if group == "kind" else name
            rows.append((group, shown, f"{posts[name]:,}", f"{w.shown:,}", f"{w.withheld:,}", say(w)))
    caption = (
        "Effect of being shown a post on the share of attempts that succeed, by kind and by author, with 95 % "
        "intervals. Shown and withheld count attempts of readers for whom a post was chosen."
    )
    columns = ("by", "name", "posts", "shown", "withheld", "randomised uplift")
    return Table(columns, tuple(rows), caption, frozenset(columns[2:]))


def posts_table(posts: Sequence[PostUplift]) -> tuple[Table, ...]:
    """The posts at both ends of the order, among those with attempts in both arms."""
    known = [j for j in posts if j.worth.difference is not None]
    if not known:
        return ()
    shown = known if len(known) <= 2 * ENDS else [*known[:ENDS], *known[-ENDS:]]
    rows = []
    for place, j in enumerate(known, 1):
        if j in shown:
            of = (j.words, _spaced(j.kind), j.author, str(j.generation))
            counts = (f"{j.worth.shown:,}", f"{j.worth.withheld:,}")
            rows.append((str(place), *of, *counts, say(j.worth), number(j.worth.shrunk, sign=True)))
    which = "Posts" if shown is known else f"The first and last {ENDS} of {len(known):,} posts"
    caption = (
        f"{which} by their randomised uplift shrunk to the mean of their kind, with attempts shown and withheld, and "
        "the measured difference with its 95 % interval. Places are uncertain, as the intervals show."
    )
    columns = ("place", "post", "kind", "author", "gen", "shown", "withheld", "measured", "shrunk")
    return (Table(columns, tuple(rows), caption, frozenset((columns[0], *columns[4:]))),)


def _spaced(kind: str) -> str:
    return kind.replace("_", " ")
