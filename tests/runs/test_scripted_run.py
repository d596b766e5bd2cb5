"""Twenty generations with competent, sloppy and hostile agents in all roles of all domains, through a server.

No model is behind it: `scripted_agents` speaks. What is held here is the path that real models take: prompts, replies,
parsers, sandbox, posts in prose, budgets, and that whatever is bad is recorded with its reason.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import agents.http_client as transport
from arena.config.schema import Config, make_config
from arena.library.free_text import is_free_text
from arena.loop import play
from arena.report.metrics.run_summary import analyze
from arena.run.ledger import verify
from arena.run.state import Arena, make_domains
from curricula.domain import Problem
from tests.helpers import traffic
from tests.helpers.openai_server import Json, Reply, Server
from tests.helpers.scripted_agents import FREE_TEXT, PERSONAS, ROLES, ScriptedAgents

DOMAINS = {
    "list_programs": {"share": 0.2},
    "hidden_words": {"share": 0.2, "levels": 2},
    "python_programs": {"share": 0.3},
    "word_problems": {"share": 0.3},
}


@pytest.fixture(autouse=True)
def on_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "FIRST_WAIT", 0.01)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


SHORT = {
    "generations": 2,
    "population": {"agents": 3},
    "rounds": {"per_agent": 3, "guesses": 1, "grade": 0.5, "attempts": 1, "solvers": 1, "max_tokens": 600},
    "turnover": {"every": 0},
}
"""The run whose traffic is recorded."""


def config(folder: Path, url: str = "http://127.0.0.1:1/v1", **of: Any) -> Config:
    data: dict[str, Any] = {
        "run": {"folder": str(folder), "name": "scripted"},
        "domains": DOMAINS,
        "population": {"agents": 4},
        "engine": {"kind": "openai", "openai": {"url": url, "model": "seed", "api": "chat"}},
        "prompts": {"style": "chat", "personas": list(PERSONAS), "posts": 2},
        "rounds": {"per_agent": 3, "guesses": 2, "grade": 0.5, "attempts": 1, "max_tokens": 1000},
        "library": {"by_words": True, "budget": 600, "limit": 3, "withhold": 0.1},
        "turnover": {"every": 6, "window": 3},
        "measure": {"per_depth": 0, "final_per_depth": 1, "passes": 1},
    }
    return make_config(data | of)


def flaky(script: ScriptedAgents) -> Any:
    """The script behind a server that now and then fails at first."""

    def answer(path: str, body: Json, before: int) -> Reply:
        if path.endswith("/completions") and not before and body["seed"] % 40 == 0:
            return (Reply({"error": {"message": "busy"}}, 503), Reply({"choices": []}))[body["seed"] % 80 // 40]
        return script(path, body, before)

    return answer


@pytest.mark.slow
def test_twenty_generations_of_scripted_agents(tmp_path: Path) -> None:
    escaped = Path("/tmp/escaped")
    escaped.unlink(missing_ok=True)
    script = ScriptedAgents(make_domains(config(tmp_path)))
    with Server(flaky(script)) as server, Arena.create(config(tmp_path, server.url, generations=20)) as arena:
        assert play(arena)
        assert not escaped.exists()
        assert set(script.replies) == {f"{role} {persona}" for role in ROLES for persona in PERSONAS}
        everything_has_a_reason(arena)
        nothing_held_out_got_in(arena)
        worked_examples_are_quoted_as_they_were_asked(arena)
        assert verify(arena.store) == []
        found = analyze(arena.store, arena.config)
        assert found["finished"] and len(found["generations"]) == 20
        pays_for_skill(arena)


def everything_has_a_reason(arena: Arena) -> None:
    query = arena.store.query
    for row in query("SELECT domain, valid, reason, text, proposal FROM problems"):
        known = {"ok", "duplicate", *arena.state.domains[row["domain"]].reasons}
        assert row["reason"] in known and (row["reason"] == "ok") == bool(row["valid"]) == (row["text"] is not None)
    attempts = query("SELECT correct, reason FROM attempts")
    assert attempts and all((row["reason"] == "ok") == bool(row["correct"]) and row["reason"] for row in attempts)
    by_domain = {
        r["domain"]: r for r in query("SELECT domain, COUNT(DISTINCT reason) AS n FROM problems GROUP BY domain")
    }
    assert set(by_domain) == set(arena.state.domains) and all(r["n"] > 1 for r in by_domain.values())
    refusals = [r["reason"] for r in query("SELECT reason FROM refusals")]
    assert refusals and all(refusals)
    doubts = query("SELECT doubt, setter_reward, learnable FROM outcomes WHERE doubt IS NOT NULL")
    assert doubts and all(r["setter_reward"] < 0 and not r["learnable"] for r in doubts)


def nothing_held_out_got_in(arena: Arena) -> None:
    for row in arena.store.query("SELECT domain, text FROM problems WHERE valid"):
        domain = arena.state.domains[row["domain"]]
        found = domain.parse_proposal(row["text"])
        assert isinstance(found, Problem) and found.text == row["text"] and not domain.is_heldout(found)
    kinds = Counter[str]()
    for post in arena.state.library.iterate():
        if is_free_text(post):
            kinds[post.kind] += 1
            assert post.kind in FREE_TEXT and "\n" not in post.title and len(post.body) <= 1500
    assert set(kinds) == set(FREE_TEXT)
    sql = "SELECT 1 FROM reads r JOIN posts p ON p.id = r.post WHERE about LIKE 'prose/%' AND phase = 'solve' LIMIT 1"
    assert arena.store.query(sql)


def worked_examples_are_quoted_as_they_were_asked(arena: Arena) -> None:
    """Readers see the question and the solution, and no program of a setter, which they would copy."""
    sql = (
        "SELECT a.notes, p.text FROM attempts a JOIN problems p ON p.round = a.round"
        " WHERE p.domain = 'word_problems' AND a.notes LIKE '%worked example by%'"
    )
    rows = arena.store.query(sql)
    assert rows and all("def answer" in row["text"] for row in rows)
    assert not any("def answer" in note for row in rows for note in json.loads(row["notes"]))


def pays_for_skill(arena: Arena) -> None:
    """Solvers with care earn the most, and those who break things the least."""
    place = {r["name"]: r["place"] % len(PERSONAS) for r in arena.store.query("SELECT name, place FROM agents")}
    earned: dict[int, list[float]] = {}
    for row in arena.store.query("SELECT agent, reward FROM rewards WHERE role = 'solver'"):
        earned.setdefault(place[row["agent"]], []).append(row["reward"])
    care, hurry, breaks = (sum(earned[i]) / len(earned[i]) for i in range(len(PERSONAS)))
    assert care > hurry > breaks


def test_recorded_traffic_is_reproduced(tmp_path: Path) -> None:
    """Prompts to the letter, and what parsers, verifiers and the library made of every reply."""
    replies = {(line["seed"], line["asked"]): line["reply"] for line in traffic.recorded()}
    strange: list[str] = []

    def replay(path: str, body: Json, before: int) -> Reply:
        if path == "/tokenize":
            return Reply({"count": max(1, len(body["prompt"]) // 4)})
        found = replies.get((body["seed"], traffic.asked(body)))
        if found is None:
            strange.append(body["messages"][1]["content"])
            return Reply({"error": {"message": "not recorded"}}, 400)
        return Reply(found)

    with Server(replay) as server, Arena.create(config(tmp_path, server.url, **SHORT)) as arena:
        try:
            play(arena)
        except ValueError:
            assert not strange, f"never asked before; see tests/helpers/traffic: {strange[0][:300]}"
            raise
        found = json.loads(json.dumps(traffic.outcomes(arena.store.query)))
    expected = json.loads(traffic.OUTCOMES.read_text(encoding="utf-8"))
    for table, rows in expected.items():
        assert found[table] == rows, table
