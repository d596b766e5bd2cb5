"""Uplift from pairs: with and without reading, credited to the names used, pulled to the mean where pairs are few."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from arena.report.metrics.generation import AT_WORK
from arena.report.metrics.paired_uplift import Pairs, offspring, paired_interval, uplifts
from arena.run.store import Store


def rows(name: str, generation: int, outcomes: list[tuple[int, int]]) -> list[tuple[int, str, int, str, str, int, int]]:
    found = []
    for i, (with_, without) in enumerate(outcomes):
        for reading, correct in ((0, without), (1, with_)):
            found.append((generation, "greedy", 1, f"a{i}", f"{name} rev | {i}", reading, correct))
    return found


def test_pairs_do_not_depend_on_batches() -> None:
    """Pairs are the same however the rows are batched, and are counted by generation."""
    data = rows("w1", 1, [(1, 0), (1, 1)]) + rows("w1", 2, [(0, 0)]) + rows("w2", 2, [(0, 1)])
    whole, pieces = Pairs(), Pairs()
    whole.add(data)
    for row in data:
        pieces.add([row])
    assert whole.found == pieces.found and not whole.waiting
    assert whole.counts("w1", 1) == Counter({(1, 0): 1, (1, 1): 1, (0, 0): 1})
    assert whole.counts("w1", 2) == Counter({(0, 0): 1}) and whole.counts("w1", 1, 1).total() == 2
    assert not whole.counts("w9", 0)


def test_an_uplift_is_the_paired_difference() -> None:
    found = uplifts({"p": Counter({(1, 0): 60, (0, 1): 10, (1, 1): 20, (0, 0): 10})})["p"]
    assert found.n == 100 and found.with_reading == 0.8 and found.without_reading == 0.3
    assert found.difference == pytest.approx(0.5) and found.low < 0.5 < found.high
    assert found.low == pytest.approx(0.357, abs=0.01)  # b=60.5, c=10.5 of 102


def test_few_pairs_shrink_to_the_mean() -> None:
    """An estimate from few pairs is shrunk to the mean, one from many is not."""
    counts = {f"p{i}": Counter({(1, 0): 10 * i, (0, 0): 100 - 10 * i}) for i in range(10)}
    counts["few"] = Counter({(1, 0): 1})
    found = uplifts(counts)
    mean = sum(u.difference for u in found.values()) / len(found)
    assert mean < found["few"].shrunk < 1.0 == found["few"].difference
    assert abs(found["p9"].shrunk - 0.9) < 0.05
    assert uplifts({"none": Counter()}) == {}


def test_no_information_gives_a_wide_interval() -> None:
    """Without information the interval is wide and stays within its bounds."""
    low, high = paired_interval(1, 0, 1)
    assert -1.0 <= low < 0 < high <= 1.0
    assert paired_interval(500, 500, 1000)[0] < 0 < paired_interval(500, 500, 1000)[1]


def test_offspring_is_counted(undisturbed: Path) -> None:
    store = Store(undisturbed / "run.db")
    found = offspring(store)
    varied = store.query("SELECT COUNT(*) AS n FROM rounds WHERE parent_post IS NOT NULL")[0]["n"]
    posts = {r["id"] for r in store.query("SELECT id FROM posts")}
    store.close()
    assert sum(o.set for o in found.values()) == varied > 0 and set(found) <= posts
    assert all(o.set >= o.valid >= o.learnable >= 0 for o in found.values())


def test_distractors_are_not_reads(tmp_path: Path) -> None:
    """Neither a distractor nor what is trained on is read at work; what could have been withheld is."""
    store = Store(tmp_path / "run.db", create=True)

    def read(number: int, phase: str, propensity: float) -> dict[str, object]:
        where = {"id": str(number), "generation": 1, "phase": phase, "agent": "ada"}
        return {**where, "request": f"g0001r000{number}/solver_0", "post": "x", "propensity": propensity}

    def asked() -> list[str]:
        return [r["id"] for r in store.query(f"SELECT r.id FROM reads r WHERE r.{AT_WORK} ORDER BY r.id")]

    reads = [read(1, "solve", 1.0), read(2, "beside", 0.25), read(3, "sleep", 1.0), read(4, "propose", 1.0)]
    store.insert({"reads": reads})
    assert asked() == ["1", "4"]
    store.insert({"reads": [read(5, "beside", 1.0), read(6, "solve", 0.95)], "withheld": [read(7, "solve", 0.05)]})
    assert asked() == ["1", "4", "6"]
