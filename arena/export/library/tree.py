"""The graph of posts: the posts that a post builds on, and the posts that build on it.

A post builds on the posts it cites, on the worked example that its problem was varied from, on the earlier post that it
supersedes, and on the post that it is about (a review, a retraction). All of these are earlier, so the graph has no
cycles. A damaged library may have cycles; `walk` expands each post once and therefore ends.

Left out: posts that were read and not cited (`show` counts reads).
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from arena.run.store import Store
from culture.kinds import kind_of

Edges = dict[str, list[tuple[str, str]]]
"""By id: (relation, id of the other post)."""
_VARIED = (
    "SELECT p.id, r.parent_post FROM posts p JOIN rounds r ON r.id = substr(p.about, instr(p.about, '/') + 1)"
    " WHERE p.kind = 'worked_example' AND r.parent_post IS NOT NULL"
)
PASSIVE = {
    "cites": "cited by",
    "varies": "varied by",
    "supersedes": "superseded by",
    "reviews": "reviewed by",
    "retracts": "retracted by",
    "is about": "spoken of by",
}
"""Name of each relation in the opposite direction."""


@dataclass(frozen=True)
class Node:
    """A line of the tree. `again`: the post has a subtree that was printed further up."""

    depth: int
    relation: str
    id: str
    again: bool


def edges(store: Store) -> tuple[Edges, Edges]:
    """Two graphs, in order of admission: the posts each post builds on, and the posts that build on each post."""
    varied = dict(store.db.conn.execute(_VARIED).fetchall())
    rows = store.db.conn.execute("SELECT id, cites, about, supersedes, kind FROM posts ORDER BY seq").fetchall()
    there = {row[0] for row in rows}
    up: Edges = defaultdict(list)
    down: Edges = defaultdict(list)
    for id_, cites, about, supersedes, kind in rows:
        found = [("cites", c) for c in _list(cites)]
        found += [("varies", varied.get(id_, "")), ("supersedes", supersedes)]
        if about in there:
            found.append((kind_of(kind).relation, about))
        for relation, other in dict.fromkeys(found):
            if other in there and other != id_:
                up[id_].append((relation, other))
                down[other].append((PASSIVE[relation], id_))
    return up, down


def walk(graph: Edges, start: str) -> Iterator[Node]:
    """All posts reachable from `start`, excluding it, in depth-first order; each post is expanded once."""
    opened = {start}
    stack = [(1, *edge) for edge in reversed(_merged(graph, start))]
    while stack:
        depth, relation, id_ = stack.pop()
        again = id_ in opened
        yield Node(depth, relation, id_, again and bool(graph.get(id_)))
        if not again:
            opened.add(id_)
            stack += [(depth + 1, *edge) for edge in reversed(_merged(graph, id_))]


def lines(graph: Edges, start: str, line: Callable[[Node], str], limit: int) -> list[str]:
    """The tree below `start` as indented lines: at most `limit`, then one line with the number of lines omitted."""
    found, left = list[str](), 0
    for node in walk(graph, start):
        if len(found) < limit:
            found.append("  " * node.depth + line(node) + ("  (see above)" if node.again else ""))
        else:
            left += 1
    return [*found, f"  ... and {left:,} more lines (--limit)"] if left else found


def _merged(graph: Edges, id: str) -> list[tuple[str, str]]:
    """The neighbours of a post, each once, as (all its relations, id)."""
    found = dict[str, list[str]]()
    for relation, other in graph.get(id, ()):
        found.setdefault(other, []).append(relation)
    return [(", ".join(relations), other) for other, relations in found.items()]


def _list(cites: str) -> list[str]:
    try:
        found = json.loads(cites)
    except ValueError:
        return []
    return [c for c in found if isinstance(c, str)] if isinstance(found, list) else []
