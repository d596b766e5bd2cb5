"""The torch engine: mixed batches, counted noise, Hugging Face formats."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from agents.adapters import Adapters
from agents.attention import Ops, TorchOps, sample
from agents.checkpoint import BaseModel
from agents.engine import Request, counted_noise
from agents.engine_torch import TorchEngine
from agents.fused_ops import make_ops
from agents.model import StackedWeights
from agents.tokenizer import Tokenizer
from arena.config.shipped import SEED_FOLDER
from curricula.list_school import SeedData
from tests.helpers.logits import full_logits


def prompts(n: int, seed: int = 0) -> list[str]:
    rng, data = random.Random(seed), SeedData()
    return [data.draw(rng).prompt for _ in range(n)]


def mixed(n: int, temperature: float) -> list[Request]:
    return [
        Request(f"k{i}", p, (None, "a", "b", "c")[(i * i) % 4], 8 + 7 * (i % 5), temperature)
        for i, p in enumerate(prompts(n))
    ]


def operations(base: BaseModel, kind: str) -> Ops:
    return (
        make_ops(base.config, "cpu", torch.float32) if kind == "fused" else TorchOps(base.config, "cpu", torch.float32)
    )


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_completion_independent_of_batch(engine: TorchEngine, temperature: float) -> None:
    requests = mixed(60, temperature)
    together = engine.generate(requests)
    alone = [engine.generate([r])[0] for r in requests[:20]]
    assert [c.text for c in together[:20]] == [c.text for c in alone]
    for a, b in zip(together, alone, strict=False):
        assert a.logprob == pytest.approx(b.logprob, abs=1e-3 * max(1, a.generated_tokens))
    shuffled = random.Random(1).sample(requests, len(requests))
    again = {c.key: c.text for c in engine.generate(shuffled)}
    assert again == {c.key: c.text for c in together}


def test_the_same_batch_twice_is_equal_to_the_bit(engine: TorchEngine) -> None:
    assert engine.generate(mixed(50, 1.0)) == engine.generate(mixed(50, 1.0))


def test_micro_batches_give_the_same_texts(engine: TorchEngine, base: BaseModel, tokenizer: Tokenizer) -> None:
    small = TorchEngine(base, tokenizer, max_rows=7)
    small.set_adapters(engine.adapters)
    assert [c.text for c in small.generate(mixed(40, 1.0))] == [c.text for c in engine.generate(mixed(40, 1.0))]


def test_adapters_of_a_mixed_batch_speak_differently(engine: TorchEngine) -> None:
    texts = {a: [engine.generate([Request("k", p, a, 40, 0.0)])[0].text for p in prompts(12)] for a in (None, "a", "b")}
    assert texts[None] != texts["a"] != texts["b"]


@pytest.mark.parametrize("kind", ["fused", "torch"])
def test_logits_of_packed_rows_equal_those_alone(
    base: BaseModel, tokenizer: Tokenizer, adapters: Adapters, kind: str
) -> None:
    rows = tokenizer.encode(["solve rev inc | 3 1 4 think", "propose", "lib w7 = rev inc ; solve w7 | 3 1 4 think"])
    ops, weights = operations(base, kind), adapters.weights(["b"])
    for ids, packed in zip(rows, full_logits(weights, rows, ops), strict=True):
        assert torch.allclose(packed, full_logits(weights, [ids], ops)[0], atol=1e-4)


@pytest.mark.parametrize("kind", ["fused", "torch"])
def test_the_shipped_model_gives_transformers_logits(base: BaseModel, tokenizer: Tokenizer, kind: str) -> None:
    transformers = pytest.importorskip("transformers")
    model = transformers.AutoModelForCausalLM.from_pretrained(SEED_FOLDER, dtype=torch.float32)
    theirs = transformers.AutoTokenizer.from_pretrained(SEED_FOLDER)
    rows = tokenizer.encode(prompts(20))
    ours = full_logits(StackedWeights.of_base(base), rows, operations(base, kind))
    for text, ids, packed in zip(prompts(20), rows, ours, strict=True):
        assert theirs(text, add_special_tokens=False)["input_ids"] == ids
        with torch.no_grad():
            assert torch.allclose(packed, model(torch.tensor([ids])).logits[0], atol=1e-4)


def test_exported_adapters_speak_the_same_in_peft(engine: TorchEngine, adapters: Adapters, tmp_path: Path) -> None:
    transformers, peft = pytest.importorskip("transformers"), pytest.importorskip("peft")
    row = adapters.flat[1]
    adapters.layout.save_peft(row, tmp_path / "b", str(SEED_FOLDER))
    assert torch.equal(adapters.layout.load_peft(tmp_path / "b"), row)
    base = transformers.AutoModelForCausalLM.from_pretrained(SEED_FOLDER, dtype=torch.float32)
    tokenizer = transformers.AutoTokenizer.from_pretrained(SEED_FOLDER)
    model = peft.PeftModel.from_pretrained(base, tmp_path / "b").eval()
    for prompt in prompts(8, seed=3):
        ours = engine.generate([Request("k", prompt, "b", 40, 0.0)])[0].text
        inputs = tokenizer(prompt, return_tensors="pt", return_token_type_ids=False)
        with torch.no_grad():
            out = model.generate(**inputs, max_new_tokens=40, do_sample=False)[0, inputs["input_ids"].shape[1] :]
        assert tokenizer.decode(out, skip_special_tokens=True) == ours


def test_noise_is_counted_and_uniform() -> None:
    one, two = counted_noise(["x", "y"], 50), counted_noise(["y", "z", "x"], 20)
    assert np.array_equal(one[0, :20], two[2]) and np.array_equal(one[1, :20], two[0])
    many = counted_noise([f"k{i}" for i in range(400)], 50).ravel()
    assert abs(many.mean() - 0.5) < 0.01 and abs(many.var() - 1 / 12) < 0.005 and many.min() >= 0 and many.max() < 1
    assert abs(np.corrcoef(many[:-1], many[1:])[0, 1]) < 0.03


def test_sampling_distribution_and_nucleus() -> None:
    """Samples follow the distribution, and top-p keeps the nucleus only."""
    logits = torch.tensor([[0.0, 1.0, 2.0, -1.0]]).repeat(20000, 1)
    noise = torch.from_numpy(counted_noise([f"s{i}" for i in range(20000)], 1)[:, 0]).float()
    ones = torch.ones(20000)
    chosen, logprob = sample(logits, ones, ones, noise)
    share = torch.bincount(chosen, minlength=4) / 20000
    assert torch.allclose(share, logits[0].softmax(-1), atol=0.015)
    assert torch.allclose(logprob, logits.log_softmax(-1).gather(1, chosen[:, None])[:, 0])
    nucleus, _ = sample(logits, ones, ones * 0.8, noise)
    assert set(nucleus.tolist()) == {1, 2}
    greedy, _ = sample(logits, ones * 0, ones, noise)
    assert set(greedy.tolist()) == {2}


def test_stop_strings_and_length_end_a_completion(engine: TorchEngine) -> None:
    prompt = "solve rev inc | 3 1 4 think"
    full = engine.generate([Request("k", prompt, None, 40)])[0]
    assert full.finish == "stop" and full.text == "rev 4 1 3 ; inc 5 2 4 answer 5 2 4"
    assert full.prompt_tokens == 8 and full.generated_tokens == 14  # 13 words and the end
    stopped = engine.generate([Request("k", prompt, None, 40, stop=("answer",))])[0]
    assert stopped.text == "rev 4 1 3 ; inc 5 2 4" and stopped.finish == "stop"
    short = engine.generate([Request("k", prompt, None, 3)])[0]
    assert short.text == "rev 4 1" and short.finish == "length" and short.generated_tokens == 3


def test_bad_requests_are_refused_by_name(engine: TorchEngine) -> None:
    with pytest.raises(ValueError, match=r"'mine'.*do not fit"):
        engine.generate([Request("mine", "rev " * 300, None)])
    with pytest.raises(ValueError, match="'empty'"):
        engine.generate([Request("empty", "", None)])
    with pytest.raises(ValueError, match="no adapter named 'zoe'"):
        engine.generate([Request("k", "propose", "zoe")])
    assert engine.generate([]) == []


def test_unknown_words_are_legal_in_a_prompt(engine: TorchEngine) -> None:
    assert engine.generate([Request("k", "solve ‽ 𝔘nicode | 3 1 think", "a", 5)])[0].prompt_tokens == 7


def test_damaged_model_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"config\.json|cannot load"):
        BaseModel.load(tmp_path)
    (tmp_path / "config.json").write_text((SEED_FOLDER / "config.json").read_text())
    (tmp_path / "model.safetensors").write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00garbage!")
    with pytest.raises(ValueError, match="cannot load a model from"):
        BaseModel.load(tmp_path)
    with pytest.raises(ValueError, match=r"tokenizer\.json"):
        Tokenizer(tmp_path)


def test_torch_and_fused_kernels_agree(engine: TorchEngine, base: BaseModel) -> None:
    """Torch operations and fused kernels give the same texts."""
    requests = mixed(60, 0.0) + [replace(r, key=f"s{r.key}", temperature=0.8) for r in mixed(60, 0.0)]
    fused = engine.generate(requests)
    engine.ops = operations(base, "torch")
    plain = engine.generate(requests)
    assert [c.text for c in fused] == [c.text for c in plain]
    assert [c.logprob for c in fused] == pytest.approx([c.logprob for c in plain], abs=2e-3)


def test_factored_and_merged_adapters_write_the_same(engine: TorchEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    merged = engine.generate(mixed(60, 0.0))
    monkeypatch.setattr("agents.adapters.MERGE_BELOW", 0)
    factored = engine.generate(mixed(60, 0.0))
    assert [c.text for c in merged] == [c.text for c in factored]


def test_min_tokens(engine: TorchEngine) -> None:
    """The end of text is not sampled before `min_tokens` tokens."""
    requests = [Request(f"k{i}", p, "a", 20, 1.0, min_tokens=20 * (i % 2)) for i, p in enumerate(prompts(20))]
    found = engine.generate(requests)
    assert all(c.generated_tokens == 20 and c.finish == "length" for c in found[1::2])
    assert any(c.generated_tokens < 20 and c.finish == "stop" for c in found[::2])


def test_shared_prompt_changes_nothing(engine: TorchEngine) -> None:
    """Attempts at one prompt are the same as each alone."""
    prompt = "solve rev inc | 3 1 4 think"
    requests = [Request(f"k{i}", prompt, "a", 30, 3.0) for i in range(20)]
    together = engine.generate(requests)
    assert [c.text for c in together] == [engine.generate([r])[0].text for r in requests]
    assert len({c.text for c in together}) > 1  # the noise is each attempt's own


def test_a_nucleus_beside_plain_rows_leaves_them_alone(engine: TorchEngine) -> None:
    plain = [Request(f"k{i}", p, "b", 30, 1.0) for i, p in enumerate(prompts(10))]
    narrow = [replace(r, key=f"n{r.key}", top_p=1e-6) for r in plain]
    both = engine.generate(plain + narrow)
    assert [c.text for c in both[:10]] == [c.text for c in engine.generate(plain)]
    greedy = engine.generate([replace(r, temperature=0.0) for r in plain])
    assert [c.text for c in both[10:]] == [c.text for c in greedy]
