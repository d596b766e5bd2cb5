"""The benchmark of the library: it runs, its counts are right, and its posts verify."""

import json
from contextlib import closing
from pathlib import Path

import pytest
from rich.console import Console

from arena.run.store import Store
from arena.tools.bench import library, plans
from arena.tools.bench.run import bench
from culture.library import Library

TINY = library.Size(400, 100, 4, 20, 3, 2)


def test_appended_library_verifies(tmp_path: Path) -> None:
    said: list[str] = []
    with closing(Store(tmp_path / "run.db", create=True)) as store:
        found = library.append(store, library.Writers(library.Size(1500, 500, 4, 20)), said.append)
        held = Library(store.db)
        assert held.count() == 1500 and held.verify() == []
        assert set(held.by_kind()) == {"definition", "lesson", "worked_example"} and len(held.by_author()) == 4
        assert store.db["removals"].count > 0  # some of it edits
    assert found["rate_unchecked"] > found["rate"] > 0 < found["check_us"] < found["post_us"]
    assert len(said) == 3


def test_posts_are_the_same_every_time() -> None:
    one, two = (library.Writers(TINY).batch(3) for _ in range(2))
    assert one == two and len({item.post.id for item in one}) == 100 and all(item.verify() for item in one)


def test_queries_and_targets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every kind of query is run, and the target applies to the slowest."""
    monkeypatch.setattr(library, "QUICK", TINY)
    console = Console(record=True, width=120)
    bench(["library"], plans.Options(quick=True), console, tmp_path / "library.json")
    found = json.loads((tmp_path / "library.json").read_text())["library"]
    assert (found["posts"], found["batch"], found["authors"]) == (400, 100, 4)
    aimed = [q for q in found["questions"] if q["aimed"]]
    assert len(aimed) >= 10 and all(0 <= q["median_ms"] <= q["max_ms"] for q in found["questions"])
    assert found["met"]["search"] is (max(q["max_ms"] for q in aimed) < library.MOST_MS)
    assert found["met"]["append"] is (found["append"]["rate"] >= library.RATE)
    assert {q["question"]: q["found"] for q in aimed}["common words"] == 10
    said = console.export_text()
    assert said.count("target:") == 2 and ("MISSED" in said) is not all(found["met"].values())
