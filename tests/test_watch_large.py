"""A run of a million attempts: nothing that any screen asks reads a table whole."""

from __future__ import annotations

from pathlib import Path

import pytest
from watching import phase_row

from arena.config import load_config
from arena.store import Store
from arena.watch import data, texts
from arena.watch.data import open_run, reading
from arena.watch.history import History

GENERATIONS, EACH, TRIES = 250, 1000, 4


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of a million attempts, filled by SQL."""
    folder = tmp_path_factory.mktemp("large")
    config = load_config("configs/tiny.yaml", [f"generations={GENERATIONS}"])
    (folder / "config.yaml").write_text(config.to_yaml())
    store = Store(folder / "run.db", create=True)
    db = store.db.conn
    db.execute("PRAGMA synchronous=OFF")
    count = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
    g, name = f"(i / {EACH} + 1)", "('a' || (i % 8))"
    id_ = f"printf('g%04dr%04d', {g}, i % {EACH})"
    top = GENERATIONS * EACH - 1
    with store.transaction():
        db.execute(f"{count} INSERT INTO agents SELECT {name}, i, 0, '[]', '', '' FROM n", [7])
        db.execute(
            f"{count} INSERT INTO problems SELECT {id_}, {g}, 'list_programs', {name}, 'p', 'p', 1, 'ok', '', 4, i, i,"
            " NULL, NULL, 1 FROM n", [top])  # fmt: skip
        db.execute(f"{count} INSERT INTO outcomes SELECT {id_}, {g}, 0.5, 1, 1.0 FROM n", [top])
        db.execute(
            "INSERT INTO attempts SELECT p.round || '/' || k.value, p.generation, p.round, p.author, 's', k.value,"
            f" '[]', 't', 1, 1, 'ok', NULL, '1', NULL, 1"
            f" FROM problems p, json_each('{list(range(TRIES))}') k")  # fmt: skip
        db.execute(
            f"{count} INSERT INTO posts SELECT printf('%064x', i), i + 1, {g}, 'worked_example', {name}, 't', 'b',"
            " '[]', '', '', '' FROM n", [top // 10])  # fmt: skip
        db.execute(
            f"{count} INSERT INTO reads SELECT i, {g}, 'solve', {name}, 'q', printf('%064x', i / 10), 1.0 FROM n", [top]
        )
        for generation in range(1, GENERATIONS + 1):
            store.insert({"phases": [phase_row(generation, p) for p in texts.LOOP]})
    store.close()
    return folder


@pytest.mark.slow
def test_a_refresh_of_a_million_attempts_reads_no_table_whole(large: Path) -> None:
    """Every statement that any screen sends is explained; none may scan a table that grows with the attempts."""
    run = open_run(large)
    history, sent = History(run), set[str]()
    with reading(run.database) as db:
        assert db.execute("SELECT MAX(rowid) FROM attempts").fetchone() == (GENERATIONS * EACH * TRIES,)
        while history.step(db, 0.0):
            pass  # the first reading; what comes after is a refresh
        db.set_trace_callback(sent.add)
        history.last_phase -= 1
        history.step(db)
        assert history.snapshot(db).latest == GENERATIONS and history.snapshot(db, 3).shown == 3
        assert len(data.rounds(db, 9)) == EACH and len(data.rounds(db, 9, "learnable")) == EACH
        found = data.round_detail(db, "g0009r0001")
        assert found and len(found.attempts) == TRIES
        assert data.life(db, "a1") and len(data.posts(db)) == data.MOST_POSTS
        assert len(data.posts(db, kind="worked_example")) == data.MOST_POSTS and not data.posts(db, kind="lesson")
        assert data.post(db, f"{5:064x}")
        db.set_trace_callback(None)
        sent = {s for s in sent if s.lstrip().upper().startswith("SELECT")}
        assert len(sent) > 15
        large_tables = {"attempts", "a", "reads", "r", "posts", "p", "problems", "outcomes", "o", "grades", "g"}
        for statement in sent:
            for *_, plan in db.execute(f"EXPLAIN QUERY PLAN {statement}"):
                words = plan.split()
                scans = words[0] == "SCAN" and words[1] in large_tables
                # agents and retirements are few; "p" alone may be a subquery that was made small before
                few = words[1:2] in (["a"], ["r"]) and "FROM agents" in statement
                assert not scans or few or "LIMIT 500" in statement, f"{plan}: {statement}"
