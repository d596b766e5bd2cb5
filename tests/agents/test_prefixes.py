"""Shared prefixes change what is computed, not the result: attention, generation, training, scores."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from agents import attention, learner, prefixes
from agents import examples as examples_module
from agents.adapters import Adapters
from agents.attention import TorchOps
from agents.checkpoint import BaseModel
from agents.engine import Request
from agents.engine_torch import TorchEngine
from agents.learner import Example, Learner, LearnerConfig
from agents.packing import Packing
from agents.prefixes import Family, shared_prefixes
from agents.tokenizer import Tokenizer
from arena.config.shipped import SEED_FOLDER


@given(st.lists(st.lists(st.integers(0, 1), min_size=1, max_size=8), min_size=1, max_size=8), st.integers(1, 4))
def test_groups_share_prefixes(sequences: list[list[int]], least: int) -> None:
    groups = shared_prefixes(sequences, least)
    assert sorted(i for _, members in groups for i in members) == list(range(len(sequences)))
    for length, members in groups:
        assert (length >= least and len(members) > 1) or (length == 0 and len(members) == 1)
        assert len({tuple(sequences[i][:length]) for i in members}) == 1
        assert all(len(sequences[i]) > length for i in members)


def test_most_tokens_are_shared() -> None:
    a, b = list(range(10)), list(range(20, 26))
    assert shared_prefixes([[*a, 1], [*b, 1], [*a, 2], [*b, 2], [7] * 9, [*a, 3]], 2) == [
        (10, [0, 2, 5]),
        (0, [4]),
        (6, [1, 3]),
    ]


def test_family_keeps_the_inputs() -> None:
    inputs = [[1, 2, 3, 9], [1, 2, 3, 8, 7], [4]]
    family = Family(inputs, inputs, True)
    assert family.tokens == 10 == sum(map(len, inputs))  # three tokens are too few to share
    for place, ids in zip(family.at, inputs, strict=True):
        assert family.sequences[place] == ids and family.parents[place] == -1


@pytest.fixture(scope="module")
def base() -> BaseModel:
    return BaseModel.load(SEED_FOLDER)


@pytest.fixture
def sharing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The shipped model handled as a large one, with prefixes from four tokens on."""
    monkeypatch.setattr(attention, "SHARE_ABOVE", 0)
    monkeypatch.setattr(examples_module, "LEAST", 4)
    monkeypatch.setattr(prefixes, "LEAST", 4)
    monkeypatch.setattr(shared_prefixes, "__defaults__", (4,))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_attention_with_prefix(base: BaseModel, dtype: torch.dtype, sharing: None) -> None:
    """Attention and its gradients equal those of the same sequences written out in full."""
    c = base.config
    torch.manual_seed(0)
    width = (c.num_attention_heads + 2 * c.num_key_value_heads) * c.head_dim
    ops = TorchOps(c, "cpu", dtype)
    tree = Packing([5, 3, 2, 6, 4, 7], parents=[-1, 0, 0, -1, -1, 4])
    rows = [[*range(5), 5, 6, 7], [*range(5), 8, 9], [*range(10, 16)], [*range(16, 27)]]
    qkv = torch.randn(tree.total, width).to(dtype)
    results = []
    for shared in (True, False):
        x = qkv.clone().requires_grad_()
        if shared:
            y = ops.attention(x, tree)
            own = torch.cat([y[5:8], y[8:10], y[10:16], y[20:27]])
        else:
            y = ops.attention(x[[i for row in rows for i in row]], Packing([len(row) for row in rows]))
            own = torch.cat([y[5:8], y[13:15], y[15:21], y[25:32]])
        weight = torch.randn(own.shape, generator=torch.Generator().manual_seed(1)).to(dtype)
        results.append((own, torch.autograd.grad((own * weight).sum(), x)[0]))
    close = {"atol": 2e-5} if dtype == torch.float32 else {"atol": 0.06, "rtol": 0.06}
    for a, b in zip(*results, strict=True):
        assert torch.allclose(a.float(), b.float(), **close)
    reference = TorchOps(c, "cpu", dtype)
    reference.shares = False
    plain = reference.attention(qkv[[i for row in rows for i in row]], Packing([len(row) for row in rows]))
    assert torch.allclose(plain[15:21].float(), results[0][0][5:11].float(), **close)


START = "rev inc sort dec | 3 1 4"  # a prefix of nine words
PROMPTS = [f"solve {START} {tail} think" for tail in ("1 5", "9 2 6", "5", "3 5 8 9")]


def population(base: BaseModel, tokens: int = 4096) -> Learner:
    made = Learner(base, Tokenizer(SEED_FOLDER), LearnerConfig(rank=4, alpha=8.0, learning_rate=1e-3, tokens=tokens))
    for name in ("a", "b"):
        row = made.layout.fresh(name)
        made.add(name, row + 0.02 * torch.randn(row.shape, generator=torch.Generator().manual_seed(3)))
    return made


def test_generation_with_prefixes(base: BaseModel, monkeypatch: pytest.MonkeyPatch, sharing: None) -> None:
    """Greedy tokens are equal and log-probabilities agree within 1e-4; most prompt tokens are not computed."""
    made, found, computed = population(base), [], []
    plain = TorchEngine(base, made.tokenizer)
    monkeypatch.setattr(attention, "SHARE_ABOVE", 10**9)
    for engine in (TorchEngine(base, made.tokenizer, 5), plain):
        engine.ops = attention.TorchOps(base.config, "cpu", torch.float32)
        engine.ops.shares = engine is not plain
        engine.set_adapters(Adapters(base, made.layout, made.names, made.state["acting"]))
        prefill = attention.TorchCache.prefill

        def counted(self: attention.TorchCache, layer: int, qkv: torch.Tensor) -> torch.Tensor:
            computed[-1] += len(qkv) if layer == 0 else 0
            return prefill(self, layer, qkv)  # noqa: B023

        computed.append(0)
        with monkeypatch.context() as patch:
            patch.setattr(attention.TorchCache, "prefill", counted)
            requests = [Request(f"{n}{p}", p, n, 12, 0.0) for n in ("a", None, "b") for p in PROMPTS]
            found.append(engine.generate(requests))
    assert [c.text for c in found[0]] == [c.text for c in found[1]]
    assert all(abs(a.logprob - b.logprob) < 1e-4 for a, b in zip(*found, strict=True))
    assert computed[0] < 0.75 * computed[1]


@pytest.mark.parametrize("tokens", [4096, 40])
def test_sleep_with_prefixes(base: BaseModel, tokens: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Training and scores agree with those without shared prefixes, also in several micro-batches."""
    examples = [Example(n, p, "rev 4 1 3 answer 1") for n in ("a", "b") for p in PROMPTS] + [Example("b", "", "rev")]
    results = []
    for shares in (True, False):
        made = population(base, tokens)
        made.ops = TorchOps(base.config, "cpu", torch.float32)
        made.ops.shares = shares
        with monkeypatch.context() as patch:
            if shares:
                patch.setattr(examples_module, "LEAST", 4)
                patch.setattr(shared_prefixes, "__defaults__", (4,))
            before = made.score(examples)
            reports = made.sleep(examples, "seed")
        results.append((before, reports, made.state["first_moment"]))
    (scores, reports, moments), (scores_, reports_, moments_) = results
    assert all(abs(a.nats - b.nats) < 1e-4 and a.tokens == b.tokens for a, b in zip(scores, scores_, strict=True))
    assert [r.tokens for r in reports] == [r.tokens for r in reports_]
    assert all(abs(a.loss - b.loss) < 1e-5 for a, b in zip(reports, reports_, strict=True))
    assert torch.allclose(moments, moments_, atol=1e-6) and float(moments.abs().max()) > 1e-4


def test_recomputed_layers(base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Activation checkpointing gives the same gradients."""
    examples = [Example(n, p, "rev 4 1 3 answer 1") for n in ("a", "b") for p in PROMPTS]
    moments = []
    for recompute in (False, True):
        calls = []

        def decide(*_: object, recompute: bool = recompute, calls: list[bool] = calls) -> bool:
            calls.append(recompute)
            return recompute

        monkeypatch.setattr(learner, "recomputes", decide)
        made = population(base)
        made.sleep(examples, "seed")
        assert calls
        moments.append(made.state["first_moment"])
    assert torch.equal(*moments)
