"""Shared fixtures of the fault tests."""

from __future__ import annotations

import pytest

from arena.loop import play
from tests.helpers.brief_runs import brief, digest


@pytest.fixture(scope="session")
def calm(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The digest of a brief run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("calm")
    with brief(folder, "calm") as arena:
        play(arena)
    return digest(folder / "calm")
