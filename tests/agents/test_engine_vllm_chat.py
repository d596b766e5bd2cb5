"""Chats through vLLM: the texts of the torch engine, and replies held to a schema.

`make test-vllm` runs this file in an environment that has vLLM; elsewhere it is skipped, saying so.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.adapters import AdapterLayout, Adapters
from agents.checkpoint import BaseModel
from agents.engine import Request
from agents.engine_openai import OpenAIEngine, Server
from agents.engine_torch import TorchEngine
from agents.engine_vllm import VllmEngine, VllmOptions, schema_of, version
from agents.prompt import Chat
from agents.tokenizer import Tokenizer
from arena.config.schema import load_config
from arena.loop import play
from arena.rounds.roles.reply import object_schema
from arena.rounds.roles.voice import Voice
from arena.run.state import Arena

HALF = "\ufffd"
SCHEMA = object_schema(answer={"type": "string", "maxLength": 12})


def chats(n: int, schema: str = "") -> list[Request]:
    asked = [Chat("You are an agent.", f"reverse the list {i} <|im_end|>", schema) for i in range(n)]
    return [Request(f"k{i}", chat, ["a1", "a2", None][i % 3], 24, 0.0) for i, chat in enumerate(asked)]


def test_a_model_that_thinks_first_is_not_held_to_json() -> None:
    asked, thinking = Chat("s", "u", SCHEMA), Chat("s", "u", SCHEMA, thinking=True)
    assert schema_of(Request("k", asked)) == SCHEMA
    assert schema_of(Request("k", thinking)) == schema_of(Request("k", "u")) == ""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if version() is None:
        pytest.skip("vLLM is not installed here: `make test-vllm` runs these")
    from tests.helpers.chat_templates import miniature

    return miniature(tmp_path_factory.mktemp("miniature"), 2048)


@pytest.fixture(scope="module")
def engines(model: Path) -> Iterator[tuple[VllmEngine, TorchEngine]]:
    base, tokenizer = BaseModel.load(model), Tokenizer(model)
    layout = AdapterLayout(base.config, rank=8, alpha=16.0)
    rows = Adapters(base, layout, ["a1", "a2"], layout.fresh("a1").repeat(2, 1) * 1.5)
    vllm, ours = VllmEngine(base, tokenizer, model, VllmOptions(max_rows=16)), TorchEngine(base, tokenizer)
    for engine in (vllm, ours):
        engine.set_adapters(rows)
    yield vllm, ours
    vllm.close()


def test_chats_have_the_torch_engine_s_texts(engines: tuple[VllmEngine, TorchEngine]) -> None:
    vllm, ours = engines
    theirs, expected = vllm.generate(chats(9)), ours.generate(chats(9))
    plain = [[dataclasses.replace(c, logprob=0.0, logprobs=()) for c in done] for done in (theirs, expected)]
    assert plain[0] == plain[1] and len({c.text for c in theirs}) > 1
    for a, b in zip(theirs, expected, strict=True):
        assert a.logprobs == pytest.approx(b.logprobs, abs=1e-3) and len(a.logprobs) == a.generated_tokens


def test_replies_are_held_to_their_schema(engines: tuple[VllmEngine, TorchEngine]) -> None:
    """The model's weights are noise: nothing but the schema makes it speak JSON."""
    vllm, _ = engines
    asked = [dataclasses.replace(r, temperature=1.0, max_tokens=64) for r in chats(12, SCHEMA)]
    done = vllm.generate([*asked, *chats(3)])
    for completion in done[:12]:
        found = json.loads(completion.text, strict=False)
        assert completion.finish == "stop" and list(found) == ["answer"] and len(found["answer"]) <= 12
        taught = Voice(chat=True, structured=True).mark("answer", "")
        assert completion.text.startswith(taught[:-2])  # to the letter
    assert not any(c.text.startswith("{") for c in done[12:])
    assert [c.text for c in vllm.generate(asked)] == [c.text for c in done[:12]]


@pytest.mark.slow
def test_a_run_of_agents_that_are_spoken_to(model: Path, tmp_path: Path) -> None:
    sizes = ["rounds.per_agent=2", "rounds.max_tokens=24", "rounds.guesses=2", "measure.final_per_depth=1"]
    chat = ["engine.kind=vllm", "prompts.style=chat", "prompts.structured=true", "sleep.seed_examples=0"]
    given = [f"model.path={model}", f"run.folder={tmp_path}", "generations=1", *sizes, *chat]
    with Arena.create(load_config("configs/tiny.yaml", given)) as arena:
        play(arena)
        assert len(arena.store.query("SELECT reason FROM problems")) == 3 * 2


@pytest.mark.slow
def test_a_server_of_the_model_words_chats_as_we_do(model: Path, tmp_path: Path) -> None:
    """Benign ones: greedy texts and the tokens of the prompts are ours. Schemas and thinking are understood, so that
    nothing has to be asked for twice."""
    from tests.agents.test_engine_openai_vllm import Served

    os.environ["NO_PROXY"] = "127.0.0.1"
    ours, served = TorchEngine(BaseModel.load(model), Tokenizer(model)), Served(tmp_path / "log", model, 2048)
    asked = [Chat("You are an agent.", f"reverse the list {i}", "", thinking=bool(i % 2)) for i in range(6)]
    requests = [Request(f"k{i}", chat, None, 24, 0.0) for i, chat in enumerate(asked)]
    try:
        served.start()
        engine = OpenAIEngine(Server(served.url, "seed", api="chat"))
        for a, b in zip(engine.generate(requests), ours.generate(requests), strict=True):
            assert (a.text, a.finish) == (b.text.rstrip(HALF).strip(), b.finish)  # servers hold back half characters
            assert (a.prompt_tokens, a.generated_tokens) == (b.prompt_tokens, b.generated_tokens)
        held = [dataclasses.replace(r, temperature=1.0, max_tokens=64) for r in chats(6, SCHEMA)]
        done = engine.generate(held)  # white space is free there, and noise may fill a reply with it
        assert all(c.text.startswith("{") for c in done)
        assert all("answer" in json.loads(c.text, strict=False) for c in done if c.finish == "stop")
        assert not engine._refused
    finally:
        served.kill()
