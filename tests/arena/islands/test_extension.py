"""Runs of several islands that are extended after their end."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from arena.config.schema import load_config
from arena.islands.cli import reopen
from arena.islands.coordinator import federate
from arena.islands.replica import Replica
from arena.islands.workers import InlineWorkers
from arena.run.ledger import verify
from arena.run.store import Store
from tests.helpers.crashes import Crash
from tests.helpers.island_runs import digest, play

TWO = ("cluster.islands=2", "cluster.posts=24", "rounds.per_agent=6", "measure.per_depth=1")


def digests(folder: Path) -> list[str]:
    assert verify(Store(folder / "run.db")) == []
    return [digest(folder), *(digest(p) for p in sorted((folder / "islands").iterdir()))]


def extend(folder: Path, *overrides: str) -> list[str]:
    assert federate(reopen(folder, overrides), folder, InlineWorkers())
    return digests(folder)


@pytest.mark.slow
@pytest.mark.parametrize(
    "overrides",
    [
        (*TWO, "cluster.every=1"),  # the last generation takes in nothing, and what leaves after it is kept
        (*TWO, "cluster.every=2"),  # what left after generation 2 arrives
        (*TWO, "cluster.every=3", "turnover.every=2"),  # agents would have retired
        ("cluster.islands=1", "rounds.per_agent=4"),
        (*TWO, "cluster.every=2", "sleep.enabled=false"),
    ],
)
def test_extended_islands_equal_a_longer_run(overrides: tuple[str, ...], tmp_path: Path) -> None:
    play(tmp_path / "whole", *overrides, "generations=4")
    play(tmp_path / "short", *overrides, "generations=2")
    assert digests(tmp_path / "short") != digests(tmp_path / "whole")
    assert extend(tmp_path / "short", "generations=4") == digests(tmp_path / "whole")
    assert load_config(tmp_path / "short" / "config.yaml").generations == 4


@pytest.mark.slow
def test_islands_killed_while_they_are_extended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = (*TWO, "cluster.every=1")
    play(tmp_path / "whole", *given, "generations=3")
    play(tmp_path / "short", *given, "generations=2")
    shutil.copytree(tmp_path / "short", tmp_path / "same")
    real = Replica.take_back

    def dies(replica: Replica, generation: int) -> None:
        if replica.index:
            raise Crash
        real(replica, generation)

    for name in ("short", "same"):
        with monkeypatch.context() as patched:
            patched.setattr(Replica, "take_back", dies)
            with pytest.raises(Crash):
                reopen(tmp_path / name, ["generations=3"])
    assert extend(tmp_path / "short", "generations=3") == digests(tmp_path / "whole")
    assert extend(tmp_path / "same") == extend(tmp_path / "same")


def test_islands_are_not_cut(tmp_path: Path) -> None:
    play(tmp_path / "run", "cluster.islands=2", "cluster.every=1", "generations=2")
    with pytest.raises(ValueError, match="generation 2 has begun"):
        reopen(tmp_path / "run", ["generations=1"])
    with pytest.raises(ValueError, match=r"cluster.every of .* is 1 and cannot become 2, because islands and their"):
        reopen(tmp_path / "run", ["cluster.every=2"])
