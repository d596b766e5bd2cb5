"""The shipped config for a real model: its agents set valid problems, solve some, and write posts."""

from __future__ import annotations

from pathlib import Path

import pytest

from arena.config.schema import load_config
from arena.loop import play
from arena.run.state import Arena
from tests.helpers.real_model import real_model

SMALL = ["rounds.per_agent=2", "measure.per_depth=0", "measure.final_per_depth=3", "measure.passes=1", "generations=1"]


@pytest.mark.llm
@pytest.mark.slow
def test_laptop_plays_word_problems(tmp_path: Path) -> None:
    real_model()
    config = load_config("configs/laptop.yaml", [*SMALL, f"run.folder={tmp_path}", "engine.threads=1"])
    with Arena.create(config) as arena:
        play(arena)
        query = arena.store.query
        (problems,) = query("SELECT COUNT(*) AS n, SUM(valid) AS valid FROM problems")
        assert problems["n"] == 8 and problems["valid"] >= 4
        (solved,) = query("SELECT SUM(correct) AS n FROM evaluations WHERE depth = 0 AND mode = 'full'")
        assert solved["n"] >= 2, "three easy problems before and three after"
        assert query("SELECT COUNT(*) AS n FROM attempts WHERE reason != 'no answer'")[0]["n"] > 0
        slept = query("SELECT steps, loss FROM sleeps")
        assert len(slept) == 4 and all(r["steps"] > 0 and r["loss"] > 0 for r in slept)
        wrote = query("SELECT (SELECT COUNT(*) FROM posts WHERE about LIKE 'prose/%') AS posts")[0]["posts"]
        refused = query("SELECT COUNT(*) AS n FROM refusals")[0]["n"]
        assert wrote + refused == 4, "every agent wrote one post"
