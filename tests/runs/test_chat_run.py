"""A run of agents that are spoken to: a miniature with a chat template, which answers nonsense."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from agents.checkpoint import BaseModel
from agents.engine import Request
from agents.engine_torch import TorchEngine
from agents.learner import Example, Learner, LearnerConfig
from agents.prompt import Chat
from agents.tokenizer import Tokenizer
from arena.config.schema import load_config
from arena.loop import play
from arena.rounds.roles import solver
from arena.rounds.roles.voice import make_voice
from arena.run.estimate import estimate
from arena.run.state import Arena
from curricula.list_programs import ListPrograms

pytest.importorskip("transformers")
ASKED = Chat("You are a1.", "what is 2 + 2?")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.helpers.chat_templates import miniature

    return miniature(tmp_path_factory.mktemp("miniature"), 2048)


def settings(model: Path, folder: Path, name: str) -> list[str]:
    sizes = ["rounds.per_agent=2", "rounds.max_tokens=16", "rounds.guesses=2", "measure.final_per_depth=1"]
    chat = ["prompts.style=chat", "prompts.personas=[You are careful., You are bold.]", "sleep.seed_examples=4"]
    return [f"model.path={model}", f"run.folder={folder}", f"run.name={name}", "generations=2", *sizes, *chat]


class Cut(Exception):
    """The run is interrupted."""


@pytest.mark.slow
def test_chat_run_trains_and_resumes(model: Path, tmp_path: Path) -> None:
    """What they say is nonsense: all of it is recorded with its reason, and nothing stops."""
    for setter in ("self", "uniform"):
        given = [*settings(model, tmp_path, setter), f"rounds.setter={setter}"]
        with Arena.create(load_config("configs/tiny.yaml", given)) as arena:
            play(arena)
            digest, query = arena.store.digest(), arena.store.query
            table = "problems" if setter == "self" else "attempts"
            said = query(f"SELECT reason, length({'proposal' if setter == 'self' else 'text'}) AS n FROM {table}")
            assert len(said) >= 2 * 3 * 2 and all(row["reason"] != "ok" and row["n"] for row in said)
            assert query("SELECT count(*) AS n FROM guesses WHERE reason != 'ok'")[0]["n"] == 2 * 3 * 2
            slept = query("SELECT steps, tokens, loss FROM sleeps")
            assert len(slept) == 2 * 3 and all(row["steps"] > 0 and row["loss"] > 0 for row in slept)

    def cut(event: str, data: dict[str, Any]) -> None:
        if event == "phase" and (data["generation"], data["phase"]) == (2, "solve"):
            raise Cut

    given = [*settings(model, tmp_path, "cut"), "rounds.setter=uniform"]
    with Arena.create(load_config("configs/tiny.yaml", given)) as arena, pytest.raises(Cut):
        play(arena, cut)
    with Arena.open(tmp_path / "cut") as arena:
        play(arena)
        assert arena.store.digest() == digest


@pytest.mark.slow
def test_chat_run_learns_from_attempts(model: Path, tmp_path: Path) -> None:
    """Policy gradient by step, corrections and a value function over a subword tokenizer; resumed, it is the same."""
    given = ["rounds.setter=uniform", "sleep.objective.kind=policy_gradient", "sleep.objective.baseline=half"]
    given += ["sleep.credit=step", "sleep.attempts=8", "sleep.review=2", "sleep.review_tries=2", "rounds.grade=1"]
    given += ["sleep.grades=2", "sleep.value.examples=4", "sleep.value.stop_below=0.1"]
    with Arena.create(load_config("configs/tiny.yaml", [*settings(model, tmp_path, "whole"), *given])) as arena:
        play(arena)
        digest, query = arena.store.digest(), arena.store.query
        rows = query("SELECT generation, tokens, logprobs, estimates FROM attempts")
        assert rows and all(len(json.loads(r["logprobs"])) == r["tokens"] for r in rows)
        assert all((r["estimates"] is not None) == (r["generation"] > 1) for r in rows)
        assert {r["tries"] for r in query("SELECT tries FROM corrections WHERE NOT correct")} == {2}
        assert all(r["steps"] for r in query("SELECT steps FROM sleeps"))

    def cut(event: str, data: dict[str, Any]) -> None:
        if event == "phase" and (data["generation"], data["phase"]) == (2, "sleep"):
            raise Cut

    config = load_config("configs/tiny.yaml", [*settings(model, tmp_path, "cut"), *given])
    with Arena.create(config) as arena, pytest.raises(Cut):
        play(arena, cut)
    with Arena.open(tmp_path / "cut") as arena:
        play(arena)
        assert arena.store.digest() == digest


def test_chat_answers_are_trained_in_place(model: Path) -> None:
    """After a few steps the engine says what was taught, thinking shut, and ends its turn."""
    base, tokenizer = BaseModel.load(model), Tokenizer(model)
    learner = Learner(base, tokenizer, LearnerConfig(rank=8, alpha=64.0, learning_rate=3e-2, batch=1, average=0.0))
    learner.add("a1", learner.layout.fresh("a1"))
    answer = "<answer>\n4 <|im_end|>\n</answer>"
    before = learner.score([Example("a1", ASKED, answer)])[0]
    for night in range(12):
        learner.sleep([Example("a1", ASKED, answer)] * 4, str(night))
    after = learner.score([Example("a1", ASKED, answer)])[0]
    assert after.nats < 0.2 * before.nats and after.tokens == before.tokens == len(tokenizer.encode([answer])[0]) + 1
    engine = TorchEngine(base, tokenizer)
    engine.set_adapters(learner.acting())
    said = engine.generate([Request("k", ASKED, "a1", 60, 0.0), Request("l", ASKED, None, 60, 0.0)])
    assert (said[0].text, said[0].finish) == (answer, "stop") and said[1].text != answer
    assert said[0].generated_tokens == after.tokens


def test_estimate_counts_chat_tokens(model: Path, tmp_path: Path) -> None:
    config = load_config("configs/tiny.yaml", [*settings(model, tmp_path, "none"), "engine.max_rows=6"])
    lines = estimate(config)
    found = re.search(r"prompts of ([\d,]+) tokens, replies of 16 \(at most 16\)", lines[0])
    assert found
    words, problem = ListPrograms(), ListPrograms().heldout("dev", 3)[0]
    voice = make_voice(config, lambda agent: 0)
    (ids,) = Tokenizer(model).encode_prompts([solver.ask(voice, words, "a1", problem, ())])
    assert 0.8 * len(ids) < float(found[1].replace(",", "")) < 1.5 * len(ids)
    with pytest.raises(ValueError, match=r"no chat template: use prompts\.style=bare"):
        estimate(load_config("configs/tiny.yaml", ["prompts.style=chat"]))
