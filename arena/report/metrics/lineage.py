"""Descent of posts, in the form that the Price equation needs (`culture.transmission.price`).

That is the trait of each parent, and for each offspring its parents and its trait. A run has two kinds of descent:

- Worked examples. The offspring of one are the worked examples whose problem was set as a variation of it. The trait is
  the depth of the problem.
- Definitions that are read. A reader takes over a definition as it is, so each read by a setter or solver is an
  offspring with the same level, and the whole change is selection. The trait is the level of the name.

Left out: variations that did not become worked examples, which nobody can vary again, and reading during sleep, which
the arena samples. Not guaranteed: that a variation has its depth from its parent.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from arena.report.metrics.generation import Database
from curricula.hidden_world import level_of

_EXAMPLES = (
    "SELECT p.id, p.generation, q.depth, r.parent_post AS parent FROM posts p"
    " JOIN rounds r ON r.id = substr(p.about, instr(p.about, '/') + 1) JOIN problems q ON q.round = r.id"
    " WHERE p.kind = 'worked_example' ORDER BY p.seq"
)


@dataclass(frozen=True)
class Descent:
    """`parents` holds the trait of each by id, also of those without offspring; each of `offspring` names its parents
    and its trait."""

    parents: dict[str, float]
    offspring: list[tuple[tuple[str, ...], float]]


def variations(db: Database) -> dict[int, Descent]:
    """By generation: the worked examples written in it, and those varied from them at any later time."""
    rows, written = db.query(_EXAMPLES), dict[str, int]()
    found: dict[int, Descent] = defaultdict(lambda: Descent({}, []))
    for r in rows:
        written[r["id"]] = r["generation"]
        found[r["generation"]].parents[r["id"]] = float(r["depth"])
    for r in rows:
        if r["parent"] in written:
            found[written[r["parent"]]].offspring.append(((r["parent"],), float(r["depth"])))
    return dict(sorted(found.items()))


def readings(db: Database) -> dict[int, Descent]:
    """By generation in which definitions were read: those written before it, and each read of one of them."""
    definitions = db.query("SELECT id, generation, title FROM posts WHERE kind = 'definition' ORDER BY seq")
    levels = {r["id"]: float(level_of(r["title"])) for r in definitions}
    sql = "SELECT generation, post FROM reads WHERE phase IN ('propose', 'solve') ORDER BY generation, id"
    read: dict[int, list[str]] = defaultdict(list)
    for r in db.query(sql):
        if r["post"] in levels:
            read[r["generation"]].append(r["post"])
    found = {}
    for g, posts in read.items():
        parents = {r["id"]: levels[r["id"]] for r in definitions if r["generation"] < g}
        found[g] = Descent(parents, [((post,), parents[post]) for post in posts if post in parents])
    return found
