"""What the report, the terminal and the Arena screen say of readings whose truth is known."""

from __future__ import annotations

import io
import json
import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from arena.config.schema import Config, load_config, make_config
from arena.phases.measure.ratchet_meter import LIBRARIES
from arena.report.figures.figure import Section
from arena.report.metrics.ratchet import SCHOOLS, readings, rise, schools, summary
from arena.report.metrics.run_summary import analyze
from arena.report.sections import culture
from arena.report.sections.culture import ratchet
from arena.report.source import Source
from arena.report.terminal import print_sections
from arena.run.store import Store
from arena.watch.queries import generations
from tests.helpers.screens import phase_row, press, use

N = 40
KNOWN = {5: 10, 10: 20, 15: 30}
"""Of N problems that need a definition, those whose definition the library holds after a generation."""


def row(
    g: int, mind: str, library: str, needs: int, i: int, correct: int, follows: int | None = None
) -> dict[str, Any]:
    domain = "hidden_words" if needs else "list_programs"
    return {"id": f"{g}/{mind}/{library}/{needs}/{i}", "generation": g, "mind": mind, "library": library,
            "domain": domain, "depth": 1 + i % 4, "needs": needs, "problem": f"w{i} rev | {i}", "correct": correct,
            "answer_correct": correct, "follows": follows}  # fmt: skip


def read_out(store: Store, known: dict[int, int] = KNOWN, needs: tuple[int, ...] = (1, 0)) -> None:
    """Readings of a library that grows: a problem is solved where its definition is shown, by weights never; the living
    solve 10 of N problems without names more than the newborn. With a wrong definition, of problems that have one,
    every fifth is solved all the same, every second of the others is answered as it says, the first tells nothing."""
    rows, first = [], min(known)
    for g, n in known.items():
        shown = {"none": 0, "wrong": 0, "first": known[first], "own": n, "filler": 0, "shuffled": 0, "authors": n // 2}
        shown["stale"] = known.get(g - 5, 0)
        for i in range(N):
            if 1 in needs:
                rows += [row(g, "newborn", library, 1, i, int(i < shown[library])) for library in LIBRARIES[:-1]]
                right = int(i < n and i % 5 == 0)
                follows = int(i % 5 > 0 and i % 2) if 0 < i < n else None
                rows.append(row(g, "newborn", "wrong", 1, i, right, follows))
                rows += [row(g, "living", library, 1, i, int(i < shown[library])) for library in ("none", "own")]
            if 0 in needs:
                rows += [row(g, "newborn", library, 0, i, int(i < 20)) for library in ("none", "own")]
                rows += [row(g, "living", library, 0, i, int(i < 30)) for library in ("none", "own")]
    with store.transaction():
        store.insert({"ratchet": rows})


@pytest.fixture
def store(empty: Path) -> Store:
    found = Store(empty / "run.db")
    read_out(found)
    return found


def config(every: int = 5) -> Config:
    return make_config({"measure": {"ratchet": {"every": every}}, "domains": {"hidden_words": {"share": 1.0}}})


def part(store: Store, every: int = 5) -> Section:
    return ratchet.part(Source(store.path.parent, store, config(every), {}))


# -- numbers -----------------------------------------------------------------------------------------------------


def test_the_numbers_of_a_library_that_grows(store: Store) -> None:
    found = readings(store)
    assert [r.generation for r in found] == [5, 10, 15]
    last = found[-1]
    assert last.rate("newborn", "own").value == 0.75 and last.rate("newborn", "first").value == 0.25
    assert [r.above("first").value for r in found] == [0.0, 0.25, 0.5]
    assert last.above("stale").value == 0.25 and last.above("authors").value == pytest.approx(0.375)
    assert last.learned(0).value == 0.25 and last.learned(1).value == 0.0
    parts = last.channels()
    assert (parts.text.value, parts.weights.value, parts.synergy.value) == (0.75, 0.0, 0.0)
    e = rise(found)
    assert e.value == pytest.approx(0.05) and 0 < e.low < 0.05 < e.high and e.n == N


def test_a_library_that_is_wiped_has_no_ratchet(empty: Path) -> None:
    store = Store(empty / "run.db")
    read_out(store, {5: 10, 10: 12, 15: 8, 20: 11})
    said = " ".join(part(store).findings)
    assert "R = +0.03" in said and "R does not clearly rise or fall" in said
    assert "not clearly more than with the library as it was 5 generations before" in said


def test_ratchet_is_paired_by_problem(store: Store) -> None:
    """Only problems that were asked with both libraries count."""
    with store.transaction():
        store.insert({"ratchet": [row(15, "newborn", "own", 1, 999, 1)]})
    last = readings(store)[-1]
    assert last.rate("newborn", "own").n == N + 1 and last.above("first").n == N and last.above("first").value == 0.5


def test_followed_wrong_definitions_are_counted(store: Store) -> None:
    """Answers that follow a wrong definition are counted where it makes a wrong answer."""
    last = readings(store)[-1]
    follows, right = last.followed()
    # of i = 1 to 29: 5, 10, 15, 20, 25 are right; of the 24 others the odd ones (15 less 5, 15 and 25) follow
    assert follows.n == right.n == 29 and follows.value == 12 / 29 and right.value == 5 / 29
    assert 0.2 < follows.low < 12 / 29 < follows.high < 0.6
    assert last.above("wrong").value == (30 - 6) / N


# -- schools -----------------------------------------------------------------------------------------------------

TAUGHT = {"none": (4, 0), "early": (6, 0), "late": (8, 2), "any": (7, 1), "hard_early": (9, 0), "hard_late": (5, 0),
          "hard_any": (7, 0)}  # fmt: skip
"""Of ten problems a depth, those solved at depths 3 to 6, and at 7 and 8."""


def teach(store: Store, g: int, taught: dict[str, tuple[int, int]] = TAUGHT) -> None:
    rows = [
        row(g, "schooled", f"school_{school}", 0, i, int(i < solved[depth > 6]))
        | {"id": f"{g}/{school}/{depth}/{i}", "depth": depth}
        for school, solved in taught.items()
        for depth in range(1, 9)
        for i in range(10)
    ]
    with store.transaction():
        store.insert({"ratchet": rows})


def test_schools_are_paired_by_problem(empty: Path) -> None:
    """Schools are compared by problem within a group of depths."""
    store = Store(empty / "run.db")
    assert schools(store) is None
    teach(store, 5, {"none": (10, 10)})
    teach(store, 9)
    found = schools(store)
    assert found is not None and found.generation == 9 and found.names() == list(SCHOOLS)
    late, early = found.rate("school_late", "3-6"), found.rate("school_early", "3-6")
    assert (late.value, late.n, early.value) == (0.8, 40, 0.6)
    assert found.rate("school_late", "3-8").value == pytest.approx((4 * 8 + 2 * 2) / 60)
    up = found.above("school_late", "school_early", "3-6")
    assert up.value == pytest.approx(0.2) and 0 < up.low < 0.2 < up.high and up.n == 40
    # paired: only 8 problems differ, so the interval is narrower than that of two independent rates
    assert up.high - up.low < 0.3
    assert found.above("school_hard_late", "school_hard_early", "3-6").value == pytest.approx(-0.4)


def test_schools_are_not_readings(empty: Path) -> None:
    """Schools are reported without readings of the ratchet, and are no readings themselves."""
    store = Store(empty / "run.db")
    teach(store, 9)
    assert readings(store) == []
    found = part(store, 0)
    assert found.findings[0].startswith(
        "A newborn that sleeps on late posts solves more than one on early posts: +0.20"
    )
    assert "late posts, drawn hard problems first, solves less" in found.findings[1] and len(found.findings) == 2
    assert "was not measured in this run" in found.missing[0] and not found.figures
    (table,) = found.tables
    assert [r[0] for r in table.rows] == list(SCHOOLS.values()) and {len(r) for r in table.rows} == {5}
    assert table.rows[2][1].startswith("0.80 [") and table.rows[2][2].startswith("+0.40 [") and table.rows[0][2] == ""
    assert "(40 of depths 3-6)" in table.caption


def test_schools_do_not_change_the_slope(store: Store) -> None:
    """A school after the last reading does not change the slope."""
    before = rise(readings(store))
    teach(store, 16)
    assert rise(readings(store)) == before and summary(store)["slope"]["n"] == N  # type: ignore[index]
    text = " ".join(part(store).findings)
    assert "With the library of generation 15" in text and "sleeps on late posts" in text


def printed(made: Section) -> str:
    file = io.StringIO()
    print_sections(Console(file=file, width=80), [made])
    return file.getvalue()


def test_the_terminal_tells_of_schools_in_80_columns(store: Store) -> None:
    teach(store, 15)
    text, said = printed(part(store)), " ".join(printed(part(store)).split())
    assert max(map(len, text.splitlines())) <= 80
    (late,) = [row for row in part(store).tables[1].rows if row[0] == "late posts"]
    assert [cell.partition(" ")[0] for cell in late[1:]] == ["0.80", "+0.40", "0.60", "+0.33"]
    assert (late[2], late[4]) == ("+0.40 [+0.23, +0.54]", "+0.33 [+0.20, +0.44]")
    assert len([row for row in part(store).tables[1].rows if row[0] == "seed examples"]) == 1
    assert "sleeps on late posts solves more than one on early posts: +0.20 [" in said
    assert re.search(r"drawn hard problems first, solves .* and -0\.27 \[\S+ \S+ at depths 3-8\.", said)
    assert "followed it in 12 of 29 problems (0.41 [0.26, 0.59]), and was right in the true world in" in said
    assert re.search(r"in the true world in \d+ \(0\.17 \[", said)


# -- words and figures -------------------------------------------------------------------------------------------


def test_ratchet_findings_name_level_and_controls(store: Store) -> None:
    """The findings give R, the controls, and the channels."""
    said = part(store).findings
    assert all(s.endswith(".") and "nan" not in s and "None" not in s for s in said)
    text = " ".join(said)
    assert said[0].startswith("With the library of generation 15 a frozen newborn solves 0.75 of 40 held-out problems")
    assert "the ratchet stands at R = +0.50 [" in said[0]
    assert "it solves clearly more than with each control: nothing (+0.75" in text
    assert "wrong definitions (+0.60 [" in text
    assert "With a wrong definition the answer followed it in 12 of 29 problems (0.41 [0.26, 0.59])" in text
    assert "and was right in the true world in 5 (0.17 [" in text
    assert "clearly more than with the library as it was 5 generations before (+0.25" in text
    assert "Over 3 readings, from generation 5 to 15, R rises: +0.050 [" in text
    assert "by text +0.75 [" in text and "by weights +0.00, and" in text
    assert "the newborn solves 0.50 and the living 0.75 (+0.25 [" in text


def test_a_control_that_does_as_well_is_named(store: Store) -> None:
    with store.transaction():
        store.db.execute(
            "UPDATE ratchet SET correct = 1 WHERE library = 'filler' AND CAST(substr(problem, 2) AS INT) < 30"
        )
    text = " ".join(part(store).findings)
    assert "it does not solve clearly more than with filler of equal length; its lead over each" in text
    assert "filler of equal length (+0.00 [" in text


def test_ratchet_figures_have_finite_rows(store: Store) -> None:
    """Every figure has its rows, all finite."""
    figures = {f.key: f for f in part(store).figures}
    assert set(figures) == {"ratchet", "channels", "ratchet-needs"}
    for figure in figures.values():
        json.dumps(figure.rows, allow_nan=False)
        for panel in figure.panels:
            assert isinstance(panel.content, tuple)
            for series in panel.content:
                assert series.x == (5, 10, 15) and len(series.y) == 3
    names = [s.name for s in figures["ratchet"].panels[0].content]  # type: ignore[union-attr]
    assert names[0] == "its own library" and len(names) == len(LIBRARIES) and "that of 5 generations ago" in names
    own = [r for r in figures["ratchet"].rows if r["library"] == "first"]
    assert [r["own_is_above_by"] for r in own] == [0.0, 0.25, 0.5] and {r["follows"] for r in own} == {None}
    told = [r for r in figures["ratchet"].rows if r["library"] == "wrong"][-1]
    assert (told["follows"], told["right_answer"], told["asked"]) == (12 / 29, 5 / 29, 29)


def test_one_reading_is_told_without_a_trend(empty: Path) -> None:
    store = Store(empty / "run.db")
    read_out(store, {5: 10})
    found = part(store)
    assert "R = +0.00" in found.findings[0] and not any("Over" in s for s in found.findings)
    assert len(found.figures) == 3 and not found.missing


@pytest.mark.parametrize(
    ("every", "needs", "said"),
    [
        (0, (), "`measure.ratchet.every=5` takes a reading every fifth generation"),
        (5, (), "a reading waits until it costs at most `measure.ratchet.share` (0.1)"),
        (5, (0,), "no domain with names to look up"),
    ],
)
def test_a_run_without_readings_is_told_why_and_how(empty: Path, every: int, needs: tuple[int, ...], said: str) -> None:
    store = Store(empty / "run.db")
    if needs:
        read_out(store, needs=needs)
    found = part(store, every)
    assert said in found.missing[0] and not found.findings and not found.figures
    assert all(s.endswith(".") for s in found.missing)


def test_missing_ratchet_is_stated(made: Path) -> None:
    """The section on culture says what is missing, and only if it is missing."""
    store, given = Store(made / "run.db"), load_config(made / "config.yaml")
    source = Source(made, store, given, analyze(store, given))
    assert any("measure.ratchet.every" in s for s in culture.section(source).missing)
    read_out(store)
    found = culture.section(source)
    assert not any("ratchet" in s for s in found.missing) and any("R = +0.50" in s for s in found.findings)
    assert "ratchet" in [f.key for f in found.figures]
    store.close()


# -- terminal and screen -----------------------------------------------------------------------------------------


def test_the_terminal_table_fits_80_columns(store: Store) -> None:
    json.dumps(analyze(store, config()), allow_nan=False)
    text = printed(part(store))
    row = next(line for line in text.splitlines() if line.split()[:1] == ["15"])
    assert row.split() == ["15", "0.00", "0.25", "0.75", "0.00", "0.00", "0.38", "0.50", "+0.50", "[+0.32,", "+0.63]"]
    assert "R rises: +0.050 [" in " ".join(text.split()) and max(map(len, text.splitlines())) <= 80


def test_without_readings_nothing_is_printed(empty: Path) -> None:
    store = Store(empty / "run.db")
    assert summary(store) is None and analyze(store, config())["ratchet"] is None
    read_out(store, needs=(0,))
    assert summary(store) is not None
    made = part(store)
    assert (made.findings, made.tables, made.figures) == ((), (), ()) and "has no readings" in made.missing[0]


def test_the_screen_counts_what_the_report_counts(store: Store) -> None:
    with sqlite3.connect(store.path) as db:
        assert generations.ratchet(db, 15) == (40, 30, 20, 0)
        assert generations.ratchet(db, 14) is None


def test_screen_shows_last_reading_so_far(made: Path) -> None:
    """The Arena screen shows the last reading up to the shown generation."""
    store = Store(made / "run.db")
    with store.transaction():
        store.insert({"phases": [phase_row(2, "final")]})
    read_out(store, {1: 10, 2: 30})
    store.close()

    async def play(app: Any, pilot: Any) -> None:
        assert "ratchet, generation 2: newborn 0.75, R +0.50 [+0.32, +0.63]" in await press(app, pilot, "1")
        assert "ratchet, generation 1: newborn 0.25, R +0.00" in await press(app, pilot, "left_square_bracket")

    use(made, play)
