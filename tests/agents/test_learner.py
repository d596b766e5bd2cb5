"""Sleep: one mixed batch for all agents, with a separate optimiser for each."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from agents.attention import TorchOps
from agents.checkpoint import BaseModel
from agents.learner import Example, Learner, LearnerConfig
from agents.tokenizer import Tokenizer
from curricula.list_school import SeedData

CONFIG = LearnerConfig(rank=4, alpha=8, learning_rate=5e-3, batch=8)


def learner(base: BaseModel, tokenizer: Tokenizer, names: str = "abc", config: LearnerConfig = CONFIG) -> Learner:
    made = Learner(base, tokenizer, config)
    for name in names:
        made.add(name, made.layout.fresh(f"fresh/{name}"))
    return made


def examples(agent: str, n: int, seed: int = 0) -> list[Example]:
    rng, data = random.Random(f"{seed}/{agent}"), SeedData()
    return [Example(agent, e.prompt, e.completion) for e in (data.draw(rng) for _ in range(n))]


def test_mixed_batch_equals_single_agents(base: BaseModel, tokenizer: Tokenizer) -> None:
    """The gradients (first moments after one step) agree. Updates are not compared, because Adam amplifies rounding
    where gradients are 0."""
    together, apart = learner(base, tokenizer, ""), learner(base, tokenizer, "")
    for made in (together, apart):
        for name in "abc":
            noise = torch.randn(made.layout.size, generator=torch.Generator().manual_seed(ord(name)))
            made.add(name, made.layout.fresh(name) + 0.02 * noise)
    ragged = {"a": examples("a", 8), "b": examples("b", 3), "c": examples("c", 6)}
    mixed = together.sleep([e for rows in ragged.values() for e in rows], "s")
    alone = [apart.sleep(rows, "s")[0] for rows in ragged.values()]
    for one, other in zip(mixed, alone, strict=True):
        assert (one.agent, one.examples, one.tokens, one.steps) == (other.agent, other.examples, other.tokens, 1)
        assert one.loss == pytest.approx(other.loss, abs=1e-5)
    mine, theirs = (made.state["first_moment"] for made in (together, apart))
    assert mine.norm(dim=1).min() > 0
    assert ((mine - theirs).norm(dim=1) / mine.norm(dim=1)).max() < 1e-3


def test_absent_agents_are_unchanged(base: BaseModel, tokenizer: Tokenizer) -> None:
    made = learner(base, tokenizer)
    made.sleep(examples("a", 10) + examples("b", 10), "first")
    before = {k: v.clone() for k, v in made.state.items()}
    made.sleep(examples("a", 10), "second")
    for key, value in made.state.items():
        assert torch.equal(value[1:], before[key][1:]), key
    assert not torch.equal(made.state["trained"][0], before["trained"][0])


def test_all_examples_are_used(base: BaseModel, tokenizer: Tokenizer) -> None:
    reports = learner(base, tokenizer).sleep(examples("a", 3) + examples("b", 30) + examples("c", 17), "s")
    assert [(r.agent, r.examples) for r in reports] == [("a", 3), ("b", 30), ("c", 17)]
    assert all(r.tokens > 0 and r.steps > 0 and 0 < r.loss < 10 for r in reports)


def test_first_update_equals_torch_adamw(base: BaseModel, tokenizer: Tokenizer) -> None:
    made = learner(base, tokenizer, "a")
    start = made.state["trained"].clone()
    parameter = torch.nn.Parameter(start.clone())
    optimizer = torch.optim.AdamW([parameter], lr=5e-3, betas=(0.9, 0.98), eps=1e-8, weight_decay=0.0)
    for step in range(3):
        gradient = torch.randn(start.shape, generator=torch.Generator().manual_seed(step))
        gradient = gradient / gradient.norm()  # clipped to norm 1
        made._update(torch.tensor([0]), gradient.clone())
        parameter.grad = gradient.clone()
        optimizer.step()
    assert torch.allclose(made.state["trained"], parameter.detach(), atol=1e-6)


def test_example_weights(base: BaseModel, tokenizer: Tokenizer) -> None:
    good, other = examples("a", 8, seed=1), examples("a", 8, seed=2)
    only, both = learner(base, tokenizer, "a"), learner(base, tokenizer, "a")
    only.sleep(good, "s")
    both.sleep(good + [Example(e.agent, e.prompt, e.completion, 0.0) for e in other], "s")
    assert torch.equal(only.state["trained"], both.state["trained"])


def test_sleep_learns_examples(base: BaseModel, tokenizer: Tokenizer) -> None:
    shown = [Example("a", f"guess | {i} {j} body", "book review") for i in range(8) for j in range(4)]
    made = learner(base, tokenizer, "a", LearnerConfig(rank=8, alpha=16, learning_rate=1e-2, batch=8))
    losses = [made.sleep(shown, f"night {n}")[0].loss for n in range(4)]
    assert losses[-1] < 0.2 * losses[0]


def test_acting_average(base: BaseModel, tokenizer: Tokenizer) -> None:
    made = learner(base, tokenizer, "a")
    start = made.state["trained"].clone()
    made.sleep(examples("a", 8), "s")
    moved, average = made.state["trained"] - start, made.state["acting"] - start
    assert torch.allclose(average, moved * (1 - CONFIG.average), atol=1e-6) and moved.abs().max() > 0


def test_save_and_load(base: BaseModel, tokenizer: Tokenizer, tmp_path: Path) -> None:
    made = learner(base, tokenizer)
    made.sleep(examples("b", 9), "s")
    path = tmp_path / "learner.safetensors"
    made.save(path)
    again = Learner(base, tokenizer, CONFIG)
    again.load(path, ["a", "b", "c"])
    for one in (made, again):
        one.sleep(examples("a", 9) + examples("b", 9), "next")
    assert all(torch.equal(made.state[k], again.state[k]) for k in made.state)
    with pytest.raises(ValueError, match=r"learner\.safetensors does not fit"):
        Learner(base, tokenizer, CONFIG).load(path, ["a", "b"])
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"cannot read the learner state .*learner\.safetensors"):
        Learner(base, tokenizer, CONFIG).load(path, ["a", "b", "c"])


def test_add_and_remove_agents(base: BaseModel, tokenizer: Tokenizer) -> None:
    made = learner(base, tokenizer)
    made.sleep(examples("a", 4) + examples("c", 4), "s")
    row = made.acting_row("c").clone()
    made.add("d", row)
    made.remove("a")
    assert made.names == ["b", "c", "d"] and torch.equal(made.acting_row("c"), made.acting_row("d"))
    assert made.state["steps"].tolist() == [0, 1, 0]
    with pytest.raises(ValueError, match="already is an agent named 'b'"):
        made.add("b", row)
    with pytest.raises(ValueError, match="unknown agent: 'zoe'"):
        made.sleep([Example("zoe", "propose", "rev | 1 2")], "s")


@pytest.mark.parametrize("way", ["factored", "torch operations", "many micro-batches"])
def test_other_implementations_agree(
    way: str, base: BaseModel, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gradients of one step, from adapters that have been trained, are the same."""
    usual, other = learner(base, tokenizer, ""), learner(base, tokenizer, "")
    for name in "abc":
        noise = 0.02 * torch.randn(usual.layout.size, generator=torch.Generator().manual_seed(ord(name)))
        for made in (usual, other):
            made.add(name, made.layout.fresh(name) + noise)
    if way == "factored":
        monkeypatch.setattr("agents.adapters.MERGE_BELOW", 0)
    elif way == "torch operations":
        other.ops = TorchOps(base.config, "cpu", torch.float32)
    else:
        other.config = replace(other.config, tokens=100)
    ragged = [*examples("a", 8), *examples("b", 3), *examples("c", 6)]
    found = other.sleep(ragged, "s")
    monkeypatch.undo()
    for a, b in zip(usual.sleep(ragged, "s"), found, strict=True):
        assert (a.agent, a.tokens, a.steps) == (b.agent, b.tokens, b.steps)
        assert a.loss == pytest.approx(b.loss, abs=1e-5)
    mine, theirs = usual.state["first_moment"], other.state["first_moment"]
    assert ((mine - theirs).norm(dim=1) / mine.norm(dim=1)).max() < 1e-3


def test_row_without_prompt(base: BaseModel, tokenizer: Tokenizer) -> None:
    """The first token of a row without a prompt is not predicted from the previous row."""
    alone, beside = learner(base, tokenizer, "ab"), learner(base, tokenizer, "ab")
    bare = [Example("a", "", "rev inc sort | 3 1 4")]
    (found,) = alone.sleep(bare, "s")
    assert beside.sleep([*examples("b", 1), *bare], "s")[0].loss == pytest.approx(found.loss, abs=1e-5)
    other = learner(base, tokenizer, "ba")
    assert other.sleep([*examples("b", 1), *bare], "s")[1].loss == pytest.approx(found.loss, abs=1e-5)
