"""Posts that leave the library's index at the beginning of a generation (`library.forget`); the log keeps them.

Only definitions, books and posts in free text count, since readers look these up. A post's utility is its effect on
readers (`arena.library.utility`); its freshness falls from its last read. Burned and expired posts take no room until
they are restored. Left out: restoring a forgotten post; agents have to find it again."""

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
    """Rows of table `removals`. Posts in `out` have left the index in this phase, before their rows are stored."""
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
