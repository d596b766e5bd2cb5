"""The shipped seed model and its school: sizes and formats, and no held-out problem in the school."""

from __future__ import annotations

import json
import random
from collections import Counter

import pytest
import torch

from agents.engine import Request
from agents.engine_torch import TorchEngine
from agents.fused_ops import make_ops
from agents.grouped_gemm import segments_of
from agents.model import BaseModel, StackedWeights, hidden, logits
from agents.packing import Packing
from agents.tokenizer import Tokenizer
from arena.config.shipped import SEED_FOLDER, SEED_FOLDERS
from arena.tools.seeds.list_seed import Row, batch_loss
from curricula import hidden_world as hw
from curricula import list_programs as lp
from curricula.domain import Problem
from curricula.list_school import MIX, WORDS, SeedData


@pytest.mark.parametrize("name", SEED_FOLDERS)
def test_model_size(name: str) -> None:
    folder = SEED_FOLDERS[name]
    base, tokenizer = BaseModel.load(folder), Tokenizer(folder)
    files = {p.name: p.stat().st_size for p in folder.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "README.md"} <= set(files)
    assert sum(files.values()) < 4_000_000
    assert len(tokenizer) < 192 and len(set(WORDS)) == len(WORDS)
    assert 0.6e6 < sum(w.numel() for w in base.weights.values()) < 0.8e6
    assert base.config.head_dim in (32, 64, 128)  # what vLLM's attention takes


@pytest.mark.parametrize("name", SEED_FOLDERS)
def test_card_has_recipe_data_and_skills(name: str) -> None:
    card = (SEED_FOLDERS[name] / "README.md").read_text()
    assert all(
        word in card for word in ("Recipe", "Skills", "solve, depth 6", "read, body of 3", "guess", "Recipe(steps=")
    )


def test_vocabulary_covers_the_examples(tokenizer: Tokenizer) -> None:
    rng, data, unknown = random.Random(0), SeedData(), tokenizer.encode(["‽"])[0][0]
    for task in MIX:
        for _ in range(200):
            example = data.draw(rng, task)
            for text in (example.prompt, example.completion):
                ids = tokenizer.encode([text])[0]
                assert unknown not in ids and len(ids) == len(text.split())
                assert tokenizer.decode([ids]) == [text]


def test_school_examples_are_correct() -> None:
    """None of them is held out."""
    rng, data, domain = random.Random(1), SeedData(), lp.ListPrograms()
    depths: Counter[int] = Counter()
    for _ in range(3000):
        example = data.draw(rng, "solve")
        problem = domain.problem(example.prompt.removeprefix("solve ").removesuffix(" think"))
        assert not domain.is_heldout(problem) and domain.verify(problem, example.completion).correct
        depths[problem.depth] += 1
    assert max(depths) <= 6 and 0.9 < (depths[1] + depths[2]) / 3000 < 0.97
    for task in ("set", "vary"):
        for _ in range(1000):
            text = data.draw(rng, task).completion
            found = domain.parse_proposal(text)
            named = any(w in hw.WORDS for w in text.split())
            assert named or isinstance(found, Problem)


def test_reading_examples_recall_definitions() -> None:
    rng, data = random.Random(2), SeedData()
    unknown = 0
    for _ in range(1000):
        example = data.draw(rng, "read")
        if example.completion.startswith("unknown"):
            unknown += 1
            assert example.completion.split()[1] not in example.prompt.rpartition("solve ")[0].split()
            continue
        recalled, meant, trace = hw.split_recall(example.completion)
        ((name, body),) = recalled
        assert f"{name} {body}" in example.prompt and meant is not None and 1 <= len(meant.split()) <= 6
        assert lp.verify_trace(meant.split(), lp.parse_digits(
            example.prompt.rpartition("|")[2].removesuffix(" think").split()), trace).correct  # fmt: skip
    assert 20 < unknown < 110


def test_naming_examples_leave_lists_unlearned(tokenizer: Tokenizer) -> None:
    """Long programs, none of them held out; what is learned of a solution is its operations, separators and end."""
    rng, data, domain = random.Random(3), SeedData(naming=0.5), lp.ListPrograms()
    drawn = [data.draw(rng) for _ in range(600)]
    naming = [e for e in drawn if e.task == "name"]
    assert 240 < len(naming) < 360
    depths = set()
    for example in naming:
        problem = domain.problem(example.prompt.removeprefix("solve ").removesuffix(" think"))
        assert not domain.is_heldout(problem) and domain.verify(problem, example.completion).correct
        depths.add(problem.depth)
        learned = [w for w in example.completion.split() if w not in example.unlearned]
        assert not set(learned) - {*lp.NAMES, ";", "answer"} and len(learned) == 2 * problem.depth
    assert depths == set(range(3, 13))
    assert not any(e.unlearned for e in drawn if e.task != "name")


def test_unlearned_tokens_have_no_loss(base: BaseModel) -> None:
    prompt, completion = [5, 9, 30, 7], [20, 4, 6, 21, 3, 1]
    row, ops = Row(prompt, completion, frozenset({4, 3})), make_ops(base.config, base.device, base.dtype)
    loss, count = batch_loss(StackedWeights.of_base(base), ops, [Row([8], [9, 1]), row])
    scores = [full_scores(base, r.prompt + r.completion) for r in (Row([8], [9, 1]), row)]
    wanted = [-scores[0][0, 9], -scores[0][1, 1], *(-scores[1][at, i] for at, i in ((3, 20), (5, 6), (6, 21), (8, 1)))]
    assert count == 13 and float(loss) == pytest.approx(float(torch.stack(wanted).mean()), abs=1e-5)


def full_scores(base: BaseModel, ids: list[int]) -> torch.Tensor:
    """Log-probabilities of the next token after each token of a text, computed by itself."""
    ops, packing = make_ops(base.config, base.device, base.dtype), Packing([len(ids)], base.device)
    weights = StackedWeights.of_base(base)
    states = hidden(weights, torch.tensor(ids), segments_of([len(ids)]), lambda _, q: ops.attention(q, packing), ops)
    return logits(weights, states).log_softmax(-1)


@pytest.mark.parametrize(("depth", "least"), [(1, 0.95), (2, 0.9), (3, 0.8)])
def test_seed_model_skills(base: BaseModel, tokenizer: Tokenizer, depth: int, least: float) -> None:
    domain, engine = lp.ListPrograms(), TorchEngine(base, tokenizer)
    problems = domain.heldout("dev", depth)
    done = engine.generate([Request(p.text, domain.solve_prompt(p, ()), None, 60, 0.0) for p in problems])
    right = [domain.verify(p, c.text).correct for p, c in zip(problems, done, strict=True)]
    assert sum(right) / len(right) >= least


def test_long_seed_names_the_operations() -> None:
    """At depths that it was never taught to compute, its mistakes are in lists; the other seed names wrong ones."""
    domain, wrong = lp.ListPrograms(), {}
    problems = domain.heldout("dev", 8)
    for name, folder in SEED_FOLDERS.items():
        engine = TorchEngine(BaseModel.load(folder), Tokenizer(folder))
        done = engine.generate([Request(p.text, domain.solve_prompt(p, ()), None, 90, 0.0) for p in problems])
        reasons = Counter(domain.verify(p, c.text).reason for p, c in zip(problems, done, strict=True))
        wrong[name] = reasons["step names the wrong operation"]
    assert wrong["seed_long"] < 40 < 60 < wrong["seed"]


def test_config_is_a_plain_llama() -> None:
    config = json.loads((SEED_FOLDER / "config.json").read_text())
    assert config["architectures"] == ["LlamaForCausalLM"] and config["model_type"] == "llama"
