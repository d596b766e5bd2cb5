"""An island by itself: a generation again gives the same, and nothing bad that reaches it gets in."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load, save

from agents.identity import KeyRing
from arena.islands.island import Island
from arena.run.messages import Arrivals, Package, Result, SentAgent, SentPost
from culture.posts import Post, SignedPost, sign_post
from tests.helpers.island_runs import config_of

TWO = ("cluster.islands=2", "cluster.every=1", "generations=4", "rounds.per_agent=3")
WEIGHTS = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"


@pytest.fixture(scope="module")
def neighbours(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[Path], list[Result]]:
    """Two islands that have played their first generation, closed: the config, their folders, what they gave."""
    home = tmp_path_factory.mktemp("neighbours")
    config = config_of(home / "run", *TWO).to_yaml()
    folders, results = [home / str(i) for i in range(2)], []
    for i, folder in enumerate(folders):
        with Island(config, i, folder, None) as island:
            island.play(0, Arrivals(i, 0).to_bytes())
            results.append(Result.from_bytes(island.play(1, Arrivals(i, 1).to_bytes())))
    return config, folders, results


def copy_of(folder: Path, to: Path) -> Path:
    shutil.copytree(folder, to)
    return to


def test_repeated_generation_gives_the_same_result(neighbours, tmp_path: Path) -> None:
    config, folders, results = neighbours
    folder = copy_of(folders[0], tmp_path / "again")
    with Island(config, 0, folder, None) as island:
        again = island.play(1, Arrivals(0, 1).to_bytes())
        assert again == results[0].to_bytes() == island.play(1, Arrivals(0, 1).to_bytes())
        for wrong, arrivals in ((3, Arrivals(0, 3)), (0, Arrivals(1, 0)), (2, Arrivals(0, 1))):
            with pytest.raises(ValueError, match="is to play generation"):
                island.play(wrong, arrivals.to_bytes())
        other = Arrivals(0, 1, results[1].posts)
        with pytest.raises(ValueError, match="generation 1 of island 0 was begun with other arrivals"):
            island.play(1, other.to_bytes())


def test_islands_use_different_ids(neighbours) -> None:
    _, _, (one, other) = neighbours
    for table in ("agents", "rounds", "problems", "attempts", "evaluations", "posts", "reads", "guesses", "knowledge"):
        if table in one.rows and table in other.rows:
            key = 1 if table == "knowledge" else 0
            assert not {r[key] for r in one.rows[table].rows} & {r[key] for r in other.rows[table].rows}, table
    assert {p.signed.post.author for p in one.posts}.isdisjoint(p.signed.post.author for p in other.posts)
    assert one.agents and one.agents[0].sha256 != other.agents[0].sha256


def test_bad_arrivals_are_refused_with_a_reason(neighbours, tmp_path: Path) -> None:
    config, folders, results = neighbours
    good, other = [p for p in results[1].posts if not p.signed.post.cites][:2]
    copy = replace(good, signed=replace(good.signed, signature="0" * 128))
    keys = KeyRing(tmp_path / "forger")
    forger = keys.create("forger").public_key

    def forged(post: Post) -> SignedPost:
        return sign_post(post, forger, lambda data: keys.sign("forger", data))

    with Island(config, 0, copy_of(folders[0], tmp_path / "guarded"), None) as island:
        arena = island._open()
        resident = arena.state.living[0]
        text = "rev rev inc"
        unsolved = Post("worked_example", "forger", 1, "rev | 1 2", "rev 2 1", (), "list_programs/r")
        posts = {
            "bad signature": replace(other, signed=replace(other.signed, signature="0" * 128)),
            "lives here, with another key": SentPost(forged(Post("lesson", resident, 1, text, text, (), "x")), 1),
            "generation 9, which is not over": SentPost(forged(Post("lesson", "forger", 9, text, text, (), "x")), 1),
            "not said to be learnable": SentPost(forged(unsolved), 1, 1.0),
            "cites a post that is not": SentPost(forged(Post("lesson", "forger", 1, "a", "b", ("0" * 64,), "x")), 1),
            "speaks of no domain": SentPost(forged(Post("lesson", "forger", 1, "c", "d", (), "elsewhere")), 1),
        }
        own = results[1].agents[0]
        tensors = load(own.adapter)
        name = next(iter(tensors))
        nan, shape, dtype, more = ({k: v.clone() for k, v in tensors.items()} for _ in range(4))
        nan[name][0, 0] = float("nan")
        shape[name] = torch.zeros(3, 3)
        dtype[name] = dtype[name].half()
        more["extra"] = torch.zeros(1)
        less = {k: v for k, v in tensors.items() if k != name}
        agents = {
            "no safetensors file": b"\x80\x04pickle.",
            "bytes of weights": b"x" * (len(own.adapter) * 4 + (2 << 20)),
            "not finite": save(nan),
            "of shape": save(shape),
            "should be float32": save(dtype),
            "which no adapter here has": save(more),
            "it lacks": save(less),
        }
        sent = tuple(SentAgent(f"stranger{i}", 1, forger, 1.0, a) for i, a in enumerate(agents.values()))
        native = SentAgent(resident, 1, forger, 1.0, own.adapter)
        late = SentAgent("late", 1, forger, 1.0, own.adapter)
        arrivals = Arrivals(0, 2, (copy, *posts.values(), good), (*sent, native, own, late))
        made = Result.from_bytes(island.play(2, arrivals.to_bytes()))
        rows = arena.store.query("SELECT * FROM migrations WHERE direction = 'in'")
        reasons = {r["subject"]: r["reason"] for r in rows}
        for reason, item in posts.items():
            assert reason in str(reasons[item.signed.post.id]), (reason, reasons[item.signed.post.id])
        for reason, agent in zip(agents, sent, strict=True):
            assert reason in str(reasons[agent.name]), (reason, reasons[agent.name])
        assert reasons[resident] == f"{resident} is from here" and reasons["late"] == "there is room for 1"
        assert [r["subject"] for r in rows if r["taken"]] and reasons[own.name] is None
        assert reasons[good.signed.post.id] is None  # though a bad copy of it came first
        taken = arena.store.query("SELECT id FROM posts WHERE author IN ('forger')")
        assert not taken and arena.state.library.verify() == []
        assert made.counts["migrations"] >= len(rows)
        born = [r for r in arena.store.query("SELECT * FROM agents WHERE born = 2") if r["inherited"] == "migration"]
        assert len(born) == 1 and born[0]["name"] in arena.state.living


def test_foreign_package_is_refused(neighbours, tmp_path: Path) -> None:
    config, _, _ = neighbours
    with pytest.raises(ValueError, match="a package of island 1 was given to island 0"):
        Island(config, 0, tmp_path / "x", Package(1, 0, {"run.db": b""}).to_bytes())
    with pytest.raises(ValueError, match="is not a readable run database"):
        Island(config, 0, tmp_path / "x", Package(0, 0, {"run.db": b"nothing of the kind"}).to_bytes())


def test_sent_posts_follow_the_posts_they_cite() -> None:
    from arena.phases.migration import _needed

    cites = {"a": [], "b": ["a"], "c": ["b", "a"], "d": ["x"]}
    there = {name: {"cites": json.dumps(of)} for name, of in cites.items()}
    assert _needed("c", there, set()) == ["a", "b", "c"]
    assert _needed("c", there, {"a"}) == ["b", "c"] and _needed("c", there, {"c"}) == []
    assert _needed("d", there, set()) is None


@pytest.mark.parametrize(
    ("topology", "sources"),
    [
        ("ring", [[2], [0], [1]]),
        ("star", [[1, 2], [0], [0]]),
        ("all", [[1, 2], [0, 2], [0, 1]]),
        ("none", [[], [], []]),
    ],
)
def test_topologies(topology: str, sources: list[list[int]], tmp_path: Path) -> None:
    cluster = config_of(tmp_path / "x", "cluster.islands=3", f"cluster.topology={topology}").cluster
    assert [cluster.sources(i) for i in range(3)] == sources
    due = [g for g in range(14) if cluster.exchanges(g, 12)]
    assert due == ([] if topology == "none" else [6, 11])


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("cluster.address=''", "cluster: islands is 3, but address is empty: auto"),
        ("cluster.adress=local", "unknown key 'cluster.adress'; did you mean 'address'?"),
        ("library.network=ring", "use library.network=all"),
        ("review=gate", "what a reviewer decides does not reach the islands; use review=off"),
        ("cluster.agents=3", "an exchange must leave some of them"),
    ],
)
def test_impossible_configs_are_refused_in_one_line(override: str, line: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError) as error:
        config_of(tmp_path / "x", "cluster.islands=3", override)
    assert line in str(error.value) and "\n" not in str(error.value)
