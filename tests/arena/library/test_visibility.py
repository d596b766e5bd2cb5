"""Who reads whom, what time and fire leave, who dies: circles of places, spans of generations, and the config's say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from arena.config.schema import make_config
from arena.library.definitions import DefinitionIndex
from arena.library.visibility import readable, retires_by_age, scope, visible_authors, visible_generations
from arena.run.state import Arena
from culture.posts import Post
from tests.helpers.culture_runs import define, entry, peopled, publish


@contextmanager
def society(folder: Path, *overrides: str) -> Iterator[Arena]:
    """Four founders in places 0 to 3, and a newborn in place 1, whose predecessor still is the author of posts."""
    with peopled(folder, "town", "population.agents=4", *overrides) as arena:
        arena.welcome([arena.newborn(4, 3, [], "nothing", 1)])
        yield arena


def named(arena: Arena, places: set[int]) -> frozenset[str]:
    return frozenset(a for a, place in arena.state.places.items() if place in places)


@pytest.mark.parametrize(
    "given,near",
    [
        (["library.network=line"], {0: {0}, 1: {1}, 2: {2}, 3: {3}}),
        (["library.network=ring"], {0: {0, 3}, 1: {0, 1}, 2: {1, 2}, 3: {2, 3}}),
        (["library.network=islands"], {0: {0, 2}, 1: {1, 3}, 2: {0, 2}, 3: {1, 3}}),
        (["library.network=islands", "library.islands=3"], {0: {0, 3}, 1: {1}, 2: {2}, 3: {0, 3}}),
        (["library.network=islands", "library.islands=1"], {p: {0, 1, 2, 3} for p in range(4)}),
    ],
)
def test_network_follows_places_not_agents(given: list[str], near: dict[int, set[int]], tmp_path: Path) -> None:
    with society(tmp_path, *given) as arena:
        for agent, place in arena.state.places.items():
            assert visible_authors(arena.state, agent) == named(arena, near[place]), (agent, place)
        dead, newborn = (a for a, place in arena.state.places.items() if place == 1)
        assert visible_authors(arena.state, newborn) == visible_authors(arena.state, dead)
        assert {dead, newborn} <= (visible_authors(arena.state, newborn) or set())


def test_networks_all_and_self(tmp_path: Path) -> None:
    with society(tmp_path) as arena:
        assert {visible_authors(arena.state, a) for a in arena.state.places} == {None}
    with society(tmp_path / "b", "library.network=self") as arena:
        assert all(visible_authors(arena.state, a) == frozenset({a}) for a in arena.state.places)


def test_definitions_come_from_visible_authors(tmp_path: Path) -> None:
    with society(tmp_path, "library.network=ring") as arena:
        founders = arena.state.living[:4]
        for i, agent in enumerate(founders):
            define(arena, 1, agent, f"w{i}")
        index = DefinitionIndex(arena.state)
        assert [set(index.stored(a)) for a in arena.state.living] == [
            {"w0", "w3"}, {"w0", "w1"}, {"w1", "w2"}, {"w2", "w3"}, {"w0", "w1"},
        ]  # fmt: skip


@pytest.mark.parametrize(
    "given,left",
    [
        ([], {1: None, 9: None}),
        (["lasts=1"], {0: None, 1: None, 2: ((1, 2),), 9: ((8, 9),)}),
        (["lasts=3"], {3: None, 4: ((1, 4),), 9: ((6, 9),)}),
        (["burn=5"], {4: None, 5: ((5, 5),), 9: ((5, 9),)}),
        (["burn=5", "restore=7"], {4: None, 5: ((5, 5),), 6: ((5, 6),), 7: None, 9: None}),
        (["burn=5", "lasts=2"], {4: ((2, 4),), 5: ((5, 5),), 6: ((5, 6),), 8: ((6, 8),)}),
        (["burn=5", "restore=7", "lasts=4"], {6: ((5, 6),), 7: ((3, 7),)}),
    ],
)
def test_expiry_and_burn_leave_spans(given: list[str], left: dict[int, object]) -> None:
    library = make_config({}, [f"library.{g}" for g in given]).library
    assert {now: visible_generations(library, now) for now in left} == left


def test_burned_posts_are_hidden_until_restored(tmp_path: Path) -> None:
    with society(tmp_path, "library.burn=4", "library.restore=6") as arena:
        ada = arena.state.living[0]
        define(arena, 3, ada, "w0")
        define(arena, 4, ada, "w1")
        old, new = entry(arena, ada, 3, "old"), entry(arena, ada, 4, "new")
        for now, names, entries in ((3, {"w0"}, [old]), (5, {"w1"}, [new]), (6, {"w0", "w1"}, [old, new])):
            arena.state.generation.index = now
            test = readable(arena.state, ada)
            assert set(DefinitionIndex(arena.state).stored(ada)) - ({"w1"} if now < 4 else set()) == names, now
            assert [e for e in arena.state.bank.entries if test(e) and e.generation <= now] == entries, now


def test_removed_and_foreign_posts_are_not_trained_on(tmp_path: Path) -> None:
    with society(tmp_path, "library.network=line") as arena:
        ada, bo = arena.state.living[:2]
        kept, gone = define(arena, 1, ada, "w0", "w1")
        publish(arena, Post("retraction", ada, 2, "w1", "was no use", (), gone))
        mine, mine_no_more, strange = (entry(arena, *x) for x in ((ada, 1, kept), (ada, 1, gone), (bo, 1, "other")))
        test = readable(arena.state, ada)
        assert [test(e) for e in (mine, mine_no_more, strange)] == [True, False, False]
        assert [p.title for p in arena.state.library.within(scope(arena.state, ada)).iterate("definition")] == ["w0"]


def test_agents_retire_by_age_but_not_at_the_end(tmp_path: Path) -> None:
    given = ("turnover.policy=age", "turnover.life=2", "generations=4")
    with society(tmp_path, *given) as arena:
        founder, newborn = arena.state.living[0], arena.state.living[-1]  # born in 0 and 3
        found = {}
        for g in range(1, 5):
            arena.state.generation.index = g
            found[g] = (retires_by_age(arena.state, founder), retires_by_age(arena.state, newborn))
        assert found == {1: (False, False), 2: (True, False), 3: (True, False), 4: (False, False)}


@pytest.mark.parametrize("policy", ["tournament", "none"])
def test_other_policies_do_not_retire_by_age(policy: str, tmp_path: Path) -> None:
    with society(tmp_path, f"turnover.policy={policy}", "turnover.life=1") as arena:
        arena.state.generation.index = 2
        assert not any(retires_by_age(arena.state, a) for a in arena.state.living)


@pytest.mark.parametrize(
    "given,says",
    [
        (["restore=3"], "library.*restore is 3, but burn is 0"),
        (["restore=3", "burn=3"], "restore is 3, but burn is 3"),
        (["restore=3", "burn=5"], "restore is 3, but burn is 5"),
        (["network=rings"], "did you mean 'ring'"),
        (["content=shufled"], "did you mean 'shuffled'"),
        (["forget=book"], "did you mean 'books'"),
        (["lasst=3"], "did you mean 'lasts'"),
        (["burn=-1"], "library.burn"),
        (["kinds=[definition,poem]"], "poem"),
    ],
)
def test_wrong_library_config_names_the_key(given: list[str], says: str) -> None:
    with pytest.raises(ValueError, match=says) as error:
        make_config({}, [f"library.{g}" for g in given])
    assert "\n" not in str(error.value)
