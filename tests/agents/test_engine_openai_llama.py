"""The engine for OpenAI-compatible servers against llama.cpp's own server of a real model, on loopback."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.checkpoint import BaseModel
from agents.engine import Request
from agents.engine_openai import OpenAIEngine, Server
from agents.engine_torch import TorchEngine
from agents.prompt import Chat
from agents.tokenizer import Tokenizer
from arena.config.schema import load_config
from arena.loop import play
from arena.run.state import Arena
from arena.tools.bench import llama_peer
from arena.tools.bench.workload import NEW_TOKENS, Batch
from tests.helpers.llama_server import llama_server, require_llama, write_served_model
from tests.helpers.real_model import real_model

pytestmark = [pytest.mark.llm, pytest.mark.slow]
QUESTIONS = [
    Chat("Answer with one word.", "What is the capital of France?"),
    Chat("You are a helpful assistant.", "Tom has 3 apples and buys 4 more. How many has he? Explain in one sentence."),
    Chat("You are a poet.", "Write two lines about the sea."),
    Chat("Be brief.", "Why is the sky blue?"),
    Chat("You are a programmer.", "Write a Python function that adds two numbers."),
]
SMALL = ["generations=1", "rounds.per_agent=1", "rounds.grade=1", "rounds.max_tokens=40", "measure.per_depth=0",
         "measure.final_per_depth=1", "measure.depths=[1]"]  # fmt: skip


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    require_llama()
    file = write_served_model(tmp_path_factory.mktemp("llama") / "smollm2.gguf", real_model())
    with llama_server(file) as address, pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "127.0.0.1")
        yield address


def counted(url: str) -> dict[str, int]:
    """Tokens that the server has read, from its cache too, and generated since it started."""
    text = urllib.request.urlopen(f"{url.removesuffix('/v1')}/metrics").read().decode()
    found = {name: int(n) for name, n in re.findall(r"^llamacpp:(\w+_total) (\d+)$", text, re.MULTILINE)}
    read = found["prompt_tokens_total"] + found["prompt_tokens_cached_total"]
    return {"p": read, "g": found["tokens_predicted_total"]}


def test_greedy_answers_are_those_of_torch(url: str) -> None:
    """Five of five are equal on the processor where it was measured; another one may round one of them differently."""
    asked = [Request(str(i), chat, None, 48, 0.0) for i, chat in enumerate(QUESTIONS)]
    theirs = OpenAIEngine(Server(url, "smollm2", "chat", concurrency=2)).generate(asked)
    ours = TorchEngine(BaseModel.load(real_model(), "float32"), Tokenizer(real_model())).generate(asked)
    assert [a.prompt_tokens for a in theirs] == [a.prompt_tokens for a in ours]
    assert sum(a.text == b.text for a, b in zip(theirs, ours, strict=True)) >= 4
    assert all(a.text[:20] == b.text[:20] for a, b in zip(theirs, ours, strict=True))


@pytest.mark.parametrize("setter", ["self", "uniform"])
def test_ollama_config_plays_a_generation(url: str, tmp_path: Path, setter: str) -> None:
    """Replies are constrained to JSON, and parsed or refused with a reason. Tokens are those that the server counts.

    The model sets nothing valid, so solvers, graders and authors reply where a program sets the problems.
    """
    served = [f"engine.openai.url={url}", "engine.openai.model=smollm2", "engine.openai.concurrency=2"]
    given = [*SMALL, *served, f"run.folder={tmp_path}", f"rounds.setter={setter}"]
    before = counted(url)
    with Arena.create(load_config("configs/ollama.yaml", given)) as arena:
        assert play(arena)
        query = arena.store.query
        problems = query("SELECT valid, reason, proposal FROM problems")
        attempts = query("SELECT correct, reason, text FROM attempts")
        grades = query("SELECT answer, says_correct, text FROM grades")
        refused = query("SELECT reason, title AS text FROM refusals")
        posts = query("SELECT id FROM posts WHERE about LIKE 'prose/%'")
        (sums,) = query("SELECT SUM(prompt_tokens) AS p, SUM(generated_tokens) AS g FROM phases")
    assert len(problems) == 4 and all((r["reason"] == "ok") == r["valid"] and r["reason"] for r in problems)
    assert all((r["reason"] == "ok") == r["correct"] and r["reason"] for r in attempts)
    assert all((r["answer"] is None) == (r["says_correct"] is None) for r in grades)
    assert all(r["reason"] for r in refused)
    if setter == "self":
        replies = [r["proposal"] for r in problems]
    else:
        assert (len(attempts), len(grades), len(refused) + len(posts)) == (8, 4, 4)
        replies = [r["text"] for r in [*attempts, *grades, *refused]]
    assert all(text.lstrip().startswith("{") for text in replies), replies
    assert sums == {name: n - before[name] for name, n in counted(url).items()}


def test_side_of_the_benchmark(tmp_path: Path) -> None:
    """Every row gets as many new tokens as on the other sides, and processor time is the server's."""
    require_llama()
    side = llama_peer.Generate(write_served_model(tmp_path / "smollm2.gguf", real_model()), 2, 1)
    try:
        work = side.run(Batch(["The sky is", "One and two are"], [None, None]))
    finally:
        side.close()
    assert work.tokens == 2 * NEW_TOKENS and work.child_cpu > 0
