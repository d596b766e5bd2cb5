"""Looks for collapse: texts are scored as the model gives them, and what is stored is what is meant."""

from __future__ import annotations

import hashlib
import json
import math
import random
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from agents.adapters import Adapters
from agents.checkpoint import BaseModel
from agents.engine import Request
from agents.engine_torch import TorchEngine
from agents.identity import KeyRing
from agents.learner import BASE_MODEL, Example, Learner, LearnerConfig
from agents.tokenizer import Tokenizer
from arena.config.schema import load_config
from arena.loop import play
from arena.phases.measure.collapse import BELOW, collapse, reference
from arena.report.sections.culture import forgetting
from arena.report.source import Source
from arena.run.fold import Generation
from arena.run.state import Arena
from arena.run.store import Store
from culture.library import Library
from culture.measures import distinct_at, distinct_n, perplexity, tail_mass
from culture.posts import Post, sign_post
from curricula.list_school import SeedData

# -- scoring -----------------------------------------------------------------------------------------------------


@pytest.fixture
def learner(base: BaseModel, tokenizer: Tokenizer, adapters: Adapters) -> Learner:
    made = Learner(base, tokenizer, LearnerConfig(rank=8, alpha=16.0, tokens=64))
    for name in adapters.names:
        made.add(name, adapters.flat[adapters.index[name]])
    return made


def test_score_equals_the_engines_logprob(learner: Learner, engine: TorchEngine) -> None:
    prompts = ["propose", "propose rev inc ->", "solve rev inc | 3 1 4 think"]
    requests = [
        Request(f"{prompt}/{who}", prompt, who, max_tokens=40) for who in ("a", None, "b", "c") for prompt in prompts
    ]
    done = engine.generate(requests)
    spoken = [(r, c) for r, c in zip(requests, done, strict=True) if c.finish == "stop"]
    assert len(spoken) >= 8
    scores = learner.score([Example(r.adapter or BASE_MODEL, r.prompt, c.text) for r, c in spoken])
    for (_, completion), score in zip(spoken, scores, strict=True):
        assert score.tokens == completion.generated_tokens
        assert score.nats == pytest.approx(-completion.logprob, abs=2e-3)


def test_score_is_independent_of_batch_and_training(learner: Learner) -> None:
    texts = [Example(who, *text) for text in reference()[:9] for who in ("c", BASE_MODEL, "a")]
    together, alone = learner.score(texts), [learner.score([text])[0] for text in texts]
    assert [s.nats for s in together] == pytest.approx([s.nats for s in alone], abs=1e-3)
    assert [s.tokens for s in together] == [s.tokens for s in alone]
    learner.state["trained"] += 1.0  # not what acts
    assert learner.score(texts) == together
    learner.state["acting"][2] += 0.05
    changed = [a != b for a, b in zip(learner.score(texts), together, strict=True)]
    assert changed == [t.agent == "c" for t in texts]


def test_scoring_trains_nothing(learner: Learner, tokenizer: Tokenizer) -> None:
    before = {k: v.clone() for k, v in learner.state.items()}
    assert learner.score([]) == []
    learner.score([Example("a", "propose", "rev | 1 2")])
    assert all(torch.equal(before[k], v) for k, v in learner.state.items())
    with pytest.raises(ValueError, match="zoe"):
        learner.score([Example("zoe", "propose", "rev | 1 2")])
    long, short = learner.score([Example("a", "propose", "rev " * 3000), Example("a", "propose", "rev | 1 2")])
    assert math.isnan(long.nats) and long.tokens == 0 and short.tokens == 5


# -- measures ----------------------------------------------------------------------------------------------------


def test_perplexity_weighs_tokens_equally() -> None:
    assert perplexity([math.log(2) * 3, math.log(8)], [3, 1]) == pytest.approx(2 ** (6 / 4))
    assert math.isnan(perplexity([], []))
    with pytest.raises(ValueError, match="2 texts"):
        perplexity([1.0, 2.0], [3])


def test_tail_mass_counts_lost_texts() -> None:
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


def test_distinct_at_uses_a_fixed_number_of_words() -> None:
    assert distinct_at(["a b a b", "c d e f g"], 2, 4) == distinct_n(["a b a b"], 2) == 2 / 3
    assert distinct_at(["a b", "c d e"], 2, 4) == 1.0  # no gram across texts
    assert math.isnan(distinct_at(["a b", "c"], 2, 4))
    with pytest.raises(ValueError, match="at least 1"):
        distinct_at(["a b"], 2, 0)


# -- on a run ----------------------------------------------------------------------------------------------------


def test_reference_texts_are_fixed() -> None:
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


def test_collapse_rows_when_due(looked: Path) -> None:
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


def test_random_adapter_loses_the_tail(looked: Path, tmp_path: Path) -> None:
    """The measure can tell: the untouched base model has lost nothing, a damaged mind most of it."""
    given = [f"run.folder={tmp_path}", "measure.collapse=1"]
    with Arena.create(load_config("configs/tiny.yaml", given)) as arena:
        assert arena.models.learner
        arena.state.generation = Generation(1)
        for name, noise in (("fresh", 0.0), ("damaged", 0.3)):
            row = arena.models.learner.layout.fresh(name)
            row += noise * torch.randn(row.shape, generator=torch.Generator().manual_seed(0))
            arena.models.learner.add(name, row)
            arena.state.living.append(name)
        damaged, fresh = collapse(arena.state, arena.models)
    assert (fresh["agent"], fresh["tail_mass"]) == ("fresh", 0.0)
    assert damaged["tail_mass"] > 0.5


def test_collapse_off_writes_no_rows(undisturbed: Path) -> None:
    store = Store(undisturbed / "run.db")
    assert store.query("SELECT COUNT(*) AS n FROM collapse") == [{"n": 0}]
    store.close()


@pytest.mark.slow
def test_tail_survives_only_with_accumulation(base: BaseModel, tokenizer: Tokenizer) -> None:
    """Gerstgrasser et al. 2024 ("Is Model Collapse Inevitable?") on this code: each generation learns as many texts,
    either what it just said, or a draw of that, of all said before, and of the school. What goes first is what was
    least likely."""
    agents, n = ("replace", "accumulate"), 128
    made = Learner(base, tokenizer, LearnerConfig(rank=16, alpha=32.0, learning_rate=2e-3, average=0.9, batch=16))
    for agent in agents:
        made.add(agent, made.layout.fresh("both"))
    engine, school, rng = TorchEngine(base, tokenizer), SeedData(), random.Random("own words")
    pool = [school.draw(rng, "set") for _ in range(n)]
    texts = [(e.prompt, e.completion) for e in pool]
    for g in range(7):
        engine.set_adapters(made.acting())
        asked = [Request(f"{g}/{i}", "propose", agent, 40, 0.8) for agent in agents for i in range(n)]
        said = [(r.adapter, (r.prompt, c.text)) for r, c in zip(asked, engine.generate(asked), strict=True)]
        own = {agent: [text for who, text in said if who == agent] for agent in agents}
        texts += own["accumulate"]
        learned = {"replace": own["replace"], "accumulate": rng.sample(texts, n)}
        made.sleep([Example(agent, *text) for agent in agents for text in learned[agent]], f"{g}")
    before, replaced, accumulated = (
        [s.nats for s in made.score([Example(who, *text) for text in reference()])] for who in (BASE_MODEL, *agents)
    )
    lost = [tail_mass(now, before, BELOW) for now in (replaced, accumulated)]
    assert lost[0] > 0.25 > 2 * lost[1], lost
    rare = sorted(range(len(before)), key=lambda i: before[i])[len(before) // 2 :]
    of_rare = tail_mass([replaced[i] for i in rare], [before[i] for i in rare], BELOW)
    assert of_rare > 1.2 * lost[0], (of_rare, lost)


# -- in the report -----------------------------------------------------------------------------------------------


def look(generation: int, agent: str, **more: float | None) -> dict[str, Any]:
    usual = {"perplexity": 5.0, "tail_mass": 0.0, "distinct_2": 0.9, "depth": 4.0, "entropy": 1.6}
    return {"generation": generation, "agent": agent, **usual, **more}


@pytest.mark.parametrize(
    ("last", "words"),
    [
        ({}, "No sign of collapse"),
        ({"tail_mass": 0.6}, "An early sign of collapse"),
        ({"depth": 3.0}, "but proposals are clearly shallower"),
        (
            {"tail_mass": 0.6, "depth": 3.0, "distinct_2": 0.4},
            "loses the tails of its training data, and proposals are less varied and shallower.",
        ),
        ({"perplexity": None, "distinct_2": None, "depth": None, "entropy": None}, "No sign of collapse"),
    ],
)
def test_report_separates_tail_loss_from_narrowing(empty: Path, last: dict[str, float | None], words: str) -> None:
    store = Store(empty / "run.db")
    rows = [look(1, a, perplexity=9.0) for a in "ab"] + [look(2, a, depth=4 + i / 100) for i, a in enumerate("ab")]
    rows += [look(8, a, **{k: v and v + i / 100 for k, v in last.items()}) for i, a in enumerate("ab")]
    store.insert({"collapse": rows})
    found = forgetting.part(Source(empty, store, load_config(empty / "config.yaml"), {}))
    store.close()
    assert words in found.findings[0] and all(f.endswith(".") for f in found.findings)
    assert "nan" not in " ".join(found.findings) and "generation 2" in found.findings[1]
    (figure,) = found.figures
    assert [r["generation"] for r in figure.rows] == [1, 2, 8]
    json.dumps(figure.rows, allow_nan=False)


def test_report_counts_forgotten_and_found_again(empty: Path) -> None:
    store, ring = Store(empty / "run.db"), KeyRing(empty / "keys")
    key = ring.ensure("ada").public_key
    posts = [Post("definition", "ada", g, name, f"{name} = rev inc") for g, name in ((1, "w0"), (1, "w1"), (2, "w2"))]
    posts += [Post("definition", "ada", 5, "w1", "w1 = rev inc dec"), Post("lesson", "ada", 5, "rev", "rev is its own")]
    posts.append(Post("definition", "ada", 6, "w2", "w2 = rev dec", supersedes=posts[2].id))
    with store.transaction():
        signed = [sign_post(p, key, partial(ring.sign, "ada")) for p in posts]
        assert [why for _, why in Library(store.db).add(signed, lambda p: None)] == [None] * 6
        gone = [
            {"post": p.id, "generation": 4, "state": "forgotten", "cause": "", "reason": "beyond 9 tokens of index"}
            for p in posts[:2]
        ]
        read = {"generation": 2, "phase": "solve", "agent": "bob", "request": "q", "post": posts[0].id, "propensity": 1}
        phase = dict.fromkeys(("prompt_tokens", "generated_tokens", "trained_tokens", "counted"), 0)
        store.insert(
            {
                "removals": gone,
                "reads": [{"id": "r", **read}, {"id": "s", **read, "phase": "sleep"}],
                "phases": [{"generation": 6, "phase": "post", **phase}],
            }
        )
    found = forgetting.part(Source(empty, store, load_config(empty / "config.yaml"), {}))
    store.close()
    assert found.findings[0] == "3 of 6 posts left the index, none the log: 1 superseded and 2 forgotten."
    assert found.findings[1] == (
        "Forgotten posts had been read 1 time at work; of 2 forgotten names, 1 was defined again."
    )
    (figure,), (table,) = found.figures, found.tables
    sizes = [(r["definitions_and_books_written"], r["definitions_and_books_in_index"]) for r in figure.rows]
    assert sizes == [(2, 2), (3, 3), (3, 3), (3, 1), (4, 2), (5, 2)]
    assert figure.rows[-1]["written"] == 6 and figure.rows[-1]["in_index"] == 3
    assert table.rows[0] == ("forgotten", "definition", "beyond 9 tokens of index", "2", "1")
    assert found.missing == ("Collapse was not measured: set measure.collapse in the config.",)
