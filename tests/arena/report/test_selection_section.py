"""The section on selection and transmission: the parts of the Price equation by generation, and sentences on them."""

from __future__ import annotations

from pathlib import Path

import pytest

from arena.config.schema import load_config
from arena.report.metrics.lineage import Descent, readings, variations
from arena.report.metrics.run_summary import analyze
from arena.report.sections.culture.selection import DEPTHS, part, rows, sentence
from arena.report.source import Source
from arena.run.store import Store


def descent(*depths: float, offspring: tuple[tuple[int, float], ...]) -> Descent:
    """Parents by their place; each of `offspring` names one and has a depth of its own."""
    parents = {str(i): depth for i, depth in enumerate(depths)}
    return Descent(parents, [((str(parent),), depth) for parent, depth in offspring])


def test_rows_split_the_change(tmp_path: Path) -> None:
    found = rows("depth", {1: descent(2, 4, offspring=((1, 5.0), (1, 5.0))), 2: descent(3, offspring=())})
    (row,) = found  # of generation 2 nothing was varied
    assert (row["generation"], row["parents"], row["offspring"]) == (1, 2, 2)
    assert (row["selection"], row["transmission"], row["change"]) == (1.0, 1.0, 2.0)


@pytest.mark.parametrize(
    ("parent", "said"), [(1, "vary deeper ones"), (0, "vary shallower ones"), (None, "neither deeper nor shallower")]
)
def test_sentence_names_the_side(parent: int | None, said: str) -> None:
    chosen = [parent if parent is not None else g % 2 for g in range(6)]
    each = {g: descent(2, 4 + 0.1 * g, offspring=((at, 3.0),)) for g, at in enumerate(chosen)}
    (text,) = sentence(rows("depth", each), DEPTHS)
    assert said in text and text.count("[") == 3


def test_few_generations_say_nothing() -> None:
    assert sentence(rows("depth", {g: descent(2, offspring=((0, 3.0),)) for g in (1, 2)}), DEPTHS) == []


def test_parts_add_up_on_a_played_run(undisturbed: Path) -> None:
    store, config = Store(undisturbed / "run.db"), load_config(undisturbed / "config.yaml")
    found = [*rows("depth", variations(store)), *rows("level", readings(store))]
    assert {row["trait"] for row in found} == {"depth", "level"}
    for row in found:
        assert row["selection"] + row["transmission"] == pytest.approx(row["change"])
        assert row["trait"] == "depth" or row["transmission"] == 0
    made = part(Source(undisturbed, store, config, analyze(store, config)))
    assert {f.key for f in made.figures} <= {"selection"} and not made.missing
    store.close()
