"""Retirement and birth: every so often the weakest agent retires and a newborn takes its place."""

from __future__ import annotations

from typing import Any

from arena.state import Arena


def turnover(arena: Arena) -> dict[str, list[Any]]:
    """Retire the agent with the lowest mean reward per role over the last generations; the best one is the parent."""
    g, config = arena.generation.index, arena.config.turnover
    if not config.every or g % config.every or g >= arena.config.generations:
        return {"agents": [], "retirements": []}
    sql = (
        "SELECT role, SUM(reward * n) / SUM(n) AS reward FROM rewards WHERE agent = ? AND generation > ? GROUP BY role"
    )
    scores = {a: sum(r["reward"] for r in arena.store.query(sql, [a, g - config.window])) for a in arena.living}
    order = sorted(arena.living, key=lambda a: (scores[a], a))
    worst, best = order[0], order[-1]
    number = arena.store.query("SELECT COUNT(*) AS n FROM agents")[0]["n"]
    place = arena.store.query("SELECT place FROM agents WHERE name = ?", [worst])[0]["place"]
    born = arena.newborn(number, g, [best], config.inherit if arena.learner else "nothing", place)
    return {"agents": [born], "retirements": [{"name": worst, "generation": g, "reward": scores[worst]}]}
