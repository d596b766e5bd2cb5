"""The benchmark of the sandboxes: it runs, and every side returns the right values."""

import json
from pathlib import Path

import pytest
from rich.console import Console

from arena.tools.bench import sandbox
from arena.tools.bench.plans import Options
from arena.tools.bench.run import bench

TINY = [sandbox.Planned(p.name, 8 * p.together, p.together, p.open, p.head) for p in sandbox.SIDES[:2]]
TINY += [sandbox.Planned(p.name, 8, p.together, p.open, p.head) for p in sandbox.SIDES[2:]]


@pytest.mark.slow
def test_all_sides_are_measured(tmp_path: Path) -> None:
    """The target applies to one call at a time."""
    said: list[str] = []
    found = sandbox.measure(1, False, said.append, TINY)
    assert [side["side"] for side in found["sides"]] == [side.name for side in sandbox.SIDES]
    assert all(0 < side["least"] <= side["rate"] <= side["most"] for side in found["sides"])
    assert found["sides"][-1]["ratio"] == 1.0
    assert found["met"] is (found["sides"][0]["rate"] >= sandbox.RATE)
    assert ("MISSED" in said[-1]) is not found["met"]


def test_sandbox_is_a_part_of_bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sandbox, "measure", lambda repeats, quick, say: {"quick": quick})
    bench(["sandbox"], Options(quick=True), Console(), tmp_path / "sandbox.json")
    assert json.loads((tmp_path / "sandbox.json").read_text())["sandbox"] == {"quick": True}
