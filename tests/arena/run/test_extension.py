"""Runs that are extended after their end equal runs of that length."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from arena.config.schema import load_config
from arena.loop import play
from arena.phases.registry import SPECS
from arena.run.extension import UNDO, first_to_replay
from arena.run.ledger import verify
from arena.run.reconfigure import changes
from arena.run.state import Arena
from arena.run.store import Store
from tests.helpers.crashes import Crash
from tests.helpers.culture_runs import EVERYTHING

TINY = (
    "rounds.per_agent=4",
    "measure.final_per_depth=1",
    "measure.passes=1",
    "library.kinds=[definition,worked_example,lesson]",
)
AGED = (*EVERYTHING, "rounds.per_agent=4", "measure.final_per_depth=1", "measure.passes=1")
Made = Callable[..., Path]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Plays a run of some generations to its end, once for each config; its folder."""
    folder, known = tmp_path_factory.mktemp("extended"), dict[tuple[str, ...], Path]()

    def make(generations: int, *overrides: str) -> Path:
        given = (*overrides, f"generations={generations}")
        if given not in known:
            config = load_config("configs/tiny.yaml", [f"run.folder={folder}", f"run.name=r{len(known)}", *given])
            with Arena.create(config) as arena:
                assert play(arena)
            known[given] = arena.folder
        return known[given]

    return make


@pytest.fixture
def copy(made: Made, tmp_path: Path) -> Made:
    def make(generations: int, *overrides: str) -> Path:
        shutil.copytree(made(generations, *overrides), tmp_path / "copy")
        return tmp_path / "copy"

    return make


def digest(folder: Path) -> str:
    store = Store(folder / "run.db")
    try:
        assert verify(store) == []
        return store.digest()
    finally:
        store.close()


def extend(folder: Path, *overrides: str) -> str:
    with Arena.open(folder, overrides) as arena:
        assert play(arena)
    return digest(folder)


def files(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in (folder / "adapters").rglob("*") if p.is_file()}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "phase"),
    [
        (("turnover.every=0", *TINY), "final"),
        (("turnover.every=2", *TINY), "turnover"),  # an agent would have retired in generation 4
        (("turnover.every=2", "turnover.inherit=library", *TINY), "turnover"),  # its newborn is trained: another head
        (("turnover.every=0", "turnover.consolidate=2", *TINY), "turnover"),
        (("turnover.policy=age", "turnover.life=2", "turnover.inherit=weights", *TINY), "turnover"),
        (("turnover.policy=age", "turnover.life=2", "turnover.inherit=library", *TINY), "sleep"),
        (("sleep.enabled=false", "turnover.every=2", *TINY), "turnover"),
        (("store.retention=2", "turnover.every=2", *TINY), "turnover"),
        ((*AGED, "measure.collapse=2"), "turnover"),
    ],
)
def test_extended_run_equals_a_longer_run(overrides: tuple[str, ...], phase: str, made: Made, copy: Made) -> None:
    folder, whole = copy(4, *overrides), made(6, *overrides)
    store, before = Store(folder / "run.db"), load_config(folder / "config.yaml")
    assert first_to_replay(store, before, before.model_copy(update={"generations": 6})) == phase
    store.close()
    assert digest(folder) != digest(whole)
    assert extend(folder, "generations=6") == digest(whole)
    assert files(folder) == files(whole)
    assert list(changes(load_config(folder / "config.yaml"), load_config(whole / "config.yaml"))) == ["run.name"]


def test_run_extended_twice_from_nothing(made: Made, copy: Made) -> None:
    folder = copy(0, *TINY)
    for more in (1, 3):
        found = extend(folder, f"generations={more}")
    assert found == digest(made(3, *TINY))


def test_removed_tables_are_those_of_the_phases() -> None:
    for name, tables in UNDO.items():
        assert {*SPECS[name].tables} <= {*tables} and {*tables} - {*SPECS[name].tables} <= {"leaves", "heads"}, name
        assert SPECS[name].seals == ("heads" in tables)


def test_run_that_ended_at_a_compute_limit_goes_on(made: Made, tmp_path: Path) -> None:
    given = [f"run.folder={tmp_path}", "run.name=short", *TINY, "generations=3", "limits.compute=1"]
    with Arena.create(load_config("configs/tiny.yaml", given)) as arena:
        assert play(arena)
        assert (1, "final") in arena.store.finished()
    assert extend(tmp_path / "short", "limits.compute=null") == digest(made(3, *TINY))


def test_run_killed_while_it_is_extended(made: Made, copy: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = copy(2, *TINY)
    before = digest(folder)
    with monkeypatch.context() as patched:
        patched.setattr("arena.run.state.Arena._restore", _crash)
        with pytest.raises(Crash):
            Arena.open(folder, ["generations=3"])
    assert digest(folder) == before  # nothing was removed
    with monkeypatch.context() as patched:
        patched.setattr("arena.run.state.write_config", _crash)
        with pytest.raises(Crash):
            Arena.open(folder, ["generations=3"])
    assert extend(folder) == before  # the end was removed, and is played again
    assert extend(folder, "generations=3") == digest(made(3, *TINY))


def test_interrupted_last_generation_is_extended(made: Made, tmp_path: Path) -> None:
    given = [f"run.folder={tmp_path}", "run.name=cut", *TINY, "generations=2"]
    with Arena.create(load_config("configs/tiny.yaml", given)) as arena, pytest.raises(Crash):
        play(arena, lambda event, data: _crash() if _after(event, data, 2, "turnover") else None)
    assert extend(tmp_path / "cut", "generations=3") == digest(made(3, *TINY))


def test_finished_run_without_a_change_stays(copy: Made) -> None:
    folder = copy(2, *TINY)
    before = digest(folder)
    assert extend(folder) == extend(folder, "generations=2") == before


@pytest.mark.parametrize("generations", [1, 2, 0])
def test_run_is_not_cut_to_what_it_has_passed(generations: int, made: Made) -> None:
    with pytest.raises(
        ValueError, match=r"is 3 and cannot become \d, because generation 3 has begun .* the least is 4"
    ):
        Arena.open(made(3, *TINY), [f"generations={generations}"])


def _after(event: str, data: dict[str, object], generation: int, phase: str) -> bool:
    return event == "done" and (data["generation"], data["phase"]) == (generation, phase)


def _crash(*_: object) -> None:
    raise Crash
