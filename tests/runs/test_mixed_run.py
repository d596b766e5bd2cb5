"""Whole runs of mixed populations: a served and a frozen model beside the one that learns."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

import agents.http_client as transport
from agents.checkpoint import BaseModel
from agents.engine import Request
from agents.tokenizer import Tokenizer
from arena.config.schema import Config, load_config
from arena.config.shipped import SEED_FOLDER
from arena.evals.engine import EvalModels
from arena.evals.participants import select_participants
from arena.evals.play.run_agents import TextRequest, open_agents
from arena.export.card import ExportContents, card
from arena.loop import play
from arena.report.metrics.run_summary import analyze
from arena.report.sections.summary import section
from arena.report.source import Source
from arena.run.estimate import estimate
from arena.run.state import Arena, make_domains
from arena.watch import queries, render
from tests.helpers.crashes import Crash, play_through
from tests.helpers.openai_server import SeedModel, Server
from tests.helpers.scripted_agents import ScriptedAgents

SMALL = ["rounds.max_tokens=48", "measure.passes=1", "measure.final_per_depth=2", "generations=2", "turnover.every=1"]
AGE = ["turnover.policy=age", "turnover.life=1"]


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "FIRST_WAIT", 0.01)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture(scope="module")
def model(base: BaseModel, tokenizer: Tokenizer) -> SeedModel:
    return SeedModel(base, tokenizer)


def mixed(folder: Path, name: str, server: Server, *more: str) -> Config:
    """Tiny agents: a served teacher at place 1, the shipped model at places 0 and 2, where it learns."""
    key = "population.models.teacher"
    served = [f"{key}.places=[1]", f"{key}.engine.kind=openai", f"{key}.engine.openai.model=seed"]
    to = [f"{key}.engine.openai.url={server.url}", f"{key}.engine.openai.retries=2"]
    return load_config("configs/tiny.yaml", [f"run.folder={folder}", f"run.name={name}", *served, *to, *SMALL, *more])


@pytest.mark.slow
def test_a_served_model_lives_beside_one_that_learns(model: SeedModel, tmp_path: Path) -> None:
    with Server(model) as server, Arena.create(mixed(tmp_path, "calm", server, *AGE)) as arena:
        play(arena)
        store, digest = arena.store, arena.store.digest()
        models = store.agent_models()
        teachers = {a for a, m in models.items() if m == "teacher"}
        first = {r["name"] for r in store.query("SELECT name FROM agents WHERE born = 0")}
        assert len(teachers) > 1 and len(teachers & first) == 1 and set(models.values()) == {"teacher", "main"}
        # it sets, solves and grades; what it is paid and posts is recorded as anybody's
        for table, column in (("problems", "author"), ("attempts", "agent"), ("rewards", "agent")):
            named = {r["a"] for r in store.query(f"SELECT DISTINCT {column} AS a FROM {table}")}
            assert named & teachers and named - teachers
        # it is never trained, measured, or written to disk
        for table, column in (("sleeps", "agent"), ("checkpoints", "name"), ("evaluations", "agent")):
            named = {r["a"] for r in store.query(f"SELECT DISTINCT {column} AS a FROM {table}")}
            assert named and not named & teachers
        assert not teachers & set(arena.models.learner.names if arena.models.learner else teachers)
        # a newborn takes over the place, the model and a parent of it, and inherits no weights
        born = store.query("SELECT name, parents, inherited, place FROM agents WHERE born > 0")
        for row in born:
            assert all(models[p] == models[row["name"]] for p in json.loads(row["parents"]))
            assert (row["inherited"] == "nothing") == (row["name"] in teachers) == (row["place"] == 1)
        # tokens are counted by model, and those of the server as it counts them
        by_model = store.query(
            "SELECT model, SUM(prompt_tokens) AS p, SUM(generated_tokens) AS g, SUM(requests) AS r"
            " FROM model_tokens GROUP BY model ORDER BY model"
        )
        whole = store.query(
            "SELECT SUM(prompt_tokens) AS p, SUM(generated_tokens) AS g, SUM(requests) AS r FROM phases"
        )[0]
        assert [r["model"] for r in by_model] == ["main", "teacher"]
        assert {k: sum(r[k] for r in by_model) for k in "pgr"} == whole
        served = {"p": server.usage["prompt_tokens"], "g": server.usage["completion_tokens"]}
        assert by_model[1] == {"model": "teacher", "r": len(server.served), **served}
        assert set(server.served.values()) == {1}
        assert store.meta()["model teacher"] == "seed on openai"
        places = [(r["place"], r["model"], r["base"]) for r in store.query("SELECT * FROM places ORDER BY place")]
        assert places == [(0, "main", "seed"), (1, "teacher", "seed"), (2, "main", "seed")]
        _check_tables(arena, models, teachers)
        _check_outside(arena, next(iter(teachers - first)), server)

        stops = set[int]()

        def crash_after_each_phase(event: str, data: dict[str, Any]) -> None:
            if event == "done" and len(other.store.finished()) not in stops:
                stops.add(len(other.store.finished()))
                raise Crash

        other = Arena.create(mixed(tmp_path, "halting", server, *AGE))
        folder = other.folder
        while True:
            try:
                play(other, crash_after_each_phase)
                break
            except Crash:
                other.close()
                other = Arena.open(folder)
        assert other.store.digest() == digest and len(stops) == 2 + 8 * 2 + 1
        other.close()


def _check_tables(arena: Arena, models: dict[str, str], teachers: set[str]) -> None:
    """The report, the screens and the exported card say which agent is which model."""
    query, found = arena.store.query, analyze(arena.store, arena.config)
    assert {a["name"]: a["model"] for a in found["agents"]} == models
    assert [(m["name"], m["trained"], set(m["agents"])) for m in found["models"]] == [
        ("main", True, set(models) - teachers),
        ("teacher", False, teachers),
    ]
    for key, table in (("set", "problems"), ("attempts", "attempts"), ("posts", "posts")):
        assert sum(m[key] for m in found["models"]) == query(f"SELECT COUNT(*) AS n FROM {table}")[0]["n"]
    tables = section(Source(arena.folder, arena.store, arena.config, found)).tables
    named = [dict(zip(t.columns, row, strict=True)) for t in tables if "model" in t.columns for row in t.rows]
    assert {r["agent"]: r["model"] for r in named if "agent" in r} == models
    assert [r["base"] for r in named if "base" in r] == ["seed, torch", "seed, openai"]
    for member in queries.population(arena.store.db.conn, 1):
        detail = queries.agent_detail(arena.store.db.conn, member.name)
        assert detail is not None and member.model == detail.model == models[member.name]
        assert f"model      {models[member.name]}\n" in str(render.agent_text(detail, {}, (), (), 80))
    made = ExportContents("r", "d", arena.config, {}, (2, 2), 0, agent_models=models)
    assert "127.0.0.1" not in card(made) and all(f"`{t}`" in card(made) for t in teachers)


def _check_outside(arena: Arena, teacher: str, server: Server) -> None:
    """`eval` and `play` ask the server for the agents that it speaks for, and nobody else."""
    folder, store, config = arena.folder, arena.store, arena.config
    before = server.paths["/v1/completions"]
    best = select_participants(store, config, folder, "best", None, False)
    assert not any(p.other for p in best.players)
    EvalModels(folder, store, config, best.players)
    named = select_participants(store, config, folder, teacher, None, False)
    assert [(p.name, p.other) for p in named.players] == [(f"{teacher} (teacher)", "teacher"), ("base", "")]
    engine = EvalModels(folder, store, config, named.players).engine
    engine.generate([Request("1", "solve rev | 1 2 think", teacher, 8), Request("2", "solve rev | 1 2 think", None, 8)])
    assert server.paths["/v1/completions"] == before + 1
    team = open_agents(folder, store, config, 3, None)
    assert teacher in team.names and len(team.names) == 3
    team.say([TextRequest(name, name, "solve rev | 1 2 think", 0.0) for name in team.names])
    assert server.paths["/v1/completions"] == before + 2


@pytest.mark.slow
def test_a_killed_phase_asks_the_server_once(model: SeedModel, tmp_path: Path) -> None:
    """The server's completions of an unfinished phase are in the journal, with their model."""
    with Server(model) as server:
        killed = Arena.create(mixed(tmp_path, "killed", server))

        def die(requests: Any) -> Any:
            raise Crash

        def before_solving(event: str, data: dict[str, Any]) -> None:
            if (event, data.get("phase")) == ("phase", "solve"):
                engine: Any = killed.models.engine
                engine.engines["main"].generate = die

        with killed, pytest.raises(Crash):
            play(killed, before_solving)
        lines = [json.loads(line) for line in (tmp_path / "killed" / "journal.jsonl").read_text().splitlines()]
        assert lines and {(x["model"], x["phase"]) for x in lines} == {("teacher", "solve")}
        paid = sum(x["prompt_tokens"] + x["generated_tokens"] for x in lines)
        with Arena.open(tmp_path / "killed", ["limits.prices={prompt: 1000000, generated: 1000000}"]) as arena:
            served = sum(server.usage.values())
            assert arena.budget.spent.cost(arena.config.limits.prices, arena.budget.prices) == served >= paid
            play(arena)
        assert set(server.served.values()) == {1}
        with Arena.create(mixed(tmp_path, "calm", server)) as arena:
            play(arena)
            digest = arena.store.digest()
    with Server(model) as server, Arena.open(tmp_path / "killed", [f"{OTHER}.url={server.url}"]) as arena:
        assert arena.store.digest() == digest and server.url in (tmp_path / "killed" / "config.yaml").read_text()


OTHER = "population.models.teacher.engine.openai"


@pytest.mark.slow
def test_a_strong_setter_that_never_solves(model: SeedModel, tmp_path: Path) -> None:
    """Roles: the teacher sets, the others solve; a money limit counts the teacher's tokens alone."""
    roles = ["population.models.main.roles=[solve, guess]", "population.models.teacher.roles=[set]"]
    with Server(model) as server:
        config = mixed(tmp_path, "roles", server, *roles, "rounds.per_agent=12", "rounds.setter=frozen")
        with Arena.create(config) as arena:
            play(arena)
            query, models = arena.store.query, arena.store.agent_models()

            def of(sql: str) -> set[str]:
                return {models[r["a"]] for r in query(sql)}

            assert of("SELECT author AS a FROM rounds") == {"teacher"}
            assert of("SELECT agent AS a FROM attempts") == {"main"}
            assert of("SELECT agent AS a FROM guesses") == {"main"}
            asked = query("SELECT SUM(requests) AS n FROM model_tokens WHERE model = 'teacher' AND phase = 'propose'")
            assert asked == [{"n": 2 * 12}]  # `frozen` is each setter's own model as it is
    judge = ["population.models.main.roles=[set, solve]", "population.models.teacher.roles=[grade]"]
    with Server(model) as server, Arena.create(mixed(tmp_path, "judge", server, *judge, "generations=1")) as arena:
        play(arena)
        models, paid = arena.store.agent_models(), arena.store.query("SELECT DISTINCT agent, role FROM rewards")
        assert {r["role"] for r in paid if models[r["agent"]] == "teacher"} == {"grader"}
        assert {r["role"] for r in paid if models[r["agent"]] == "main"} == {"setter", "solver"}
        assert not arena.store.query("SELECT * FROM guesses")
    with Server(model) as server:
        money = ["limits.money=40", "limits.prices={prompt: 1000000, generated: 1000000}"]
        with Arena.create(mixed(tmp_path, "money", server, *roles, *money)) as arena:
            assert not play(arena)
            assert 40 <= sum(server.usage.values()) < arena.budget.spent.tokens
            assert f"{sum(server.usage.values()):,.2f} USD" in arena.budget.stopped


def other_seed(folder: Path, factor: float) -> Path:
    """The shipped model with weights scaled by a factor."""
    shutil.copytree(SEED_FOLDER, folder, dirs_exist_ok=True)
    weights = load_file(SEED_FOLDER / "model.safetensors")
    save_file({name: w * factor for name, w in weights.items()}, folder / "model.safetensors")
    return folder


@pytest.mark.slow
def test_a_frozen_model_beside_a_trained_one(tmp_path: Path) -> None:
    """Two models on this machine; a changed one is refused when the run resumes."""
    folder = other_seed(tmp_path / "other", 1.01)
    at = [f"run.folder={tmp_path}", "population.models.small={places: [0], model: {path: " + f"{folder}" + "}}"]
    given = [*at, *SMALL, "turnover.every=2", "turnover.consolidate=1", "measure.ratchet.every=1"]

    def config(name: str) -> Config:
        return load_config("configs/tiny.yaml", [*given, f"run.name={name}"])

    with Arena.create(config("calm")) as arena:
        play(arena)
        digest, query = arena.store.digest(), arena.store.query
        small = {a for a, m in arena.store.agent_models().items() if m == "small"}
        assert {r["agent"] for r in query("SELECT agent FROM sleeps")}.isdisjoint(small)
        assert {r["agent"] for r in query("SELECT agent FROM attempts")} & small
        assert not (tmp_path / "calm" / "journal.jsonl").exists()  # nothing is paid for one by one
    died = set[tuple[int, str]]()

    def crash(event: str, data: dict[str, Any]) -> None:
        at = (data.get("generation", 0), data.get("phase", ""))
        if event == "phase" and at in {(1, "turnover"), (2, "solve"), (2, "measure")} and at not in died:
            died.add(at)
            raise Crash

    assert play_through(Arena.create(config("halting")), crash) == digest and len(died) == 3
    with Arena.create(load_config("configs/tiny.yaml", [*given, "run.name=longer", "generations=1"])) as arena:
        play(arena)
    with Arena.open(tmp_path / "longer", ["generations=2"]) as arena:
        play(arena)
        assert arena.store.digest() == digest
    other_seed(folder, 1.02)
    with pytest.raises(ValueError, match=r"was run with model small .* on torch, here it is .* on torch"):
        Arena.open(tmp_path / "calm")


@pytest.mark.slow
def test_the_shipped_config_plays_through_a_server(tmp_path: Path) -> None:
    """configs/mixed.yaml, with a scripted teacher and a miniature with random weights in place of the small model."""
    pytest.importorskip("transformers")
    from tests.helpers.chat_templates import miniature

    sizes = ["generations=2", "rounds.per_agent=3", "measure.per_depth=0", "measure.final_per_depth=1"]
    short = ["rounds.max_tokens=64", "prompts.posts=2", "library.withhold=0"]
    at = [f"run.folder={tmp_path}", f"model.path={miniature(tmp_path / 'miniature', 4096)}"]

    def config(server: Server, *more: str) -> Config:
        return load_config("configs/mixed.yaml", [*at, f"{OTHER}.url={server.url}", *sizes, *short, *more])

    script = ScriptedAgents(make_domains(load_config("configs/mixed.yaml")))
    with Server(script, models=("qwen3:4b",)) as server, Arena.create(config(server)) as arena:
        lines = "\n".join(estimate(arena.config))
        assert f"teacher is asked of {server.url} in all: at most" in lines
        play(arena)
        models, query = arena.store.agent_models(), arena.store.query
        assert {models[r["author"]] for r in query("SELECT author FROM problems WHERE valid")} == {"teacher"}
        assert {models[r["agent"]] for r in query("SELECT agent FROM sleeps WHERE steps > 0")} == {"main"}
        written = query("SELECT author FROM posts WHERE about LIKE 'prose/%'")
        assert written and {models[r["author"]] for r in written} == {"teacher"}
        assert {models[r["agent"]] for r in query("SELECT agent FROM attempts")} == {"main", "teacher"}
        asked = query("SELECT SUM(requests) AS n FROM model_tokens WHERE model = 'teacher'")[0]["n"]
        assert asked == len(server.served) == sum(script.replies.values())


def test_a_model_that_is_not_there_is_named(model: SeedModel, tmp_path: Path) -> None:
    named = r"population\.models\.teacher: .* serves no model 'seed'"
    with Server(model, models=("another",)) as server, pytest.raises(ValueError, match=named):
        Arena.create(mixed(tmp_path, "x", server))
    with pytest.raises(OSError, match=r"population\.models\.teacher: no model server to be reached"):
        Arena.create(mixed(tmp_path, "x", server))
    assert not (tmp_path / "x").exists()
