"""Ratings, learnability, uplift and offspring on the screens: read in pieces, they equal the report's."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from arena.report.metrics.paired_uplift import EVALUATIONS, Offspring, Pairs, Uplift, offspring, uplifts
from arena.report.stats.ratings import ROLES, Ratings
from arena.run.store import Store
from arena.watch import queries, render, scores
from arena.watch.app import Watch
from arena.watch.history import History
from arena.watch.models import PostRow
from arena.watch.queries import open_run, read_only
from arena.watch.scores import PostScore
from arena.watch.screens.rows import Rows
from tests.helpers.screens import by_hand, press, screen, unplayed, use


def read_whole(folder: Path) -> History:
    history = History(open_run(folder))
    with read_only(folder / "run.db") as db:
        while history.step(db, 0.0):
            pass
    return history


def test_scores_equal_the_report(undisturbed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scores, "PIECE", 7)
    found = read_whole(undisturbed).scores
    store = Store(undisturbed / "run.db")
    ratings = Ratings()
    for g in (1, 2, 3):
        races: dict[str, dict[str, float]] = defaultdict(dict)
        for row in store.rows("rewards", g):
            races[row["role"]][row["agent"]] = row["reward"]
        for role, rewards in races.items():
            ratings.race(g, role, rewards)
    assert found.ratings.history == ratings.history and ratings.history
    name = store.query("SELECT name FROM agents ORDER BY number LIMIT 1")[0]["name"]
    assert found.rating(name, 1)["setter"] == ratings.at("setter", name, 1) != ratings.at("setter", name)
    assert set(found.rating(name, 3)) <= set(ROLES) and not found.rating(name, 0)
    pairs = Pairs()
    pairs.add(tuple(r.values())[1:] for r in store.query(EVALUATIONS))
    assert found.pairs.found == pairs.found and not found.pairs.waiting
    counts = {m.seq: pairs.counts(t, m.generation) for t, m in found.definitions.items()}
    assert found.uplifts_by_post() == {
        m.seq: u for m in found.definitions.values() if (u := uplifts(counts).get(m.seq))
    }  # type: ignore[arg-type]
    numbers = {r["id"]: r["seq"] for r in store.query("SELECT id, seq FROM posts")}
    assert {seq: found.offspring_of(seq) for seq in found.offspring} == {
        numbers[id_]: o for id_, o in offspring(store).items()
    }
    sql = "SELECT p.author, SUM(MAX(o.setter_reward, 0)) AS paid, SUM(o.learnable) AS n FROM problems p"
    rows = store.query(f"{sql} JOIN outcomes o ON o.round = p.round GROUP BY p.author")
    assert found.earnings(3) == {r["author"]: (pytest.approx(r["paid"]), r["n"]) for r in rows}
    store.close()


def test_scores_of_the_handmade_run(made: Path) -> None:
    found = read_whole(made).scores
    assert found.earnings(1) == {"ada": (0.0, 0)} and found.earnings(2) == {"ada": (1.0, 1), "eve": (0.0, 0)}
    with read_only(made / "run.db") as db:
        two, one = queries.posts(db)
    (_, worth), (_, other) = found.post_scores([one, two])
    assert worth.uplift is not None and (worth.uplift.n, worth.uplift.difference) == (4, 0.75)
    assert worth.offspring == Offspring(3, 2, 1) and not worth.shadowed
    assert other == PostScore(None, Offspring(0, 0, 0)) and found.most_useful(9) == [1]
    assert found.author_scores(2)["ada"].uplift == worth.uplift and found.author_scores(1)["ada"].uplift is None
    assert found.author_scores(0) == {}
    ratings = found.rating("ada", 2)["setter"], found.rating("ada", 1)["setter"], found.rating("eve", 2)["setter"]
    assert ratings[1].mu < 25 < ratings[0].mu and ratings[2].mu < 25 and not found.rating("eve", 1)


def test_shadowed_definition_has_no_uplift(made: Path) -> None:
    history = read_whole(made)
    late = PostRow("f" * 64, 9, 2, "definition", "eve", "w1", "w1 = rev dec")
    [(_, worth)] = history.scores.post_scores([late])
    assert worth.shadowed and worth.uplift is None
    assert render.uplift_words("definition", worth) == "not measured: an earlier definition of this name is in force"


def test_uplift_words() -> None:
    few = render.uplift_words("definition", PostScore(Uplift(99, 0.75, 0.0, 0.5, 0.875, 0.7), Offspring(0, 0, 0)))
    assert few.startswith(
        "paired, +0.75 [+0.50, +0.88], 95 % interval: solved 0.75 with reading, 0.00 without, n = 99 pairs"
    )
    assert few.endswith("; too few: detecting a difference of .2 takes about 100")
    assert "few" not in render.uplift_words("definition", PostScore(Uplift(100, 1, 0, 0.9, 1, 1), Offspring(0, 0, 0)))
    nothing = PostScore(None, Offspring(0, 0, 0))
    assert "no problem with this name has been evaluated" in render.uplift_words("definition", nothing)
    assert "with and without reading for definitions only" in render.uplift_words("worked_example", nothing)


def test_screens_show_scores(made: Path) -> None:
    async def play(app: Watch, pilot: Any) -> None:
        ada = next(line for line in screen(app).splitlines() if "ada" in line)
        rating = app.history.scores.rating("ada", 2)["setter"]
        assert ada.split() == [">", "ada", "2", "-", f"{rating.mu:.1f}", "-", "-", "-", "1", "1", "+0.75"]
        shown = await press(app, pilot, "4", "down")
        assert "+0.75 n 4" in shown
        shown = await press(app, pilot, "enter")
        assert "n = 4 pairs; too few: detecting a difference of .2 takes about 100" in " ".join(shown.split())
        assert "3 problems varied from it: 2 valid, 1 learnable" in shown and "it cites no post" in shown
        await press(app, pilot, "escape", "up", "enter")
        assert "└ gen 1 ada: w1 = rev inc" in screen(app)
        shown = await press(app, pilot, "escape", "u")
        assert "1 posts of all kinds, by uplift" in shown and "w1 = rev inc" in shown
        shown = await press(app, pilot, "3")
        assert "> ada  from 0 active" in shown and "└─ eve  from 1 active" in shown and "±" in shown
        await press(app, pilot, "tab", "down", "enter")
        assert app.query_one("#agent").name_shown == "eve" and "eve  born in generation 1" in screen(app)  # type: ignore[attr-defined]
        assert "ada  from 0 active" in screen(app) and "> eve" in screen(app)

    use(made, play)


def test_wide_table_shows_uncertainty(made: Path) -> None:
    async def play(app: Watch, pilot: Any) -> None:
        heads = list(app.query_one("#population", Rows).heads)
        assert heads == ["name", "age", "parents", "set", "solve", "grade", "solved", "earned", "posts", "uplift",
                         "pairs", "learnable", "offspring"]  # fmt: skip
        rating = app.history.scores.rating("eve", 2)["setter"]
        u = app.history.scores.author_scores(2)["ada"].uplift
        assert u is not None and f"{rating.mu:.1f} ±{2 * rating.sigma:.1f}" in screen(app)
        assert f"+0.75 [{u.low:+.2f}, {u.high:+.2f}]" in screen(app) and "1/3" in screen(app)

    use(made, play, (200, 50))


def test_lineage_ends_on_a_cycle(made: Path) -> None:
    ids = [f"{i:064x}" for i in range(5)]
    cites = {4: [3, 2], 3: [1], 2: [1], 1: [0, 4], 0: []}  # 1 cites 4: possible only in a damaged ledger
    with Store(made / "run.db").db.conn as db:
        for i, of in cites.items():
            db.execute(
                "INSERT INTO posts VALUES (?, ?, 1, 'lesson', 'ada', ?, 'b', ?, '', '', '', '', '')",
                [ids[i], 10 + i, f"post {i}", json.dumps([ids[c] for c in of])],
            )
    with read_only(made / "run.db") as connection:
        found = [(a.steps, a.row.title, a.again) for a in queries.lineage(connection, ids[4])]
    assert found == [(1, "post 3", False), (2, "post 1", False), (3, "post 0", False), (3, "post 4", True),
                     (1, "post 2", False), (2, "post 1", True)]  # fmt: skip


def test_replaced_database_is_detected(made: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    fresh = by_hand(unplayed(other))
    store = Store(fresh / "run.db")
    store.db.execute("DELETE FROM phases WHERE generation = 2")
    store.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    store.close()
    history = read_whole(made)
    with read_only(fresh / "run.db") as db:
        assert history.is_of_another_run(db)
    with read_only(made / "run.db") as db:
        assert not history.is_of_another_run(db) and not History(history.run).is_of_another_run(db)
