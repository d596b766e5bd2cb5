"""Engine and learner on a GPU: the same results as on the CPU in float32; half precision works."""

from __future__ import annotations

import pytest
import torch

from agents.adapters import AdapterLayout, Adapters
from agents.checkpoint import BaseModel
from agents.engine import Request
from agents.engine_torch import TorchEngine
from agents.learner import Example, Learner, LearnerConfig
from agents.tokenizer import Tokenizer
from arena.config.shipped import SEED_FOLDER

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU here"),
]
PROMPTS = ("solve rev inc | 3 1 4 think", "propose", "solve sort dbl tail | 9 2 5 think")


def speak(device: str, dtype: str, factored: bool, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr("agents.adapters.MERGE_BELOW", 0 if factored else 4_000_000)
    base, tokenizer = BaseModel.load(SEED_FOLDER, dtype, device), Tokenizer(SEED_FOLDER)
    layout = AdapterLayout(base.config, 8, 16.0)
    rows = torch.stack([layout.fresh(n) for n in "abc"])
    rows += 0.02 * torch.randn(rows.shape, generator=torch.Generator().manual_seed(1))
    engine = TorchEngine(base, tokenizer, max_rows=7)
    engine.set_adapters(Adapters(base, layout, ["a", "b", "c"], rows.to(device)))
    names = (None, "a", "b", "c")
    requests = [Request(f"k{i}", PROMPTS[i % 3], names[i * i % 4], 8 + 7 * (i % 5), 0.0) for i in range(40)]
    return [c.text for c in engine.generate(requests)]


@pytest.mark.parametrize("factored", [False, True])
def test_greedy_texts_equal_cpu(factored: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.backends.cuda.matmul.allow_tf32 = False
    assert speak("cuda", "float32", factored, monkeypatch) == speak("cpu", "float32", factored, monkeypatch)


@pytest.mark.parametrize("factored", [False, True])
def test_half_precision_generates(factored: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = speak("cuda", "bfloat16", factored, monkeypatch)
    assert sum("answer" in t for t in texts) > 5


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_training_equals_cpu(dtype: str) -> None:
    found = []
    for device in ("cpu", "cuda"):
        base = BaseModel.load(SEED_FOLDER, dtype if device == "cuda" else "float32", device)
        learner = Learner(base, Tokenizer(SEED_FOLDER), LearnerConfig(8, 16.0, batch=4))
        for name in "ab":
            learner.add(name, learner.layout.fresh(name))
        examples = [Example(n, "propose", "tail tail tail | 9 9 9") for n in "ab"] * 12
        found.append([r.loss for r in learner.sleep(examples, "s")])
    assert found[0] == pytest.approx(found[1], rel=0.01 if dtype == "float32" else 0.1)
