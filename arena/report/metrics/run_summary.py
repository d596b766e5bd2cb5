"""The analysis of a run: one plain JSON-able object with the figures of its generations, agents and library.

Works on unfinished runs: a figure whose phase has not been played is None, as is every figure over nothing. Tokens of a
generation are those that count as compute; evaluation is separate.

Left out: comparisons of runs, and anything that needs a model or a domain. Not guaranteed: that posts caused a gain.
Held-out problems of one run share its weights, so the intervals are over problems, not over seeds.
"""

from __future__ import annotations

import json
import math
from typing import Any

from arena.config.schema import Config
from arena.phases.order import LOOP
from arena.report.metrics import alarms, generation, randomised_uplift, ratchet
from arena.report.metrics.grader_calibration import reviewed
from arena.report.metrics.heldout import MIDDLE_DEPTHS, heldout, heldout_before_after, names
from arena.report.metrics.models import models, phase_money
from arena.report.metrics.rejections import rejections
from arena.run.budget import price, spent_so_far
from arena.run.retention import thinned_until
from arena.run.store import Row, Store
from arena.run.waiting import waiting
from culture.measures import citation_depth, reuse_rate


def analyze(store: Store, config: Config) -> dict[str, Any]:
    """Everything the report shows. Holds only dicts, lists, str, int, float, bool and None; no NaN."""
    done = store.finished()
    main, waits = config.main_domain, waiting(store)
    result: dict[str, Any] = {
        "run": config.run.name,
        "seed": config.seed,
        "domain": main,
        "domains": list(config.domain_names),
        "planned_generations": config.generations,
        "finished": any(phase == "final" for _, phase in done),
        "generations": generations(store, done),
        "heldout": heldout(store, main),
        "heldout_before_after": heldout_before_after(store, main),
        "heldout_3_6": heldout_before_after(store, main, MIDDLE_DEPTHS),
        "names": names(store) if config.named_domain else None,
        "ratchet": ratchet.summary(store),
        "worth": randomised_uplift.summary(store),
        "library": library(store),
        "agents": agents(store),
        "models": models(store, config),
        "grading": grading(store),
        "review": reviewed(store) | {"waiting": waits.posts, "waiting_undecided": waits.left},
        "compute": compute(store, config),
        "words_gone_until": thinned_until(store),
    }
    wait = waits.line(store.path.parent)
    result["unread_ratchet"] = unread_ratchet(result, config)
    result["alarms"] = alarms.rows(alarms.spans(alarms.figures(store, main), wait))
    result["warnings"] = warnings(result, wait)
    plain: dict[str, Any] = json.loads(json.dumps(without_nan(result), allow_nan=False))
    return plain


def without_nan(value: Any) -> Any:
    """The same data with None for every number that is not finite."""
    if isinstance(value, dict):
        return {str(k): without_nan(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def generations(store: Store, done: set[tuple[int, str]]) -> list[Row]:
    """One object a generation from 1 on that has at least one finished phase, in order."""
    proposals, outcomes = generation.proposals(store), generation.outcomes(store)
    seconds, posts, reads = generation.seconds(store), generation.posts(store), generation.reads(store)
    guesses, agreement = generation.guesses(store), generation.agreement(store)
    counted, measured = generation.tokens(store, counted=True), generation.tokens(store, counted=False)
    reasons = rejections(store)
    depths = _tally(store, "SELECT generation, depth AS key, COUNT(*) AS n FROM problems WHERE valid GROUP BY 1, 2")
    result = []
    for g in sorted({g for g, phase in done if g >= 1 and phase in LOOP}):
        proposed, graded = (g, "propose") in done, (g, "grade") in done
        p, o = proposals.get(g, generation.Proposals()), outcomes.get(g, generation.Outcomes())
        t, guessed = counted.get(g, generation.Tokens()), guesses.get(g, generation.Guesses())
        result.append(
            {
                "index": g,
                "complete": all((g, phase) in done for phase in LOOP),
                "proposed": p.proposed if proposed else None,
                "valid": p.valid if proposed else None,
                "learnable": o.learnable if graded else None,
                "mean_difficulty": p.depth,
                "depths": depths.get(g, {}),
                "distinct_behaviours": p.behaviours if proposed else None,
                "solve_rate": o.solve_rate,
                "rejections": reasons.get(g, {}),
                "seconds": seconds.get(g, 0.0),
                "prompt_tokens": t.prompt,
                "generated_tokens": t.generated,
                "trained_tokens": t.trained,
                "evaluation_tokens": measured[g].total if g in measured else 0,
                "posts": posts.get(g, 0) if (g, "post") in done else None,
                "reads": reads.get(g, 0) if (g, "solve") in done else None,
                "guesses": guessed.made if proposed else None,
                "right_guesses": guessed.right if proposed else None,
                "grader_agreement": agreement.get(g),
            }
        )
    return result


def library(store: Store) -> Row:
    """Posts, refusals, and reads: `reads` at work, `sleep_reads` asleep, `distractors` shown beside what was asked
    for."""
    posts = store.query("SELECT id, author, cites FROM posts ORDER BY seq")
    cites = {p["id"]: json.loads(p["cites"]) for p in posts}
    reads = store.query(
        f"SELECT phase = 'sleep' AS asleep, {generation.AT_WORK} AS at_work, COUNT(*) AS n FROM reads GROUP BY 1, 2"
    )
    by_reads = {(r["asleep"], r["at_work"]): r["n"] for r in reads}
    kinds = store.query("SELECT kind AS key, COUNT(*) AS n FROM posts GROUP BY kind ORDER BY kind")
    authors = store.query("SELECT author AS key, COUNT(*) AS n FROM posts GROUP BY author ORDER BY n DESC, author")
    return {
        "posts": len(posts),
        "reads": by_reads.get((0, 1), 0),
        "sleep_reads": by_reads.get((1, 0), 0),
        "distractors": by_reads.get((0, 0), 0),
        "by_kind": {r["key"]: r["n"] for r in kinds},
        "by_author": {r["key"]: r["n"] for r in authors},
        "refused": store.query("SELECT COUNT(*) AS n FROM refusals")[0]["n"],
        "cited_by_others": reuse_rate(cites, {p["id"]: p["author"] for p in posts}),
        "longest_chain": citation_depth(cites),
        "examples": {r["key"]: _most_read(store, r["key"]) for r in kinds},
    }


def _most_read(store: Store, kind: str) -> Row:
    sql = (
        "SELECT p.title, p.body, p.author, p.generation, COUNT(r.id) AS reads FROM posts p LEFT JOIN reads r"
        f" ON r.post = p.id AND r.{generation.AT_WORK} WHERE p.kind = ?"
        " GROUP BY p.id ORDER BY reads DESC, p.seq LIMIT 1"
    )
    return store.query(sql, [kind])[0]


def agents(store: Store) -> list[Row]:
    """All agents in order of birth; rewards are means per act over a lifetime."""
    gone = {r["name"]: r["generation"] for r in store.query("SELECT name, generation FROM retirements")}
    of_agent = store.agent_models()
    rewards: dict[str, dict[str, float]] = {}
    sql = (
        "SELECT agent, role, SUM(reward * n) / SUM(n) AS reward FROM rewards GROUP BY agent, role ORDER BY agent, role"
    )
    for row in store.query(sql):
        rewards.setdefault(row["agent"], {})[row["role"]] = row["reward"]
    return [
        {
            "name": a["name"],
            "born": a["born"],
            "retired": gone.get(a["name"]),
            **({"model": of_agent.get(a["name"])} if of_agent else {}),
            "parents": json.loads(a["parents"]),
            "inherited": a["inherited"],
            "rewards": rewards.get(a["name"], {}),
        }
        for a in store.query("SELECT * FROM agents ORDER BY number")
    ]


def grading(store: Store) -> Row:
    """Numbers of graded attempts and of grades without a vote, and the share of votes that agree with execution."""
    row = store.query(
        "SELECT COUNT(*) AS graded, COUNT(*) - COUNT(agrees) AS no_vote, AVG(agrees) AS agreement FROM grades"
    )
    return row[0]


def compute(store: Store, config: Config) -> Row:
    """Compute units (1 per prompt or generated token, 3 per trained token), evaluation separate; seconds, requests and,
    if prices are set, money of both."""
    spent, money, prices = spent_so_far(store), phase_money(store, config), config.limits.prices
    sql = (
        "SELECT counted, SUM(prompt_tokens) AS prompt, SUM(generated_tokens) AS generated,"
        " SUM(trained_tokens) AS trained FROM phases GROUP BY counted"
    )
    rows = {r["counted"]: r for r in store.query(sql)}
    counted, apart = rows.get(1, {}), rows.get(0, {})
    return {
        "counted": store.compute(),
        "evaluation": float((apart.get("prompt") or 0) + (apart.get("generated") or 0)),
        "prompt_tokens": counted.get("prompt") or 0,
        "generated_tokens": counted.get("generated") or 0,
        "trained_tokens": counted.get("trained") or 0,
        "seconds": spent.seconds,
        "requests": spent.requests,
        "money": spent.cost(config.limits.prices, config.model_prices),
        "currency": config.limits.prices.currency,
        "by_phase": [
            {**row, "money": money.get(row["phase"], price(prices, row.pop("prompt"), row.pop("generated")))}
            for row in store.query(
                "SELECT phase, TOTAL(requests) AS requests, TOTAL(prompt_tokens + generated_tokens) AS tokens,"
                " TOTAL(prompt_tokens) AS prompt, TOTAL(generated_tokens) AS generated FROM phases"
                " GROUP BY phase ORDER BY MIN(rowid)"
            )
        ],
    }


def warnings(analysis: Row, waits: str = "") -> list[str]:
    """What is wrong at the end of the run, in plain sentences: that it is not finished, and the alarms that are on.
    `waits`: the sentence on posts that wait for approval."""
    found = []
    if not analysis["finished"]:
        planned, played = analysis["planned_generations"], sum(g["complete"] for g in analysis["generations"])
        found.append(f"The run is not finished: {played} of {planned} generations, no final evaluation.")
    found += [analysis["unread_ratchet"]] if analysis["unread_ratchet"] else []
    on = [alarm["text"] for alarm in analysis["alarms"] if alarm["on"]]
    return [*found, *on, *([waits] if waits and not any(waits in text for text in on) else [])]


def unread_ratchet(analysis: Row, config: Config) -> str:
    """That the ratchet meter is on and took no reading though one was due; otherwise empty."""
    r = config.measure.ratchet
    due = [g["index"] for g in analysis["generations"] if g["complete"] and r.every and g["index"] % r.every == 0]
    if not due or (analysis["ratchet"] or {}).get("readings"):
        return ""
    return (
        f"The ratchet meter took no reading, though {len(due)} were due: a reading waits until it costs at most "
        f"measure.ratchet.share ({r.share:g}) of what was played since the last. Raise it, or lower "
        "measure.ratchet.per_depth."
    )


def alarm_lines(analysis: Row) -> list[str]:
    """The same, and the alarms that were on in earlier generations, each with its generations."""
    texts = {alarm["text"] for alarm in analysis["alarms"] if alarm["on"]}
    return [*(w for w in analysis["warnings"] if w not in texts), *(alarm["line"] for alarm in analysis["alarms"])]


def _tally(store: Store, sql: str) -> dict[int, dict[Any, int]]:
    found: dict[int, dict[Any, int]] = {}
    for row in store.query(sql):
        found.setdefault(row["generation"], {})[row["key"]] = row["n"]
    return found
