"""What each model of a mixed population did and used; empty for a population of one model."""

from __future__ import annotations

from arena.config.schema import Config
from arena.run.budget import price
from arena.run.store import Row, Store

COUNTS = {
    "set": "SELECT author AS agent, COUNT(*) AS n FROM problems GROUP BY author",
    "valid": "SELECT author AS agent, SUM(valid) AS n FROM problems GROUP BY author",
    "learnable": "SELECT r.author AS agent, SUM(o.learnable) AS n FROM outcomes o JOIN rounds r ON r.id = o.round"
    " GROUP BY r.author",
    "attempts": "SELECT agent, COUNT(*) AS n FROM attempts GROUP BY agent",
    "correct": "SELECT agent, SUM(correct) AS n FROM attempts GROUP BY agent",
    "votes": "SELECT grader AS agent, COUNT(agrees) AS n FROM grades GROUP BY grader",
    "agree": "SELECT grader AS agent, SUM(agrees) AS n FROM grades GROUP BY grader",
    "posts": "SELECT author AS agent, COUNT(*) AS n FROM posts GROUP BY author",
}
"""Counts by agent: problems set, attempts, votes of graders and those that execution confirms, posts."""


def models(store: Store, config: Config) -> list[Row]:
    """One row per model: places, base, engine, roles, whether it is trained, agents, `COUNTS`, tokens, and its money if
    it has prices."""
    of_agent = store.agent_models()
    if not of_agent:
        return []
    found: dict[str, Row] = {}
    for row in store.query("SELECT * FROM places ORDER BY place"):
        one = found.setdefault(row["model"], {"name": row["model"], "places": [], "agents": []})
        one["places"].append(row["place"])
        one |= {key: row[key] for key in ("base", "digest", "engine", "roles")}
    trained = {of_agent.get(r["agent"]) for r in store.query("SELECT DISTINCT agent FROM sleeps")}
    for agent, name in of_agent.items():
        found[name]["agents"].append(agent)
    for one in found.values():
        one |= dict.fromkeys(COUNTS, 0) | {"requests": 0, "prompt": 0, "generated": 0, "money": None}
        one["trained"] = one["name"] in trained
    for key, sql in COUNTS.items():
        for row in store.query(sql):
            if row["agent"] in of_agent:
                found[of_agent[row["agent"]]][key] += row["n"] or 0
    sql = (
        "SELECT model, SUM(requests) AS requests, SUM(prompt_tokens) AS prompt, SUM(generated_tokens) AS generated"
        " FROM model_tokens GROUP BY model"
    )
    for row in store.query(sql):
        found[row["model"]] |= {key: row[key] for key in ("requests", "prompt", "generated")}
    for name, prices in config.model_prices.items():
        if name in found:
            found[name]["money"] = price(prices, found[name]["prompt"], found[name]["generated"])
    return list(found.values())


def phase_money(store: Store, config: Config) -> dict[str, float | None]:
    """Cost by phase of the models that have prices, None without any; empty for a population of one model."""
    prices, found = config.model_prices, dict[str, float | None]()
    if not store.mixed:
        return {}
    sql = "SELECT phase, model, SUM(prompt_tokens) AS p, SUM(generated_tokens) AS g FROM model_tokens GROUP BY 1, 2"
    for row in store.query(sql):
        cost = price(prices[row["model"]], row["p"], row["g"]) if row["model"] in prices else None
        before = found.setdefault(row["phase"], 0.0 if prices else None)
        found[row["phase"]] = before if cost is None else (before or 0.0) + cost
    return found
