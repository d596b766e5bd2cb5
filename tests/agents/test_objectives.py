"""Objectives equal their formulas, move a policy the right way, and see the tokens that were sampled."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from agents.checkpoint import BaseModel
from agents.engine import Request
from agents.engine_torch import TorchEngine
from agents.learner import BASE_MODEL, Example, Learner, LearnerConfig
from agents.objectives import Likelihood, Objective, PolicyGradient, TrainedTokens
from agents.prompt import Chat
from agents.tokenizer import Tokenizer
from curricula.list_programs import ListPrograms

CONFIG = LearnerConfig(rank=8, alpha=16, learning_rate=5e-3, batch=8, average=0.0)
LIST = ListPrograms()


def tokens(logprob: list[float], sampled: list[float], weight: list[float], base: list[float] | None = None) -> tuple:
    logp = torch.tensor(logprob, requires_grad=True)
    numbers = (torch.tensor(x) for x in (sampled, base or [0.0] * len(logprob), weight))
    return logp, TrainedTokens(logp, *numbers)


def gradient(objective: Objective, logp: Tensor, at: TrainedTokens) -> list[float]:
    """d loss / d log p of each token."""
    (grad,) = torch.autograd.grad(objective.loss(at).sum(), logp)
    return grad.tolist()


def test_likelihood_is_cross_entropy() -> None:
    logp, at = tokens([-1.0, -2.0], [math.nan] * 2, [1.0, 0.5])
    assert Likelihood().loss(at).tolist() == [1.0, 1.0]
    assert gradient(Likelihood(), logp, at) == [-1.0, -0.5]


def test_cispo_bounds_the_weight() -> None:
    """-min(r, 1 + high) A: every token keeps a gradient."""
    ratios = [0.5, 1.0, 1.2, 3.0, 3.0]
    advantages = [1.0, 1.0, 1.0, 1.0, -0.5]
    logp, at = tokens([math.log(r) - 2 for r in ratios], [-2.0] * 5, advantages)
    expected = [-min(r, 1.28) * a for r, a in zip(ratios, advantages, strict=True)]
    assert gradient(PolicyGradient(clip="cispo"), logp, at) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("ratio", "advantage", "expected"),
    [
        (1.1, 1.0, -1.1),  # inside the bounds: -r A
        (1.5, 1.0, 0.0),  # already more likely than the bound
        (0.5, 1.0, -0.5),  # a lower bound of the objective: it may go back up
        (0.5, -1.0, 0.0),  # already less likely than the bound
        (1.5, -1.0, 1.5),
        (5.0, -1.0, 0.0),  # beyond `most`
    ],
)
def test_ppo_clips_like_its_formula(ratio: float, advantage: float, expected: float) -> None:
    logp, at = tokens([math.log(ratio) - 2], [-2.0], [advantage])
    assert gradient(PolicyGradient(clip="ppo"), logp, at) == pytest.approx([expected], rel=1e-5)


@pytest.mark.parametrize("clip", ["cispo", "ppo"])
def test_other_texts_are_imitated(clip: str) -> None:
    """What the agent did not sample has the gradient of the likelihood; with a negative advantage it has none."""
    logp, at = tokens([-3.0, -3.0], [math.nan] * 2, [0.7, -0.7])
    assert gradient(PolicyGradient(clip=clip), logp, at) == pytest.approx([-0.7, 0.0])  # type: ignore[arg-type]


def test_negative_advantages_are_bounded() -> None:
    logp, at = tokens([-1.0] * 3, [-1.0] * 3, [-4.0, -0.5, 2.0])
    assert gradient(PolicyGradient(floor=-1.0, negative=0.5), logp, at) == pytest.approx([0.5, 0.25, -2.0])
    assert gradient(PolicyGradient(negative=0.0), logp, at) == pytest.approx([0.0, 0.0, -2.0])


def test_divergence_from_the_base_model() -> None:
    """The gradient of k3 with respect to log p is 1 - p_base / p, and none of imitated tokens."""
    logp, at = tokens([-1.0, -2.0, -2.0], [-1.0, -2.0, math.nan], [0.0] * 3, base=[-2.0, -1.0, -1.0])
    expected = [0.1 * (1 - math.exp(-1)), 0.1 * (1 - math.exp(1)), 0.0]
    assert gradient(PolicyGradient(kl=0.1), logp, at) == pytest.approx(expected, rel=1e-5)


def test_entropy_bonus_ends_with_drift() -> None:
    entropy = torch.ones(3, requires_grad=True)
    _, at = tokens([-1.0, -1.0, -1.0], [-1.0, -2.5, math.nan], [0.0] * 3)
    loss = PolicyGradient(entropy=0.01, drift=0.1).loss(replace(at, entropy=entropy)).sum()
    (grad,) = torch.autograd.grad(loss, entropy)
    assert grad.tolist() == pytest.approx([-0.01, 0.0, 0.0])


def test_normalisation() -> None:
    short, long = np.ones(2, dtype=np.float32), np.ones(8, dtype=np.float32)
    assert [PolicyGradient(normalise="tokens").scale(w) for w in (short, long)] == [(1.0, 2.0), (1.0, 8.0)]
    assert [PolicyGradient(normalise="examples").scale(w) for w in (short, long)] == [(0.5, 1.0), (0.125, 1.0)]
    constant = PolicyGradient(normalise="constant", length=4)
    assert [constant.scale(w) for w in (short, long)] == [(0.25, 1.0)] * 2
    assert Likelihood().scale(0.5 * short) == (1.0, 1.0)


def learner(base: BaseModel, tokenizer: Tokenizer, objective: Objective, names: str = "a") -> Learner:
    made = Learner(base, tokenizer, replace(CONFIG, objective=objective))
    for name in names:
        made.add(name, made.layout.fresh(f"objectives/{name}"))
    return made


def chance(made: Learner, prompt: str, completion: str) -> float:
    return math.exp(-made.score([Example("a", prompt, completion)])[0].nats)


@pytest.mark.parametrize("objective", [PolicyGradient(clip="cispo"), PolicyGradient(clip="ppo"), Likelihood()])
def test_two_armed_bandit(base: BaseModel, tokenizer: Tokenizer, objective: Objective) -> None:
    """A policy that samples one of two words, of which one is paid, comes to prefer it."""
    made = learner(base, tokenizer, objective)
    engine = TorchEngine(base, tokenizer)
    good, bad, prompt = "rev", "inc", "solve rev inc | 3 1 4 think"
    made.sleep([Example("a", prompt, word) for word in (good, bad) for _ in range(32)], "both")
    before = chance(made, prompt, good)
    assert 0.2 < before < 0.8
    for day in range(6):
        engine.set_adapters(made.acting())
        drawn = engine.generate([Request(f"{day}/{i}", prompt, "a", max_tokens=2) for i in range(32)])
        mean = sum(c.text == good for c in drawn) / 32
        made.sleep([Example("a", prompt, c.text, (c.text == good) - mean, (), c.logprobs) for c in drawn], str(day))
    assert chance(made, prompt, good) > max(0.9, before)


def test_failures_alone_make_them_rarer(base: BaseModel, tokenizer: Tokenizer) -> None:
    """With a negative advantage the text that was sampled loses probability; likelihood skips it."""
    engine, prompt = TorchEngine(base, tokenizer), "solve rev inc | 3 1 4 think"
    for objective, moves in ((PolicyGradient(), True), (Likelihood(), False)):
        made = learner(base, tokenizer, objective)
        engine.set_adapters(made.acting())
        (drawn,) = engine.generate([Request("x", prompt, "a", max_tokens=64, temperature=0.0)])
        before = chance(made, prompt, drawn.text)
        reports = made.sleep([Example("a", prompt, drawn.text, -1.0, (), drawn.logprobs)] * 8, "s")
        assert (chance(made, prompt, drawn.text) < before) is moves and bool(reports) is moves


def test_engine_and_learner_agree_on_sampled_tokens(base: BaseModel, tokenizer: Tokenizer) -> None:
    """The log-probabilities kept from sampling are those of the learner, token by token, in one batch of two agents."""
    made = learner(base, tokenizer, PolicyGradient(), "ab")
    noise = torch.randn(made.state["trained"].shape, generator=torch.Generator().manual_seed(0))
    for key in ("trained", "acting"):
        made.state[key] += 0.02 * noise
    engine, rng = TorchEngine(base, tokenizer), random.Random(0)
    engine.set_adapters(made.acting())
    prompts = [LIST.solve_prompt(LIST.random_problem(rng, depth), ()) for depth in (1, 2, 3, 4)]
    asked = [Request(f"{a}/{p}", p, a, max_tokens=n) for a in "ab" for p in prompts for n in (64, 5)]
    done = engine.generate(asked)
    for completion in done:
        assert len(completion.logprobs) == completion.generated_tokens
        assert sum(completion.logprobs) == pytest.approx(completion.logprob)
    assert {c.finish for c in done} == {"stop", "length"}
    rows = made.rows(
        [Example(r.adapter or "", r.prompt, c.text, 1.0, (), c.logprobs) for r, c in zip(asked, done, strict=True)]
    )
    weights = made.acting().weights(list(rows))
    for name, own in rows.items():
        nats, _ = made._nll(weights, [own if n == name else [] for n in rows])
        sampled = torch.from_numpy(np.concatenate([r.sampled for r in own]))
        known = sampled.isfinite()
        assert known.sum() == sum(len(c.logprobs) for r, c in zip(asked, done, strict=True) if r.adapter == name)
        assert (nats + sampled)[known].abs().max() < 1e-4
        ends = np.concatenate([r.weights for r in own])[~known.numpy()]
        assert len(ends) == 4 and not ends.any()  # the end of a text that ran out of tokens was not sampled


def test_spans_weight_their_tokens(base: BaseModel, tokenizer: Tokenizer) -> None:
    text = "rev 4 1 3 ; inc 5 2 4 answer 5 2 4"
    made = learner(base, tokenizer, PolicyGradient())
    spans = [(s.start, s.stop, float(i + 1)) for i, s in enumerate(LIST.credit(LIST.problem("rev inc | 3 1 4"), text))]
    (row,) = made.rows([Example("a", "solve", text, 9.0, tuple(spans))])["a"]
    words = [*text.split(), "<eos>"]
    assert len(row.weights) == len(words)
    assert list(row.weights) == [1.0] * 5 + [2.0] * 4 + [3.0] * 4 + [9.0]


@pytest.mark.parametrize("prompt", ["solve", Chat("", "solve")], ids=["text", "chat"])
def test_token_ends(prompt: str | Chat, tokenizer: Tokenizer) -> None:
    """Tokens end where their words do, in chats and after plain prompts."""
    text = "rev 4 1 3 ; inc"
    (ends,) = tokenizer.completion_ends([prompt], [text])
    (ids,) = tokenizer.encode_completions([prompt], [text])
    assert len(ends) == len(ids) and ends[-1] == len(text) + 1
    assert [text[:end].split()[-1] for end in ends[:-1]] == text.split()


def test_base_model_is_read_for_the_divergence(base: BaseModel, tokenizer: Tokenizer) -> None:
    made = learner(base, tokenizer, PolicyGradient(kl=0.1))
    example = Example("a", "solve rev | 3 1 4 think", "rev 4 1 3 answer 4 1 3")
    rows = made.rows([example])
    made._add_base(rows)
    score = made.score([replace(example, agent=BASE_MODEL)])[0]
    assert -rows["a"][0].base.sum() == pytest.approx(score.nats, rel=1e-4) and len(rows["a"][0].base) == score.tokens


def test_divergence_holds_the_policy_back(base: BaseModel, tokenizer: Tokenizer) -> None:
    """With a large coefficient the same failures move the policy less."""
    engine, prompt, left = TorchEngine(base, tokenizer), "solve rev inc | 3 1 4 think", []
    for kl in (0.0, 5.0):
        made = learner(base, tokenizer, PolicyGradient(kl=kl))
        engine.set_adapters(made.acting())
        (drawn,) = engine.generate([Request("x", prompt, "a", max_tokens=64, temperature=0.0)])
        made.sleep([Example("a", prompt, drawn.text, -1.0, (), drawn.logprobs)] * 64, "s")
        left.append(chance(made, prompt, drawn.text))
    assert left[0] < left[1]


def test_entropy_bonus_keeps_entropy(base: BaseModel, tokenizer: Tokenizer) -> None:
    prompt, found = "solve rev inc | 3 1 4 think", []
    for entropy in (0.0, 0.5):
        made = learner(base, tokenizer, PolicyGradient(entropy=entropy, drift=10.0))
        engine = TorchEngine(base, tokenizer)
        for day in range(4):
            engine.set_adapters(made.acting())
            drawn = engine.generate([Request(f"{day}/{i}", prompt, "a", max_tokens=32) for i in range(16)])
            made.sleep([Example("a", prompt, c.text, 0.1, (), c.logprobs) for c in drawn], str(day))
        engine.set_adapters(made.acting())
        last = engine.generate([Request(f"last/{i}", prompt, "a", max_tokens=32) for i in range(64)])
        found.append(-sum(c.logprob for c in last) / sum(c.generated_tokens for c in last))
    assert found[1] > found[0]
