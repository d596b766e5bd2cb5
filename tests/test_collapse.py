"""Looks for collapse: texts are scored as the model gives them, and what is stored is what is meant."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import pytest
import torch

from agents.adapters import Adapters
from agents.checkpoint import BaseModel
from agents.engine import Request
from agents.engine_torch import TorchEngine
from agents.learner import NOBODY, Example, Learner, LearnerConfig
from agents.tokenizer import Tokenizer
from arena.collapse import BELOW, collapse, reference
from arena.config import load_config
from arena.loop import play
from arena.state import Arena, Generation
from arena.store import Store
from culture.measures import distinct_at, distinct_n, perplexity, tail_mass

# -- scoring -----------------------------------------------------------------------------------------------------


@pytest.fixture
def learner(base: BaseModel, tokenizer: Tokenizer, adapters: Adapters) -> Learner:
    made = Learner(base, tokenizer, LearnerConfig(rank=8, alpha=16.0, tokens=64))
    for name in adapters.names:
        made.add(name, adapters.flat[adapters.index[name]])
    return made


def test_a_score_is_what_the_engine_says_of_a_text_it_spoke(learner: Learner, engine: TorchEngine) -> None:
    prompts = ["propose", "propose rev inc ->", "solve rev inc | 3 1 4 think"]
    requests = [
        Request(f"{prompt}/{who}", prompt, who, max_tokens=40) for who in ("a", None, "b", "c") for prompt in prompts
    ]
    done = engine.generate(requests)
    spoken = [(r, c) for r, c in zip(requests, done, strict=True) if c.finish == "stop"]
    assert len(spoken) >= 8
    scores = learner.score([Example(r.adapter or NOBODY, r.prompt, c.text) for r, c in spoken])
    for (_, completion), score in zip(spoken, scores, strict=True):
        assert score.tokens == completion.generated_tokens
        assert score.nats == pytest.approx(-completion.logprob, abs=2e-3)


def test_a_score_depends_neither_on_the_batch_nor_on_what_is_trained(learner: Learner) -> None:
    texts = [Example(who, *text) for text in reference()[:9] for who in ("c", NOBODY, "a")]
    together, alone = learner.score(texts), [learner.score([text])[0] for text in texts]
    assert [s.nats for s in together] == pytest.approx([s.nats for s in alone], abs=1e-3)
    assert [s.tokens for s in together] == [s.tokens for s in alone]
    learner.state["trained"] += 1.0  # not what acts
    assert learner.score(texts) == together
    learner.state["acting"][2] += 0.05
    changed = [a != b for a, b in zip(learner.score(texts), together, strict=True)]
    assert changed == [t.agent == "c" for t in texts]


def test_scoring_learns_nothing_and_refuses_strangers(learner: Learner, tokenizer: Tokenizer) -> None:
    before = {k: v.clone() for k, v in learner.state.items()}
    assert learner.score([]) == []
    learner.score([Example("a", "propose", "rev | 1 2")])
    assert all(torch.equal(before[k], v) for k, v in learner.state.items())
    with pytest.raises(ValueError, match="zoe"):
        learner.score([Example("zoe", "propose", "rev | 1 2")])
    long, short = learner.score([Example("a", "propose", "rev " * 3000), Example("a", "propose", "rev | 1 2")])
    assert math.isnan(long.nats) and long.tokens == 0 and short.tokens == 5


# -- measures ----------------------------------------------------------------------------------------------------


def test_perplexity_weighs_every_token_alike() -> None:
    assert perplexity([math.log(2) * 3, math.log(8)], [3, 1]) == pytest.approx(2 ** (6 / 4))
    assert math.isnan(perplexity([], []))
    with pytest.raises(ValueError, match="2 texts"):
        perplexity([1.0, 2.0], [3])


def test_tail_mass_is_the_share_of_texts_that_lost_most_of_their_probability() -> None:
    before = [1.0, 5.0, 9.0, 12.0]
    assert tail_mass(before, before, 0.1) == 0.0
    assert tail_mass([1.0, 7.0, 11.4, 30.0], before, 0.1) == 0.5  # ln 10 is 2.303
    assert tail_mass([1.0, 7.0, 11.4, 30.0], before, 0.5) == 0.75
    assert math.isnan(tail_mass([], [], 0.1))
    for wrong in (0.0, 1.1, math.nan):
        with pytest.raises(ValueError, match="must lie in"):
            tail_mass(before, before, wrong)
    with pytest.raises(ValueError, match="4 texts"):
        tail_mass(before, before[:2], 0.1)


def test_distinct_at_looks_at_the_same_number_of_words() -> None:
    assert distinct_at(["a b a b", "c d e f g"], 2, 4) == distinct_n(["a b a b"], 2) == 2 / 3
    assert distinct_at(["a b", "c d e"], 2, 4) == 1.0  # no gram across texts
    assert math.isnan(distinct_at(["a b", "c"], 2, 4))
    with pytest.raises(ValueError, match="at least 1"):
        distinct_at(["a b"], 2, 0)


# -- on a run ----------------------------------------------------------------------------------------------------


def test_the_reference_is_always_the_same_and_of_the_school() -> None:
    """A change of it would make runs before and after incomparable without a word."""
    text = "\n".join(f"{prompt} {completion}" for prompt, completion in reference())
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "d08b1c9288e36e3a"
    assert [prompt == "propose" for prompt, _ in reference()] == [True] * 64 + [False] * 64
    assert len(set(reference())) == 128


@pytest.fixture(scope="module")
def looked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny run that looked for collapse in its second and fourth generation."""
    folder = tmp_path_factory.mktemp("looked")
    given = [f"run.folder={folder}", "measure.collapse=2", "generations=4", "sleep.learning_rate=0.02"]
    given += ["measure.per_depth=0", "measure.final_per_depth=1", "measure.passes=1"]
    with Arena.create(load_config("configs/tiny.yaml", given)) as arena:
        play(arena)
    return folder / "tiny"


def test_a_run_looks_when_it_is_told_at_who_lives_and_who_set_problems(looked: Path) -> None:
    store = Store(looked / "run.db")
    rows = store.query("SELECT * FROM collapse ORDER BY generation, agent")
    assert sorted({r["generation"] for r in rows}) == [2, 4]
    (gone,) = (r["name"] for r in store.query("SELECT name FROM retirements WHERE generation = 2"))
    (born,) = (r["name"] for r in store.query("SELECT name FROM agents WHERE born = 2"))
    second = {r["agent"]: r for r in rows if r["generation"] == 2}
    assert len(second) == 4
    assert second[gone]["tail_mass"] is None and second[gone]["perplexity"] > 1
    assert second[born]["perplexity"] is None and 0 <= second[born]["tail_mass"] <= 1
    for agent, row in second.items():
        set_ = store.query("SELECT * FROM problems WHERE generation = 2 AND author = ?", [agent])
        depths = [p["depth"] for p in set_ if p["valid"]]
        assert row["depth"] == (pytest.approx(sum(depths) / len(depths)) if depths else None)
        assert (row["entropy"] is None) == (agent == born)
    store.close()


def test_the_tail_of_one_that_was_changed_at_random_is_lost(looked: Path, tmp_path: Path) -> None:
    """The measure can tell: the untouched base model has lost nothing, a damaged mind most of it."""
    given = [f"run.folder={tmp_path}", "measure.collapse=1"]
    with Arena.create(load_config("configs/tiny.yaml", given)) as arena:
        assert arena.learner
        arena.generation = Generation(1)
        for name, noise in (("fresh", 0.0), ("damaged", 0.3)):
            row = arena.learner.layout.fresh(name)
            row += noise * torch.randn(row.shape, generator=torch.Generator().manual_seed(0))
            arena.learner.add(name, row)
            arena.living.append(name)
        damaged, fresh = collapse(arena)
    assert (fresh["agent"], fresh["tail_mass"]) == ("fresh", 0.0)
    assert damaged["tail_mass"] > 0.5 and 0 < BELOW < 1


def test_a_run_that_is_not_told_to_look_does_not(undisturbed: Path) -> None:
    store = Store(undisturbed / "run.db")
    assert store.query("SELECT COUNT(*) AS n FROM collapse") == [{"n": 0}]
    store.close()
