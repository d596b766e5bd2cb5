"""Open seats: any callable plays, numeric learners pick among texts, agents of other frameworks sit as they are."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pettingzoo.test import parallel_api_test, parallel_seed_test

from agents.engine_torch import TorchEngine
from arena.evals.play.textarena import EngineAgent, agent_of
from arena.rounds import ratchet_round_v0
from arena.rounds.discrete_env import choose_among, hashed
from arena.rounds.env import parallel_env, round_of
from arena.rounds.round import GRADER, SETTER
from arena.rounds.seats import play
from curricula.registry import DOMAINS, make_domain

RIGHT = "rev 4 1 3 ; inc 5 2 4 answer 5 2 4"


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


# -- callables -------------------------------------------------------------------------------------------------------


def test_callables_play_a_round() -> None:
    calls: list[tuple[str, str]] = []

    def seat(name: str, text: str) -> Any:
        return lambda asked: (calls.append((name, asked)), text)[1]

    env = parallel_env(attempts=2)
    seats = {
        SETTER: seat("setter", "rev inc | 3 1 4"),
        "solver_0": seat("solver_0", RIGHT),
        "solver_1": seat("solver_1", "junk"),
        GRADER: seat("grader", RIGHT),
    }
    assert play(env, seats) == {"setter": 1.0, "solver_0": 2.0, "solver_1": 0.0, "grader": 1.0}
    assert [name for name, _ in calls] == ["setter", "solver_0", "solver_1", "solver_0", "solver_1", "grader"]
    assert calls[0][1] == "propose" and {asked for _, asked in calls[1:]} == {"solve rev inc | 3 1 4 think"}


def test_missing_and_unknown_seats_are_named() -> None:
    env = parallel_env(solvers=1, grader=False)
    with pytest.raises(ValueError, match="nobody took solver_0; the seats are setter, solver_0"):
        play(env, {SETTER: str})
    with pytest.raises(ValueError, match="there is no seat judge"):
        play(env, {SETTER: str, "solver_0": str, "judge": str})


# -- names and numbers -----------------------------------------------------------------------------------------------


def test_module_follows_pettingzoo_conventions() -> None:
    made = ratchet_round_v0.env(solvers=1)
    made.reset()
    assert made.unwrapped.metadata["name"] == ratchet_round_v0.NAME == "ratchet_round_v0"
    assert ratchet_round_v0.parallel_env().metadata["name"] == ratchet_round_v0.NAME
    assert round_of(made).phase == "propose"


@pytest.mark.parametrize("name", list(DOMAINS))
def test_choices_pass_the_tests_of_pettingzoo(name: str) -> None:
    domain = make_domain(name)
    parallel_api_test(choose_among(parallel_env(domain)), num_cycles=12)
    parallel_seed_test(lambda: choose_among(parallel_env(domain)), num_cycles=8)


def test_picking_the_solution_is_paid() -> None:
    env = ratchet_round_v0.rllib_env({"solvers": 2, "attempts": 1, "texts": 3, "features": 16})
    seen, _ = env.reset(seed=3)
    assert seen[SETTER].shape == (64,) and not seen["solver_0"].any() and list(env.offered) == [SETTER]
    env.step({SETTER: 0})
    right = env.env.domain.solution(round_of(env).problem)
    assert all(len(texts) == 3 and right in texts for texts in env.offered.values())
    pick = env.offered["solver_0"].index(right)
    wrong = (env.offered["solver_1"].index(right) + 1) % 3
    env.step({"solver_0": np.int64(pick), "solver_1": wrong})
    _, paid, terminated, _, _ = env.step({GRADER: env.offered[GRADER].index(right)})
    assert paid == {"setter": 1.0, "solver_0": 1.0, "solver_1": 0.0, "grader": 1.0} and all(terminated.values())


def test_own_candidates_and_missing_ones() -> None:
    env = choose_among(parallel_env(solvers=1, attempts=1, grader=False), candidates=lambda e, seat, rng: ["rev | 3 1"])
    env.reset(seed=0)
    assert env.offered == {SETTER: ("rev | 3 1", "", "", "")}
    with pytest.raises(ValueError, match="setter picks one of 0 to 3, and gave 4"):
        env.step({SETTER: 4})
    _, paid, *_ = env.step({SETTER: 1})
    assert paid[SETTER] == -0.25
    with pytest.raises(ValueError, match="texts=1"):
        choose_among(parallel_env(), texts=1)


def test_hashed_words_are_stable_unit_vectors() -> None:
    found = hashed("rev inc rev", 8)
    assert found.dtype == np.float32 and np.isclose(np.linalg.norm(found), 1.0)
    assert not hashed("", 8).any() and hashed("\ud800", 8).any()
    assert [round(float(x), 2) for x in hashed("rev", 4)] == [float(x) for x in np.sign(hashed("rev", 4))]
    assert not np.array_equal(hashed("inc rev", 8), hashed("rev inc", 8))


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray[rllib] is not installed")
def test_rllib_s_own_wrapper_takes_it() -> None:
    wrappers = pytest.importorskip("ray.rllib.env.wrappers.pettingzoo_env", reason="ray[rllib] is not installed")
    env = wrappers.ParallelPettingZooEnv(ratchet_round_v0.rllib_env({"solvers": 1}))
    seen, _ = env.reset(seed=1)
    assert set(seen) == set(env.possible_agents) == {SETTER, "solver_0", GRADER}
    for _ in range(4):
        seen, _, terminated, _, _ = env.step(env.action_space.sample())
        assert all(env.observation_space[a].contains(o) for a, o in seen.items())
        if terminated["__all__"]:
            break
    assert terminated["__all__"]


# -- TextArena -------------------------------------------------------------------------------------------------------


def test_engine_agent_is_a_callable(engine: TorchEngine) -> None:
    agent = EngineAgent(engine, "a", system="", max_tokens=40)
    said = agent("solve rev inc | 3 1 4 think")
    assert said.startswith("rev") and said == EngineAgent(engine, "a", system="", max_tokens=40)(
        "solve rev inc | 3 1 4 think"
    )
    warm = [EngineAgent(engine, "a", system="", temperature=2.0, key=k, max_tokens=40)("propose") for k in "xx"]
    assert warm[0] == warm[1]


def test_run_agent_uses_its_own_adapter(undisturbed: Path) -> None:
    agent = agent_of(undisturbed, 1)
    assert agent.adapter in {p.name for p in (undisturbed / "adapters" / "g0003").iterdir()} and agent.system == ""
    assert "answer" in agent("solve rev inc | 3 1 4 think")
    with pytest.raises(ValueError, match="has agents 0 to 2, got 3"):
        agent_of(undisturbed, 3)


def test_textarena_games_and_agents(engine: TorchEngine) -> None:
    ta = pytest.importorskip("textarena", reason="textarena is not installed")

    class Copies(ta.Agent):  # type: ignore[misc, name-defined]
        def __call__(self, observation: str) -> str:
            return RIGHT if observation.startswith("solve") else "rev inc | 3 1 4"

    paid = play(parallel_env(solvers=1, attempts=1), dict.fromkeys((SETTER, "solver_0", GRADER), Copies()))
    assert paid == {"setter": 0.0, "solver_0": 1.0, "grader": 1.0}
    game = ta.make(env_id="TicTacToe-v0")
    game.reset(num_players=2, seed=0)
    players, done = {0: EngineAgent(engine, "a", system="", max_tokens=32), 1: lambda observation: "[4]"}, False
    for _ in range(8):
        player, observation = game.get_observation()
        done, _ = game.step(action=players[player]("propose" if player == 0 else observation))
        if done:
            break
    assert players[0].asked >= 1  # type: ignore[attr-defined]
