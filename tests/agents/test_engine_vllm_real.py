"""A real language model through vLLM, in this process with adapters and on a server: the texts of the torch engine.

`make test-vllm` runs this file in an environment that has vLLM; elsewhere it is skipped, saying so.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from agents.adapters import Adapters
from agents.checkpoint import BaseModel
from agents.engine import Completion, Request
from agents.engine_openai import OpenAIEngine
from agents.engine_openai import Server as Settings
from agents.engine_torch import TorchEngine
from agents.engine_vllm import VllmEngine, VllmOptions, version
from agents.learner import Example, Learner, LearnerConfig
from agents.tokenizer import Tokenizer
from arena.rounds.roles import solver
from arena.rounds.roles.voice import Voice
from curricula.word_problems import WordProblems
from tests.agents.test_engine_openai_vllm import Served
from tests.helpers.real_model import real_model

pytestmark = [
    pytest.mark.llm,
    pytest.mark.slow,
    pytest.mark.skipif(version() is None, reason="vLLM is not installed here: `make test-vllm` runs this"),
]
NAMES = ["ada", "ben"]
POSITIONS = 1024
ALIKE = 20
"""Letters at the beginning of a reply that are equal on every processor; later, sums that are rounded otherwise may
decide between two tokens of nearly equal probability."""


def taught(base: BaseModel, tokenizer: Tokenizer) -> Adapters:
    """Two adapters that differ from each other."""
    learner = Learner(base, tokenizer, LearnerConfig(rank=8, alpha=16.0, learning_rate=5e-3, batch=4, average=0.5))
    for name in NAMES:
        learner.add(name, learner.layout.fresh(name))
    learner.sleep([Example(name, r.prompt, f"{name}: 12") for name in NAMES for r in asked(16, None)], "test")
    return learner.acting()


def asked(n: int, adapter: str | None) -> list[Request]:
    voice, domain, rng = Voice(chat=True, brief=True), WordProblems(), random.Random(3)
    problems = [domain.random_problem(rng, 1) for _ in range(n)]
    return [
        Request(f"{adapter}/{i}", solver.ask(voice, domain, "ada", p, ()), adapter, 32, 0.0)
        for i, p in enumerate(problems)
    ]


def agree(theirs: list[Completion], ours: list[Completion]) -> None:
    """Equal prompts, equal beginnings, and most replies equal to the end."""
    assert [a.prompt_tokens for a in theirs] == [a.prompt_tokens for a in ours]
    pairs = [(a.text, b.text) for a, b in zip(theirs, ours, strict=True)]
    assert all(a[:ALIKE] == b[:ALIKE] for a, b in pairs), pairs
    assert sum(a == b for a, b in pairs) >= 0.7 * len(pairs), pairs


@pytest.fixture(scope="module")
def ours() -> TorchEngine:
    folder = real_model()
    base, tokenizer = BaseModel.load(folder, "float32"), Tokenizer(folder)
    made = TorchEngine(base, tokenizer)
    made.set_adapters(taught(base, tokenizer))
    return made


def test_replies_in_process_with_adapters(ours: TorchEngine) -> None:
    """The base model and two adapters in one batch, in float32."""
    requests = [r for name in (None, *NAMES) for r in asked(6, name)]
    options = VllmOptions(max_rows=32, context=POSITIONS)
    vllm = VllmEngine(ours.base, ours.tokenizer, real_model(), options)
    try:
        vllm.set_adapters(ours.adapters)
        theirs = vllm.generate(requests)
    finally:
        vllm.close()
    agree(theirs, ours.generate(requests))
    base, *others = (tuple(c.text for c in theirs[i : i + 6]) for i in (0, 6, 12))
    assert len({base, *others}) == 3, "adapters that change nothing"


def test_replies_of_a_server(ours: TorchEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chats through vLLM's own server, which wraps them in the model's template."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    served = Served(tmp_path / "server.log", real_model(), POSITIONS)
    served.start()
    try:
        theirs = OpenAIEngine(Settings(served.url, "seed", "chat", concurrency=4)).generate(asked(12, None))
    finally:
        served.kill()
    agree(theirs, ours.generate(asked(12, None)))
