"""Part `llm` of the benchmark: its cases, and the work of our side and of the limit."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.prefixes import common
from arena.config.shipped import SEED_FOLDER
from arena.tools.bench import llm, plans
from arena.tools.bench.roofline_ours import LIMIT


def test_llm_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its sides do the same work: our own and the limit, run with the shipped model in place of a large one."""
    monkeypatch.setattr(
        llm, "texts", lambda count, turn: tuple((f"solve rev | 3 1 {i}", "rev 1 3") for i in range(count))
    )
    options = plans.Options(quick=True, llm=str(SEED_FOLDER))
    planned = list(llm.cases(options, tmp_path))
    assert [c.part for c in planned] == ["llm generate"] * 3 + ["llm learn"]
    for case in (planned[1], planned[3]):
        built = {side.name: side.build() for side in case.sides if side.name in (plans.OURS, LIMIT)}
        tokens = {name: side.run(1).tokens for name, side in built.items()}
        assert tokens[plans.OURS] == tokens[LIMIT] > 0 and case.notes
        assert tokens[plans.OURS] == case.asked or not case.asked


def test_llm_prompts_begin_alike() -> None:
    (a, solution), (b, _) = llm.texts(2, 1)
    assert a != b and common(a.split(), b.split()) > len(a.split()) / 2 and solution
