"""A few fixed inputs for every fuzz target; `python -m tests.fuzz` generates more (tests/fuzz)."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from tests.fuzz.base import Place, Target
from tests.fuzz.targets import TARGETS


@pytest.mark.parametrize(
    "target",
    [pytest.param(t, marks=pytest.mark.slow if t.slow else ()) for t in TARGETS.values()],
    ids=lambda t: t.name,
)
def test_fuzz_target(target: Target, undisturbed: Path, tmp_path: Path) -> None:
    """Hostile input gives a value or a one-line error."""
    place = Place(undisturbed, tmp_path / "here")
    place.scratch.mkdir()

    @settings(
        max_examples=target.examples,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(target.values)
    def attack(value: object) -> None:
        target.attack(place, value)

    attack()
