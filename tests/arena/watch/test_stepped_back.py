"""Stepping back in time shows every screen as of the chosen generation.

The reference is a copy of the run from which everything later was deleted: the screens of the whole run, stepped back,
show what the screens of the copy show.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from arena.config.schema import load_config
from arena.loop import play as play_run
from arena.run.state import Arena
from arena.watch import queries
from arena.watch.app import Watch
from arena.watch.queries import read_only
from arena.watch.screens.rows import Rows
from tests.helpers.screens import copy, press, screen, settle, use

AT = 2


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with births, removals, and posts that were approved after a generation of waiting."""
    folder = tmp_path_factory.mktemp("whole")
    given = ["review=gate", "generations=4", "rounds.per_agent=12", "turnover.every=1", "library.forget=books"]

    def review(event: str, data: dict[str, Any]) -> None:
        if event == "done" and data["phase"] == "measure" and data["generation"] in (1, 2, 3):
            posts = arena.store.query("SELECT id FROM waiting WHERE decided IS NULL ORDER BY rowid")
            for number, row in enumerate(posts[::2]):
                value = "reject" if number % 4 == 3 else "accept"
                arena.store.insert({"control": [{"kind": "decision", "subject": row["id"], "value": value}]})

    with Arena.create(load_config("configs/tiny.yaml", [f"run.folder={folder}", "run.name=whole", *given])) as arena:
        assert play_run(arena, review)
        first = arena.store.query("SELECT id FROM posts ORDER BY seq LIMIT 1")[0]["id"]
        row = {"post": first, "generation": 3, "state": "forgotten", "cause": "", "reason": "unused"}
        arena.store.insert({"removals": [row]})
    return folder / "whole"


def cut_after(folder: Path, at: int) -> None:
    """Delete what is later than generation `at`."""
    with sqlite3.connect(folder / "run.db") as db:
        for (trigger,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            db.execute(f"DROP TRIGGER {trigger}")
        db.execute(
            "DELETE FROM posts WHERE generation > ? OR id IN (SELECT id FROM waiting WHERE decided > ?)", [at] * 2
        )
        db.execute("UPDATE waiting SET decided = NULL WHERE decided > ?", [at])
        db.execute("DELETE FROM agents WHERE born > ?", [at])
        db.execute("DELETE FROM control WHERE taken IS NULL OR taken > ?", [at])
        for (table,) in db.execute(
            "SELECT m.name FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table'"
            " AND c.name = 'generation' AND m.name != 'posts'"
        ).fetchall():
            db.execute(f"DELETE FROM {table} WHERE generation > ?", [at])


@pytest.fixture(scope="module")
def earlier(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copy(whole, tmp_path_factory.mktemp("earlier") / "cut")
    cut_after(folder, AT)
    return folder


def test_the_run_has_something_later(whole: Path) -> None:
    with read_only(whole / "run.db") as db, read_only(whole / "run.db", AT) as then:
        for table in ("posts", "waiting", "agents", "reads", "attempts", "receipts", "retirements", "removals"):
            now, before = (c.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0] for c in (db, then))
            assert before < now and (before or table == "removals"), table
        late = "SELECT COUNT(*) FROM posts p JOIN waiting w ON w.id = p.id WHERE p.generation <= ? AND w.decided > ?"
        assert db.execute(late, [AT, AT]).fetchone()[0]


def test_every_table_is_stepped_back(whole: Path, earlier: Path) -> None:
    """All rows of all tables, except the phases' own bookkeeping that has no generation."""
    with read_only(earlier / "run.db") as cut, read_only(whole / "run.db", AT) as then:
        for (table,) in cut.execute(
            "SELECT name FROM main.sqlite_master WHERE type = 'table' AND sql NOT LIKE '%fts%'"
        ):
            if table in ("meta", "sqlite_sequence") or table.startswith(("posts_fts", "_")):
                continue
            names = ", ".join(row[1] for row in cut.execute(f"PRAGMA main.table_info({table})"))
            found = [c.execute(f"SELECT {names} FROM {table} ORDER BY rowid").fetchall() for c in (cut, then)]
            assert found[0] == found[1], table


def test_stepped_connection_cannot_write(whole: Path) -> None:
    with read_only(whole / "run.db", AT) as db, pytest.raises(sqlite3.Error):
        db.execute("DELETE FROM main.posts")


SCREENS = {
    "rounds": ["2"],
    "a round": ["2", "enter"],
    "agent": ["3"],
    "next agent": ["3", "n"],
    "library": ["4"],
    "library by usefulness": ["4", "u"],
    "library of a kind": ["4", "k", "k"],
    "library search": ["4", "slash", "r", "e", "v", "enter"],
    "a post": ["4", "enter"],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SCREENS)
def test_screen_is_as_of_the_generation(whole: Path, earlier: Path, name: str) -> None:
    """The lines below the top and the timeline are those of the run that ended there."""
    seen = list[list[str]]()

    async def now(app: Watch, pilot: Any) -> None:
        seen.append((await press(app, pilot, *SCREENS[name])).splitlines()[3:-1])

    async def back(app: Watch, pilot: Any) -> None:
        await press(app, pilot, *["left_square_bracket"] * (4 - AT))
        assert app.wanted == AT
        await now(app, pilot)

    use(earlier, now, (120, 60))
    use(whole, back, (120, 60))
    use(whole, now, (120, 60))
    first, second, latest = ([line.rstrip() for line in lines] for lines in seen)
    assert first == second
    assert second != latest or name in ("a round",)


def test_library_follows_the_steps(whole: Path) -> None:
    """Without leaving the screen, also while a search is shown."""

    async def play(app: Watch, pilot: Any) -> None:
        await press(app, pilot, "4")
        counts = [app.query_one("#posts", Rows).row_count]
        for _ in range(4):
            await press(app, pilot, "left_square_bracket")
            counts.append(app.query_one("#posts", Rows).row_count)
        assert counts == sorted(counts, reverse=True) and counts[-1] == 0 < counts[-3] < counts[0]
        assert "no data in this run yet" in screen(app)
        await press(app, pilot, "l", "slash", "r", "e", "v", "enter")
        found = app.query_one("#posts", Rows).row_count
        await press(app, pilot, *["left_square_bracket"] * 2)
        assert app.query_one("#posts", Rows).row_count < found
        await press(app, pilot, "l")
        assert app.query_one("#posts", Rows).row_count == found

    use(whole, play, (120, 60))


def test_agent_that_is_not_born_yet(whole: Path) -> None:
    """Stepping back to before its birth shows an agent of that time."""
    with read_only(whole / "run.db") as db:
        youngest = queries.agent_names(db)[-1]

    async def play(app: Watch, pilot: Any) -> None:
        app.query_one("#agent").name_shown = youngest  # type: ignore[attr-defined]
        assert youngest in await press(app, pilot, "3")
        shown = await press(app, pilot, *["left_square_bracket"] * 4)
        assert f"{youngest}  born" not in shown and "born in generation 0" in shown

    use(whole, play, (120, 60))


def test_review_is_stepped_back_and_takes_nothing(whole: Path, earlier: Path, tmp_path: Path) -> None:
    folder = copy(whole, tmp_path / "copy")
    subjects = list[set[str]]()

    async def now(app: Watch, pilot: Any) -> None:
        await press(app, pilot, "5")
        subjects.append({i.subject for i in app.query_one("#review").items})  # type: ignore[attr-defined]

    async def back(app: Watch, pilot: Any) -> None:
        await press(app, pilot, *["left_square_bracket"] * (4 - AT))
        await now(app, pilot)
        assert f"to decide after generation {AT}" in screen(app) and "To decide: l (latest)" in screen(app)
        await press(app, pilot, "a")
        assert "Accept" in screen(app)
        await press(app, pilot, "l")
        assert "0 decided, not applied yet" in screen(app)
        await settle(app, pilot)

    use(earlier, now)
    use(folder, back)
    assert subjects[0] == subjects[1] and subjects[0]
