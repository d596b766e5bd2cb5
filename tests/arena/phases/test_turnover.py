"""Who dies, what the newborn start from, the school they go to, and the big sleep."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from agents.inheritance import inherit
from agents.learner import VALUE, Example, Learner, LearnerConfig
from arena.loop import prune_adapters
from arena.phases.sleep import library_sample, sleep
from arena.phases.turnover import COMMONS, consolidate, parents_of, ranking, turnover
from arena.run.state import Arena
from curricula.replay import Entry
from tests.helpers.culture_runs import define, entry, meaning, peopled, run_phase

NIGHT = ("generations=9", "domains.list_programs.share=0.5", "domains.hidden_words.share=0.5", "sleep.newborn=4")
AGE = ("turnover.policy=age", "turnover.life=5")


@contextmanager
def town(folder: Path, *overrides: str, generation: int = 5) -> Iterator[Arena]:
    """Three founders with weights of their own, the first paid best; a library with a definition and three examples."""
    with peopled(folder, "town", *NIGHT, *overrides, generation=generation) as arena:
        generator = torch.Generator().manual_seed(3)
        for i, name in enumerate(arena.state.living):
            if arena.models.learner:
                row = arena.models.learner.layout.fresh(name)
                arena.models.learner.replace(name, row + 0.01 * torch.randn(row.shape, generator=generator))
            pay(arena, name, 1.0 - 0.3 * i)
        define(arena, 2, arena.state.living[0], "w0")
        for i, name in enumerate(arena.state.living):
            entry(arena, name, 2 + i, f"post {i}", text=f"rev | 3 1 {i + 2}")
        yield arena


def pay(arena: Arena, agent: str, reward: float, generation: int = 5, role: str = "solver", n: int = 1) -> None:
    row = {"generation": generation, "agent": agent, "role": role, "reward": reward, "n": n}
    with arena.store.transaction():
        arena.store.insert({"rewards": [row]})


def turned(arena: Arena) -> dict[str, list[Any]]:
    """A turnover, stored and folded in."""
    return run_phase(arena, "turnover")


def minds(arena: Arena) -> Learner:
    assert arena.models.learner is not None
    return arena.models.learner


def row(arena: Arena, name: str) -> Tensor:
    return minds(arena).acting_row(name).clone()


def does_nothing(arena: Arena, row: Tensor) -> bool:
    leaves = minds(arena).layout.leaves(row[None])
    return all(not bool(leaf.any()) for (*_, side), leaf in leaves.items() if side == "B")


# -- who dies ----------------------------------------------------------------------------------------------------


def test_tournament_retires_the_least_paid(tmp_path: Path) -> None:
    with town(tmp_path, "turnover.every=5", "turnover.window=2") as arena:
        first, second, third = arena.state.living
        pay(arena, third, 9.0, generation=3)  # long ago
        pay(arena, first, -2.0, generation=4, role="setter")
        assert ranking(arena.state)[0] == [second, third, first]
        records = turned(arena)
        assert [r["name"] for r in records["retirements"]] == [first]
        (born,) = records["agents"]
        assert (json.loads(born["parents"]), born["place"], born["born"]) == ([second], 0, 5)
        assert arena.state.living == [second, third, born["name"]] == minds(arena).names


@pytest.mark.parametrize("given", [("turnover.every=4",), ("turnover.every=0",), ("turnover.policy=none",)])
def test_no_retirement_when_not_due(given: tuple[str, ...], tmp_path: Path) -> None:
    with town(tmp_path, *given) as arena:
        assert turnover(arena) == {"agents": [], "retirements": []}


def test_no_retirement_in_the_last_generation(tmp_path: Path) -> None:
    with town(tmp_path, *AGE, "generations=5", "turnover.consolidate=5") as arena:
        assert turnover(arena) == {"agents": [], "retirements": []}


def test_age_policy_replaces_a_whole_generation(tmp_path: Path) -> None:
    with town(tmp_path, *AGE) as arena:
        old = list(arena.state.living)
        records = turned(arena)
        assert [r["name"] for r in records["retirements"]] == old
        assert [a["place"] for a in records["agents"]] == [0, 1, 2]
        assert arena.state.living == [a["name"] for a in records["agents"]] == minds(arena).names
        assert not set(old) & set(arena.state.living)
        arena.state.generation.index = 6
        assert turnover(arena)["retirements"] == []  # they are a generation old


# -- what the newborn start from -----------------------------------------------------------------------------------


def test_inherit_nothing(tmp_path: Path) -> None:
    with town(tmp_path, *AGE, "turnover.inherit=nothing") as arena:
        records = turned(arena)
        assert not records["sleeps"] and not records["reads"]
        assert all(does_nothing(arena, row(arena, a)) for a in arena.state.living)
        assert {a["inherited"] for a in records["agents"]} == {"nothing"}


@pytest.mark.parametrize("crossing", ["copy", "mutation", "crossover", "average"])
def test_crossing_decides_inherited_weights(crossing: str, tmp_path: Path) -> None:
    with town(tmp_path, *AGE, f"turnover.crossing={crossing}", "turnover.mutation=0.1") as arena:
        before = {a: row(arena, a) for a in arena.state.living}
        records = turned(arena)
        for born in records["agents"]:
            parents = json.loads(born["parents"])
            assert len(parents) == {"copy": 1, "mutation": 1, "crossover": 2, "average": 3}[crossing]
            rows = [before[p] for p in parents]
            due = inherit(crossing, rows, minds(arena).layout, 0.1, f"{arena.config.seed}/{born['name']}")
            assert torch.equal(row(arena, born["name"]), due)
            assert torch.equal(due, rows[0]) == (crossing == "copy")
        assert minds(arena).state["steps"].tolist() == [0.0] * 3
        assert not minds(arena).state["first_moment"].any()
        assert records["sleeps"] == []


def test_better_paid_agents_have_more_children(tmp_path: Path) -> None:
    with town(tmp_path, *AGE, "turnover.crossing=crossover") as arena:
        order, _ = ranking(arena.state)
        pairs = [parents_of(arena.state, order, at, 3) for at in range(300)]
        assert pairs == [parents_of(arena.state, order, at, 3) for at in range(300)]
        assert all(len(set(pair)) == 2 for pair in pairs)
        firsts = [sum(pair[0] == a for pair in pairs) for a in order]
        assert firsts[0] > firsts[1] > firsts[2] > 0
        assert parents_of(arena.state, order, 0, 1) == order[:2]


# -- school --------------------------------------------------------------------------------------------------------


def test_equal_newborns_share_one_training(tmp_path: Path) -> None:
    with town(tmp_path, *AGE, "turnover.inherit=library", "sleep.lore=6") as arena:
        records = turned(arena)
        first, *others = arena.state.living
        assert [r["agent"] for r in records["sleeps"]] == [first]
        assert records["sleeps"][0]["tokens"] == arena.models.tokens.trained > 0
        assert not does_nothing(arena, row(arena, first))
        for name in others:
            for key, state in minds(arena).state.items():
                assert torch.equal(state[arena.state.living.index(name)], state[0]), key
        assert {(r.agent, r.phase) for r in records["reads"]} == {(first, "sleep")}
        assert {r.post for r in records["reads"]} >= {"post 0", "post 1", "post 2"}
        assert any(r.request.endswith("/lore") for r in records["reads"])


def test_trained_newborn_acts_by_its_training(tmp_path: Path) -> None:
    """An average over so few steps would be what it was born with, nearly."""
    with town(tmp_path, *AGE, "turnover.inherit=library", "sleep.average=0.99") as arena:
        for born in turned(arena)["agents"]:
            state, at = minds(arena).state, arena.state.living.index(born["name"])
            start = arena.initial_adapter(arena.state.living[0])
            assert 1 <= float(state["steps"][at]) <= 4
            learned = torch.dist(state["trained"][at], start)
            assert torch.dist(state["acting"][at], start) > 0.4 * learned > 0


def test_inherited_weights_keep_average_and_optimizer(tmp_path: Path) -> None:
    with town(tmp_path, *AGE, "turnover.inherit=both", "sleep.average=0.9") as arena:
        state = minds(arena).state
        before = {a: row(arena, a) for a in arena.state.living}
        steps = {a: float(state["steps"][arena.state.living.index(a)]) for a in arena.state.living}
        for born in turned(arena)["agents"]:
            state, at = minds(arena).state, arena.state.living.index(born["name"])
            parent = json.loads(born["parents"])[0]
            taken = float(state["steps"][at]) - steps[parent]
            assert 1 <= taken <= 4
            learned = torch.dist(state["trained"][at], before[parent])
            assert 0 < torch.dist(state["acting"][at], before[parent]) < (1 - 0.9**taken) * 1.01 * learned * taken


def test_pruning_keeps_consolidated_adapters(tmp_path: Path) -> None:
    with peopled(tmp_path, "old", generation=22) as arena:
        adapters = arena.folder / "adapters"
        for g in range(1, 23):
            for file in ("ada/adapter_model.safetensors", "learner.safetensors", "born.safetensors"):
                (adapters / f"g{g:04d}" / file).parent.mkdir(parents=True, exist_ok=True)
                (adapters / f"g{g:04d}" / file).write_bytes(b"x")
        for g in (3, 20):
            (adapters / f"{COMMONS}-g{g:04d}").mkdir()
        prune_adapters(arena)
        left = {p.name: {f.name for f in p.iterdir()} for p in adapters.iterdir()}
        whole = {"ada", "learner.safetensors", "born.safetensors"}
        assert left == {
            "g0010": {"ada"}, "g0020": {"ada"}, "g0021": whole, "g0022": whole,
            "commons-g0003": set(), "commons-g0020": set(),
        }  # fmt: skip


def test_different_readers_are_trained_separately(tmp_path: Path) -> None:
    with town(tmp_path, *AGE, "turnover.inherit=library", "library.network=line") as arena:
        records = turned(arena)
        assert [r["agent"] for r in records["sleeps"]] == arena.state.living
        own = {r.agent: {x.post for x in records["reads"] if x.agent == r.agent} for r in records["reads"]}
        assert [own[a] & {"post 0", "post 1", "post 2"} for a in arena.state.living] == [
            {"post 0"}, {"post 1"}, {"post 2"},
        ]  # fmt: skip
        assert not torch.equal(row(arena, arena.state.living[0]), row(arena, arena.state.living[1]))


def test_inherit_both_trains_from_parent_weights(tmp_path: Path) -> None:
    with town(tmp_path, *AGE, "turnover.inherit=both") as arena:
        before = {a: row(arena, a) for a in arena.state.living}
        records = turned(arena)
        parents = {a["name"]: json.loads(a["parents"])[0] for a in records["agents"]}
        assert len(records["sleeps"]) == len(set(parents.values()))  # one school for the children of one parent
        for a in arena.state.living:
            for b in arena.state.living:
                assert torch.equal(row(arena, a), row(arena, b)) == (parents[a] == parents[b])
            near, far = (
                torch.dist(row(arena, a), before[p]) for p in sorted(before, key=lambda p: p != parents[a])[:2]
            )
            assert 0 < near < far


def test_newborn_rehearses_parent_recall(tmp_path: Path) -> None:
    """Of the library nothing is left, but the parents have said what w1 means."""
    trained = {}
    for inherits, knows in (("both", True), ("both", False), ("library", True)):
        folder = tmp_path / f"{inherits}{knows}"
        given = (f"turnover.inherit={inherits}", "sleep.lore=6", "sleep.newborn=0", "library.burn=5")
        with town(folder, *AGE, *given) as arena:
            said = {"w1": " ".join(meaning(arena, "w1"))} if knows else {}
            with arena.store.transaction():
                for a in arena.state.living:
                    memory = {"generation": 5, "agent": a, "read": 0, "recalled": len(said), "memory": json.dumps(said)}
                    arena.store.insert({"knowledge": [{**memory, "known": 0, "wrong": 0, "level": 0}]})
            trained[inherits, knows] = len(turned(arena)["sleeps"])
    assert trained["both", True] > 0
    assert trained["both", False] == trained["library", True] == 0


def test_empty_library_trains_nothing(tmp_path: Path) -> None:
    with town(tmp_path, *AGE, "turnover.inherit=library", "library.network=self", "sleep.lore=6") as arena:
        assert turned(arena)["sleeps"] == []
        assert all(does_nothing(arena, row(arena, a)) for a in arena.state.living)


def test_turnover_without_learner(tmp_path: Path) -> None:
    with town(tmp_path, *AGE, "turnover.inherit=both", "turnover.consolidate=5", "sleep.enabled=false") as arena:
        records = turned(arena)
        assert {a["inherited"] for a in records["agents"]} == {"nothing"}
        assert set(records) == {"agents", "retirements"} or not records.get("sleeps")
        assert arena.state.living == [a["name"] for a in records["agents"]]


# -- the big sleep -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["adapters", "library"])
def test_consolidation_makes_all_agents_equal(source: str, tmp_path: Path) -> None:
    given = ("turnover.policy=age", "turnover.life=6", "turnover.inherit=nothing", "turnover.consolidate=5")
    with town(tmp_path, *given, f"turnover.consolidate_from={source}") as arena:
        before = [row(arena, a) for a in arena.state.living]
        records = turned(arena)
        assert not records["retirements"] and [c["name"] for c in records["checkpoints"]] == ["commons", "born"]
        assert arena.models.commons is not None and not does_nothing(arena, arena.models.commons)
        assert all(torch.equal(row(arena, a), arena.models.commons) for a in arena.state.living)
        assert not any(torch.equal(r, arena.models.commons) for r in before)
        assert not minds(arena).state["steps"].any() and not minds(arena).state["second_moment"].any()
        assert (
            COMMONS not in minds(arena).names
            and COMMONS not in arena.state.places
            and COMMONS not in arena.state.living
        )
        assert torch.equal(
            minds(arena).layout.load_peft(arena.folder / "adapters" / "commons-g0005"), arena.models.commons
        )
        arena.state.generation.index = 6
        turned(arena)
        assert all(torch.equal(row(arena, a), arena.models.commons) for a in arena.state.living)  # who was born since
        arena.state.generation.index = 25
        prune_adapters(arena)
        assert (arena.folder / "adapters" / "commons-g0005").is_dir()


def test_consolidate_from_library_ignores_weights(tmp_path: Path) -> None:
    made: dict[str, list[Tensor]] = {}
    for source in ("adapters", "library"):
        for noise in (0.0, 0.05):
            with town(tmp_path / f"{source}{noise}", f"turnover.consolidate_from={source}") as arena:
                minds(arena).replace(arena.state.living[0], row(arena, arena.state.living[0]) + noise)
                consolidate(arena, minds(arena))
                assert arena.models.commons is not None
                made.setdefault(source, []).append(arena.models.commons)
    assert torch.equal(*made["library"]) and not torch.equal(*made["adapters"])


@pytest.mark.parametrize("network", ["self", "line", "ring", "islands"])
def test_consolidation_reads_all_authors(network: str, tmp_path: Path) -> None:
    made = []
    for i, given in enumerate(("library.network=all", f"library.network={network}")):
        with town(tmp_path / str(i), given, "turnover.consolidate_from=library", "sleep.lore=4") as arena:
            consolidate(arena, minds(arena))
            assert arena.models.commons is not None
            made.append(arena.models.commons)
    assert torch.equal(*made)


# -- who does not sleep, and on what the others do --------------------------------------------------------------------


@pytest.mark.parametrize(
    "given,sleeps",
    [
        (("turnover.inherit=library",), False),
        (("turnover.inherit=nothing",), False),
        (("turnover.inherit=both",), False),
        (("turnover.inherit=weights",), True),
        (("turnover.inherit=library", "turnover.consolidate=2"), True),
        (("turnover.inherit=library", "turnover.life=6"), True),
        (("turnover.inherit=library", "turnover.policy=tournament"), True),
        (("turnover.inherit=library", "generations=5"), True),
    ],
)
def test_retiring_agent_without_heirs_is_not_trained(given: tuple[str, ...], sleeps: bool, tmp_path: Path) -> None:
    with town(tmp_path, *AGE, *given) as arena:
        before = [row(arena, a) for a in arena.state.living]
        records = sleep(arena)
        assert [r["agent"] for r in records["sleeps"]] == (arena.state.living if sleeps else [])
        assert len({r.agent for r in records["reads"]}) == (3 if sleeps else 0)
        assert all(torch.equal(row(arena, a), old) != sleeps for a, old in zip(arena.state.living, before, strict=True))
        assert [c["name"] for c in records["checkpoints"]] == [*arena.state.living, "learner"]


@pytest.mark.parametrize(
    "given,slept",
    [
        (("sleep.memory=accumulate",), {"post 0", "post 1", "post 2", "old", "new"}),
        (("sleep.memory=replace",), {"post 2", "new"}),  # of generation 4, and fresh ones
        (("sleep.memory=budget", "sleep.memory_size=2"), {"post 1", "post 2", "new"}),
        (("sleep.memory=budget", "sleep.memory_size=2", "library.network=line"), {"post 0", "old", "new"}),
        (("sleep.archive=0",), {"new"}),
        (("sleep.fresh=0", "sleep.memory=replace"), {"post 2"}),
        (("library.lasts=2",), {"post 1", "post 2", "new"}),
    ],
)
def test_memory_selects_archived_examples(given: tuple[str, ...], slept: set[str], tmp_path: Path) -> None:
    with town(tmp_path, *given) as arena:
        first = arena.state.living[0]
        bank = list(arena.state.bank.entries)
        arena.state.bank.entries = []
        old = entry(arena, first, 1, "old")
        new = entry(arena, first, 5, "new")
        arena.state.bank.entries = [old, *bank, new]
        found: list[Entry] = library_sample(arena.state, first)
        assert len(found) == len({e.post for e in found})
        assert {e.post for e in found} == slept


# -- the learner's part --------------------------------------------------------------------------------------------


@pytest.fixture
def learner(base: Any, tokenizer: Any) -> Learner:
    made = Learner(base, tokenizer, LearnerConfig(rank=4, alpha=8.0, batch=2, average=0.9))
    for name in "abc":
        made.add(name, made.layout.fresh(name))
    return made


LESSON = [Example("a", f"solve rev | {i} 1 4 think", f"rev 4 1 {i} answer 4 1 {i}") for i in range(6)]


def test_replace_resets_one_agent(learner: Learner) -> None:
    learner.sleep(LESSON, "night")
    others = {k: v[1:].clone() for k, v in learner.state.items()}
    start = learner.layout.fresh("new") + 0.01
    learner.replace("a", start)
    for key, state in learner.state.items():
        assert torch.equal(state[0], start if key in ("trained", "acting") else torch.zeros_like(state[0])), key
        assert torch.equal(state[1:], others[key])
    fresh = Learner(learner.base, learner.tokenizer, learner.config)
    fresh.add("a", start)
    fresh.sleep(LESSON, "night")
    learner.sleep(LESSON, "night")
    assert torch.allclose(learner.acting_row("a"), fresh.acting_row("a"), atol=1e-6)


def test_copy_is_complete_and_independent(learner: Learner) -> None:
    learner.sleep(LESSON, "night")
    learner.state[VALUE] += torch.arange(len(learner.names))[:, None]
    learner.copy("a", "c")
    for key, state in learner.state.items():
        assert torch.equal(state[2], state[0]) and (key == "acting" or not torch.equal(state[1], state[0])), key
    learner.replace("a", learner.layout.fresh("x"))
    assert not torch.equal(learner.acting_row("a"), learner.acting_row("c"))


def test_remove_start_removes_the_initial_weights(learner: Learner) -> None:
    """The corrected average is the weighted mean of the trained rows alone."""
    start = learner.layout.fresh("a")
    trained, update = [], learner._update

    def keep(index: Tensor, gradient: Tensor) -> None:
        update(index, gradient)
        trained.append(learner.state["trained"][0].clone())

    learner._update = keep  # type: ignore[method-assign]
    learner.sleep(LESSON, "night")
    assert len(trained) == 3
    learner.remove_start("a", start)
    weights = [0.1 * 0.9 ** (2 - i) for i in range(3)]
    due = sum(w * t for w, t in zip(weights, trained, strict=True)) / sum(weights)
    assert isinstance(due, Tensor) and torch.allclose(learner.acting_row("a"), due, atol=1e-6)


def test_remove_start_without_training(learner: Learner) -> None:
    before = learner.acting_row("b").clone()
    learner.remove_start("b", learner.layout.fresh("b") + 1.0)
    assert torch.equal(learner.acting_row("b"), before)
