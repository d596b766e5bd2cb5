"""The value function: fitted to outcomes, recorded while sampling, and able to end hopeless attempts."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from agents.checkpoint import BaseModel
from agents.engine import Request
from agents.engine_torch import TorchEngine
from agents.examples import Row
from agents.learner import VALUE, Learner, LearnerConfig
from agents.tokenizer import Tokenizer
from agents.value import NUMBERS, Outcome, estimate, features, fit, fit_all, numbers_of, width
from curricula.list_programs import ListPrograms

CONFIG = LearnerConfig(rank=4, alpha=8)
LIST = ListPrograms()


def data(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Features of which the first decides the outcome."""
    noise = torch.Generator().manual_seed(seed)
    x = features(torch.randn(n, 6, generator=noise), torch.randn(n, NUMBERS, generator=noise))
    return x, x[:, 0] > 0


def test_fit_finds_what_decides() -> None:
    x, right = data(400, 0)
    head = fit(torch.zeros(width(6)), x, right, torch.ones(len(x)), 1.0)
    new, truth = data(400, 1)
    assert ((estimate(head.expand(400, -1), new) > 0.5) == truth).float().mean() > 0.95
    assert head[0] == head.max() > 1


def test_fit_is_the_minimum() -> None:
    """No gradient is left of cross-entropy plus prior, whose strength differs for numbers and bias."""
    x, right = data(50, 0)
    start = torch.linspace(-1, 1, width(6))
    head = fit(start, x, right, torch.ones(len(x)), 2.0).double().requires_grad_()
    loss = torch.nn.functional.binary_cross_entropy_with_logits(x.double() @ head, right.double(), reduction="sum")
    strength = torch.tensor([2.0] * 6 + [0.2] * NUMBERS + [0.02])
    (loss + 0.5 * (strength * (head - start).square()).sum()).backward()
    assert head.grad is not None and head.grad.abs().max() < 1e-3


def test_agents_share_what_is_common() -> None:
    """An agent without outcomes gets the population's head; one with them its own, near it."""
    x, right = data(300, 0)
    agent = torch.arange(300) % 2
    right = torch.where(agent == 1, torch.rand(300, generator=torch.Generator().manual_seed(2)) < 0.9, right)
    heads = fit_all(torch.zeros(3, width(6)), x, right, torch.ones(300), agent, 1.0)
    assert torch.equal(heads[2], fit(torch.zeros(width(6)), x, right, torch.ones(len(x)), 1.0))
    assert heads[0, 0] > heads[2, 0] > heads[1, 0]


def test_weights_stand_for_repetitions() -> None:
    x, right = data(40, 0)
    often = torch.cat([x, x[:10], x[:10]]), torch.cat([right, right[:10], right[:10]])
    weight = torch.ones(40)
    weight[:10] = 3.0
    zero = torch.zeros(width(6))
    assert torch.allclose(fit(zero, x, right, weight, 1.0), fit(zero, *often, torch.ones(60), 1.0), atol=1e-4)


def test_zeros_say_a_half() -> None:
    assert estimate(torch.zeros(1, width(6)), data(1, 0)[0]).item() == 0.5


def learner(base: BaseModel, tokenizer: Tokenizer, names: str = "ab") -> Learner:
    made = Learner(base, tokenizer, CONFIG)
    for name in names:
        made.add(name, made.layout.fresh(name))
    return made


def attempts(made: Learner, tokenizer: Tokenizer, seed: int, **more: object) -> tuple[list, list]:
    """Attempts of both agents at easy and hard problems: (requests, completions)."""
    engine, rng = TorchEngine(made.base, tokenizer), random.Random(seed)
    engine.set_adapters(made.acting())
    problems = [LIST.random_problem(rng, depth) for depth in (1, 2, 4, 7) for _ in range(12)]
    asked = [
        Request(f"{seed}/{a}/{i}", LIST.solve_prompt(p, ()), a, 96, mark=LIST.mark, **more)  # type: ignore[arg-type]
        for a in "ab"
        for i, p in enumerate(problems)
    ]
    done = engine.generate(asked)
    right = [LIST.verify(p, c.text).correct for p, c in zip(problems * 2, done, strict=True)]
    outcomes = [
        Outcome(r.adapter or "", r.prompt, c.text, LIST.mark, ok) for r, c, ok in zip(asked, done, right, strict=True)
    ]
    return done, outcomes


def test_estimates_predict_new_attempts(base: BaseModel, tokenizer: Tokenizer) -> None:
    """Better than the mean, before the first token; one estimate before it and one after each step."""
    made = learner(base, tokenizer)
    done, outcomes = attempts(made, tokenizer, 0)
    assert not any(c.values for c in done)  # no value function yet
    assert made.fit_values(outcomes, 3.0) > 0
    done, outcomes = attempts(made, tokenizer, 1)
    assert all(len(c.values) == 1 + c.text.count(LIST.mark) for c in done)
    right = torch.tensor([float(o.right) for o in outcomes])
    first = torch.tensor([c.values[0] for c in done])
    assert 0.1 < right.mean() < 0.9
    assert (first - right).square().mean() < 0.8 * right.var()


def test_engine_and_learner_see_the_same(base: BaseModel, tokenizer: Tokenizer) -> None:
    """Estimates recorded while sampling are those of the learner for the same text."""
    made = learner(base, tokenizer)
    made.fit_values(attempts(made, tokenizer, 0)[1], 3.0)
    done, outcomes = attempts(made, tokenizer, 1)
    chosen = [i for i, c in enumerate(done) if c.finish == "stop"][:8]
    rows: dict[str, list] = {}
    for place, i in enumerate(chosen):
        o = outcomes[i]
        (prompt,) = tokenizer.encode_prompts([o.prompt])
        (completion,) = tokenizer.encode_completions([o.prompt], [o.completion])
        rows.setdefault(o.agent, []).append(Row(prompt, completion, place=place))
    marks = tokenizer.containing(LIST.mark)
    for name, row, states, logprobs in made._read(rows):
        steps = [j + 1 for j, t in enumerate(row.completion[:-1]) if t in marks]
        numbers = [numbers_of(len(row.prompt), logprobs[:at], n) for n, at in enumerate([0, *steps])]
        head = made.state[VALUE][made.names.index(name)]
        found = estimate(head.expand(len(numbers), -1), features(states[[0, *steps]], torch.tensor(numbers)))
        assert found.tolist() == pytest.approx(done[chosen[row.place]].values, abs=2e-3)


def test_hopeless_attempts_end(base: BaseModel, tokenizer: Tokenizer) -> None:
    """After the step with the low estimate, never before the first; the others are the same texts as without."""
    made = learner(base, tokenizer)
    made.fit_values(attempts(made, tokenizer, 0)[1], 3.0)
    free, _ = attempts(made, tokenizer, 1)
    ended, _ = attempts(made, tokenizer, 1, stop_below=0.3)
    assert {c.finish for c in ended} >= {"hopeless", "stop"}
    for one, other in zip(free, ended, strict=True):
        if other.finish == "hopeless":
            assert other.values[-1] < 0.3 and len(other.values) > 1 and other.text.endswith(LIST.mark)
            assert one.text.startswith(other.text) and len(other.logprobs) == other.generated_tokens
        else:
            assert one.text == other.text and all(v >= 0.3 for v in other.values[1:])
    assert sum(c.generated_tokens for c in ended) < sum(c.generated_tokens for c in free)


def test_only_marked_requests_are_judged(base: BaseModel, tokenizer: Tokenizer) -> None:
    made = learner(base, tokenizer)
    made.fit_values(attempts(made, tokenizer, 0)[1], 3.0)
    engine = TorchEngine(base, tokenizer)
    engine.set_adapters(made.acting())
    asked = Request("x", "solve rev inc | 3 1 4 think", "a", 64, mark=LIST.mark)
    done = engine.generate([asked, replace(asked, mark=""), replace(asked, adapter=None)])
    assert [bool(c.values) for c in done] == [True, False, False]


def test_heads_are_kept(base: BaseModel, tokenizer: Tokenizer, tmp_path: Path) -> None:
    """They are saved with the learner, copied with its state, and reset with a new adapter."""
    made = learner(base, tokenizer)
    made.fit_values(attempts(made, tokenizer, 0)[1], 3.0)
    made.save(tmp_path / "learner.safetensors")
    again = learner(base, tokenizer)
    again.load(tmp_path / "learner.safetensors", ["a", "b"])
    assert torch.equal(again.state[VALUE], made.state[VALUE]) and again.acting().heads is not None
    again.copy("a", "b")
    assert torch.equal(again.state[VALUE][0], again.state[VALUE][1])
    again.replace("a", again.layout.fresh("new"))
    assert not again.state[VALUE][0].any() and again.state[VALUE][1].any()


def test_states_of_before_are_read(base: BaseModel, tokenizer: Tokenizer, tmp_path: Path) -> None:
    """A learner saved without heads has none."""
    made = learner(base, tokenizer)
    del made.state[VALUE]
    made.save(tmp_path / "learner.safetensors")
    again = learner(base, tokenizer, "")
    again.load(tmp_path / "learner.safetensors", ["a", "b"])
    assert again.state[VALUE].shape == (2, width(base.config.hidden_size)) and not again.state[VALUE].any()
    assert again.fit_values([], 3.0) == 0


def test_unknown_agents_are_named(base: BaseModel, tokenizer: Tokenizer) -> None:
    with pytest.raises(ValueError, match="unknown agent: 'zoe'"):
        learner(base, tokenizer).fit_values([Outcome("zoe", "solve", "answer 1", ";", True)], 3.0)
