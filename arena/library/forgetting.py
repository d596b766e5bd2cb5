"""What leaves the library's index at the beginning of a generation (`library.forget`); the log keeps everything.

Definitions, books and posts in prose are what fills an index that readers look things up in; others are not counted.
A post's utility is what it did for its readers (`arena.library.utility`), its freshness falls from when it was last
read. What burned or has worn off is not there to be forgotten, and takes no room, until it is given back. Left out:
bringing back what was forgotten; who needs it has to find it again."""

from __future__ import annotations

from collections.abc import Callable, Collection

from arena.library.utility import utilities
from arena.library.visibility import visible_generations
from arena.run.fold import RunState
from arena.run.store import Row
from culture.forgetting import Indexed, forgotten

_INDEXED = """SELECT p.id, p.seq, p.generation, p.body, MAX(p.generation, COALESCE((SELECT MAX(r.generation)
    FROM reads r WHERE r.post = p.id AND r.phase = 'solve'), 0)) AS used
    FROM posts p WHERE (p.kind IN ('definition', 'book') OR p.about LIKE 'prose/%')
    AND p.id NOT IN (SELECT post FROM removals) ORDER BY p.seq"""


def forget(state: RunState, count_tokens: Callable[[str], int], out: Collection[str] = ()) -> list[Row]:
    """Rows of table `removals`; posts in `out` have left already, though no row says so yet."""
    g, config = state.generation.index, state.config.library
    if config.forget == "keep":
        return []
    known, left = utilities(state), visible_generations(config, g)
    usual = sum(known.values()) / len(known) if known else 0.0
    items = [
        Indexed(r["id"], r["seq"], r["used"], count_tokens(r["body"]), known.get(r["id"], usual))
        for r in state.store.query(_INDEXED)
        if r["id"] not in out and (left is None or any(first <= r["generation"] <= last for first, last in left))
    ]
    gone = forgotten(config.forget, items, g, config.half_life, config.index, config.decay_below)
    reason = "older than its use" if config.forget == "decay" else f"beyond {config.index} tokens of index"
    return [{"post": p, "generation": g, "state": "forgotten", "cause": "", "reason": reason} for p in gone]
