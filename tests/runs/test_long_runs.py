"""Long runs: what is kept of old generations, what the disk holds, and that the benchmark sees what grows."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from arena.config.schema import load_config, make_config
from arena.export.export import PARTS, export_run
from arena.loop import play
from arena.report.metrics.run_summary import analyze
from arena.report.source import Source
from arena.report.terminal import print_report
from arena.report.write import build_sections, write_report
from arena.run.adapters import spacing
from arena.run.estimate_size import predict
from arena.run.ledger import verify
from arena.run.retention import GONE, TEXTS, prune_adapters, thin, thinned_until
from arena.run.schema_steps import STEPS
from arena.run.state import Arena, make_domains
from arena.run.store import Row, Store
from arena.tools.bench import long
from arena.watch.queries import open_run, read_only
from arena.watch.queries.rounds import paid_problems, round_detail, rounds
from arena.watch.render.rounds import round_text
from tests.helpers.crashes import Crash, play_through
from tests.helpers.culture_runs import begin, peopled
from tests.helpers.screens import by_hand, unplayed

QUICK = ("generations=6", "rounds.per_agent=3", "rounds.grade=1", "measure.final_per_depth=1", "sleep.enabled=false")
KEEP = 2


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """One run, whole and with the words of two generations."""
    folder = tmp_path_factory.mktemp("long")
    for name, keep in (("whole", 0), ("thinned", KEEP)):
        with begin(folder, name, *QUICK, f"store.retention={keep}") as arena:
            assert play(arena)
    return folder / "whole", folder / "thinned"


def everything(store: Store) -> dict[str, list[Row]]:
    names = [r["name"] for r in store.query("SELECT name FROM sqlite_master WHERE type = 'table'")]
    left = {"telemetry", "thinned", "sqlite_sequence", STEPS.migrations_table}
    left |= {"leaves", "heads"}  # of keys drawn for this run
    return {n: store.query(f"SELECT rowid, * FROM {n}") for n in names if n not in left and "posts_fts_" not in n}


def untimed(value: Any) -> Any:
    """The same data without seconds, and what is computed from them."""
    if isinstance(value, dict):
        return {k: untimed(v) for k, v in value.items() if "second" not in k}
    return [untimed(v) for v in value] if isinstance(value, list) else value


@pytest.mark.slow
def test_retention_removes_old_texts_only(pair: tuple[Path, Path]) -> None:
    whole, thinned = (everything(Store(f / "run.db")) for f in pair)
    assert set(whole) == set(thinned)
    gone = 0
    for table, rows in whole.items():
        for row, left in zip(rows, thinned[table], strict=True):
            words = TEXTS.get(table, ()) if (row.get("generation") or 0) <= 6 - KEEP else ()
            gone += sum(row[w] is not None for w in words)
            expected = row | dict.fromkeys(words)
            secret = {"public_key", "signature"} & set(row)  # drawn anew for each run
            assert {k: v for k, v in expected.items() if k not in secret} == {
                k: v for k, v in left.items() if k not in secret
            }, table
    assert gone > 100


@pytest.mark.slow
def test_late_thinning_gives_the_same_digest(pair: tuple[Path, Path], tmp_path: Path) -> None:
    whole, thinned = pair
    copy = tmp_path / "whole"
    shutil.copytree(whole, copy)
    assert Store(copy / "run.db").digest() != Store(thinned / "run.db").digest()
    with Arena.open(copy, [f"store.retention={KEEP}"]) as arena:
        assert play(arena)
    assert Store(copy / "run.db").digest() == Store(thinned / "run.db").digest()
    store = Store(copy / "run.db")
    with store.transaction():
        store.db.execute("UPDATE thinned SET sha256 = 'another' WHERE generation = 1")
    assert store.digest() != Store(thinned / "run.db").digest()  # it knows the words that are gone


@pytest.mark.slow
def test_thinning_survives_a_crash(pair: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    died = set[int]()

    def dies_once_a_generation(store: Store, generation: int, keep: int) -> int:
        found = thin(store, generation, keep)
        if found and generation not in died:
            died.add(generation)
            raise Crash
        return found

    monkeypatch.setattr("arena.loop.thin", dies_once_a_generation)
    found = play_through(begin(tmp_path, "dying", *QUICK, f"store.retention={KEEP}"))
    assert died == set(range(KEEP + 1, 7))
    assert found == Store(pair[1] / "run.db").digest()


@pytest.mark.slow
def test_readers_work_on_thinned_runs(
    pair: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from rich.console import Console

    whole, thinned = pair
    store = Store(thinned / "run.db")
    config = load_config(thinned / "config.yaml")
    assert verify(store) == [] and thinned_until(store) == 6 - KEEP
    mine, other = analyze(store, config), analyze(Store(whole / "run.db"), config)
    assert untimed(mine) == untimed(other) | {"run": "thinned", "words_gone_until": 6 - KEEP}
    source = Source(tmp_path, store, config, mine)
    sections = build_sections(source, replay=False)
    print_report(Console(), source, sections)
    assert "up to generation 4 were not kept (store.retention)" in " ".join(capsys.readouterr().out.split())
    written = write_report(source, sections)
    assert "were not kept" in written[0].read_text(encoding="utf-8")
    export_run(store, config, thinned, tmp_path / "export", PARTS, "latest", lambda *a: None)
    traces = [json.loads(line) for line in (tmp_path / "export" / "traces.jsonl").read_text().splitlines()]
    tried = [(t["generation"], a) for t in traces for a in t["attempts"]]
    assert all((a["text"] is None) is (a["prompt"] is None) is (g <= 6 - KEEP) for g, a in tried)
    pairs = [json.loads(line) for line in (tmp_path / "export" / "completions.jsonl").read_text().splitlines()]
    assert {p["generation"] for p in pairs} <= {5, 6} and all(p["completion"] is not None for p in pairs)
    assert "up to generation 4 were not kept" in (tmp_path / "export" / "README.md").read_text(encoding="utf-8")


def test_screens_show_removed_texts(tmp_path: Path) -> None:
    folder = by_hand(unplayed(tmp_path))
    store = Store(folder / "run.db")
    before = everything(store)
    with store.transaction():
        assert thin(store, 2, 0) == 0  # all are kept
        assert thin(store, 2, 2) == 0  # none is old enough
        assert thin(store, 2, 1) == 1
        assert thin(store, 2, 1) == 0  # once is enough
    after = everything(store)
    for table, rows in before.items():
        for row, left in zip(rows, after[table], strict=True):
            old = table in TEXTS and row["generation"] == 1
            assert left == (row | dict.fromkeys(TEXTS[table]) if old else row)
    assert thinned_until(store) == 1
    store.close()
    with read_only(open_run(folder).database) as db:
        for g in (1, 2):
            for row in rounds(db, g):
                detail = round_detail(db, row.round)
                assert detail is not None
                assert (detail.proposal == GONE) is (g == 1)
                assert all((a.text == GONE) is (g == 1) for a in detail.attempts)
                assert (GONE in round_text(detail, "variance", 100).plain) is (g == 1)
            assert paid_problems(db, g) is not None


def test_free_pages_are_reused_or_returned(tmp_path: Path) -> None:
    store = Store(tmp_path / "run.db", create=True)

    def attempts(g: int) -> list[dict[str, Any]]:
        return [
            {"id": f"g{g:04d}r{i:04d}/solver_0/0", "generation": g, "round": f"g{g:04d}r{i:04d}", "text": "word " * 400}
            for i in range(50)
        ]

    sizes = []
    for g in range(1, 41):
        with store.transaction():
            store.insert({"attempts": attempts(g)})
            thin(store, g, 3)
        sizes.append(store.query("PRAGMA page_count")[0]["page_count"])
    assert sizes[-1] < 1.3 * sizes[9]  # and without it four times as many
    with store.transaction():
        for g in range(41, 81):
            store.insert({"attempts": attempts(g)})
    full = store.query("PRAGMA page_count")[0]["page_count"]
    with store.transaction():
        assert thin(store, 80, 3) == 40
    assert store.query("PRAGMA page_count")[0]["page_count"] < full / 3
    assert store.query("PRAGMA integrity_check")[0]["integrity_check"] == "ok"


def test_retention_can_change_on_resume(tmp_path: Path) -> None:
    begin(tmp_path, "begun").close()
    with Arena.open(tmp_path / "begun", ["store.retention=5", "store.most_adapters=3"]) as arena:
        assert arena.config.store.retention == 5
    assert load_config(tmp_path / "begun" / "config.yaml").store.retention == 5
    with pytest.raises(ValueError, match=r"unknown key 'store.retentions'; did you mean 'retention'"):
        Arena.open(tmp_path / "begun", ["store.retentions=5"])


@pytest.mark.parametrize("every, most", [(10, 0), (10, 4), (1, 3), (3, 1)])
def test_old_adapters_are_evenly_spaced(every: int, most: int) -> None:
    kept = set[int]()
    for g in range(1, 401):
        kept.add(g)
        step = spacing(g, every, most)
        kept = {k for k in kept if k > g - 2 or k % step == 0}
        old = sorted(k for k in kept if k <= g - 2)
        assert old == list(range(step, g - 1, step))  # nothing that is to stay has gone before
        assert not most or len(old) <= most


def test_adapters_are_pruned_as_configured(tmp_path: Path) -> None:
    for name, most, left in (("all", 0, {10, 20, 30, 39, 40}), ("two", 2, {20, 39, 40})):
        with peopled(tmp_path, name, f"store.most_adapters={most}", generation=40) as arena:
            for g in range(1, 41):
                (arena.folder / "adapters" / f"g{g:04d}" / "ada").mkdir(parents=True, exist_ok=True)
                if g % 5 == 0:
                    (arena.folder / "adapters" / f"commons-g{g:04d}").mkdir()
            prune_adapters(arena)
            found = [p.name for p in (arena.folder / "adapters").iterdir()]
            assert {int(name[1:]) for name in found if name.startswith("g")} == left
            assert sum(name.startswith("commons") for name in found) == (8 if not most else 2)
    with peopled(tmp_path, "none", "store.adapters=0", generation=40) as arena:
        (arena.folder / "adapters" / "g0010").mkdir(parents=True)
        prune_adapters(arena)
        assert not (arena.folder / "adapters" / "g0010").exists()


def test_fitted_slope_interval() -> None:
    bumps = [0.0, 1.0, -1.0, 0.5, -0.5]
    slope, low, high = long.fit([(g, 3.0 + 0.02 * g + bumps[g % 5]) for g in range(100)])
    assert low <= 0.02 <= high and abs(slope - 0.02) < 0.005 and high - low < 0.02
    flat = long.fit([(g, 7.0) for g in range(100)])
    assert flat == (0.0, 0.0, 0.0)
    assert all(x != x for x in long.fit([(0, 1.0), (1, 2.0)]))


def test_predicted_size_grows_with_retention() -> None:
    sizes = []
    for keep in (5, 50, 0):
        config = make_config({"generations": 200, "store": {"retention": keep}})
        found = predict(config, make_domains(config), 1000)
        sizes.append(found.database)
        assert found.database_whole >= found.database
    assert sizes[0] < sizes[1] < sizes[2] == found.database_whole


@pytest.mark.slow
def test_long_run_benchmark(tmp_path: Path) -> None:
    said: list[str] = []
    found = long.measure(12, 3, said.append, tmp_path / "long.png")
    assert [line["generation"] for line in found["lines"]] == list(range(13))
    rest = [line for line in found["lines"] if line["generation"] > 2]
    for name in ("files", "threads", "children"):
        assert len({line[name] for line in rest}) == 1, name
    assert rest[-1]["rss"] - rest[4]["rss"] < 60 * 2**20  # caches fill; a leak of adapters would be larger
    assert 0.5 < rest[-1]["database"] / found["predicted"]["database"] < 2
    assert 0.5 < rest[-1]["adapters"] / found["predicted"]["adapters"] < 2
    assert (tmp_path / "long.png").stat().st_size > 10_000
