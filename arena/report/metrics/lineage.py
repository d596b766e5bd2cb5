"""Who descends from whom, as the Price equation asks for it (`culture.transmission.price`).

That is the trait of each parent, and of each of its offspring the parents and the trait.

Two kinds of descent are in a run. Worked examples have worked examples for offspring: those whose problem was set as a
variation of theirs; the trait is the problem's depth. And definitions are read: a reader carries away what it read as
it was, so each read at work is an offspring with the level of the definition, and all of a change is selection.

Left out: problems that were varied and never became worked examples, which nobody can vary again, and reading asleep,
which is drawn by the arena. Not guaranteed: that a variation has its depth from its parent.
"""

from __future__ import annotations

from dataclasses import dataclass

from arena.run.store import Store
from curricula.hidden_world import level_of

_EXAMPLES = (
    "SELECT p.id, p.generation, q.depth, r.parent_post AS parent FROM posts p"
    " JOIN rounds r ON r.id = substr(p.about, instr(p.about, '/') + 1) JOIN problems q ON q.round = r.id"
    " WHERE p.kind = 'worked_example' ORDER BY p.seq"
)


@dataclass(frozen=True)
class Descent:
    """`parents` holds the trait of each, those without offspring too, by id; each of `offspring` names its parents."""

    parents: dict[str, float]
    offspring: list[tuple[tuple[str, ...], float]]


def variations(store: Store, generation: int) -> Descent:
    """The worked examples written in a generation, and those varied from them at any time since; traits are depths."""
    rows = store.query(_EXAMPLES)
    parents = {r["id"]: float(r["depth"]) for r in rows if r["generation"] == generation}
    return Descent(parents, [((r["parent"],), float(r["depth"])) for r in rows if r["parent"] in parents])


def readings(store: Store, generation: int) -> Descent:
    """The definitions written before a generation, and each read of one at work in it; traits are levels of names."""
    sql = "SELECT id, title FROM posts WHERE kind = 'definition' AND generation < ? ORDER BY seq"
    parents = {r["id"]: float(level_of(r["title"])) for r in store.query(sql, [generation])}
    sql = "SELECT post FROM reads WHERE generation = ? AND phase IN ('propose', 'solve') ORDER BY id"
    read = [r["post"] for r in store.query(sql, [generation])]
    return Descent(parents, [((post,), parents[post]) for post in read if post in parents])
