"""What posts did, by randomised withholding, as people are shown it: on the page, on the terminal, of one post."""

from __future__ import annotations

import io
import json
import random
from pathlib import Path

import pytest
from rich.console import Console

from arena.config.schema import load_config
from arena.export.library.show import facts
from arena.report.figures.figure import Section
from arena.report.figures.matplotlib_backend import save
from arena.report.metrics.randomised_uplift import summary, worths
from arena.report.metrics.run_summary import analyze
from arena.report.sections.culture import worth
from arena.report.source import Source
from arena.report.terminal import print_sections
from arena.run.store import Store
from culture.library import Library
from culture.posts import Post
from culture.uplift import needed
from tests.helpers.libraries import definition, signed

GOOD, IDLE = definition("w1", "w1 = rev inc", "ada"), definition("w2", "w2 = inc rev", "bo")
EXAMPLE = Post("worked_example", "bo", 0, "rev | 1 2", "rev 2 1 answer 2 1", (), "list_programs/r")
FREE = definition("w3", "w3 = dup", "cy")
"""Was never left out."""
SHARE = 0.25


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    config = load_config("configs/tiny.yaml", [f"run.folder={tmp_path}", f"library.withhold={SHARE}"])
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "config.yaml").write_text(config.to_yaml())
    store = Store(tmp_path / "tiny" / "run.db", create=True)
    with store.transaction():
        library = Library(store.db)
        assert [r for _, r in library.add([signed(p) for p in (GOOD, IDLE, EXAMPLE, FREE)], lambda p: None)] == [
            None
        ] * 4
    store.close()
    return tmp_path / "tiny"


def played(folder: Path, n: int) -> Source:
    """`n` problems, each tried twice by one reader, for whom a post was chosen: GOOD lifts .2 to .8, IDLE and EXAMPLE
    do nothing. What is shown beside lifts too, and is no trial."""
    store, rng = Store(folder / "run.db"), random.Random("worth")
    rows: dict[str, list[dict[str, object]]] = {"reads": [], "withheld": [], "attempts": []}
    for i in range(n):
        post = (GOOD, IDLE, EXAMPLE)[i % 3]
        shown = rng.random() >= SHARE
        p = 0.8 if post is GOOD and shown else 0.2 if post is GOOD else 0.5
        request, g = f"r{i}/solver_0", 1 + i % 2
        row = {"generation": g, "agent": "ada", "request": request}
        rows["reads" if shown else "withheld"].append(
            {"id": f"a{i}", "phase": "solve", "post": post.id, "propensity": 1 - SHARE if shown else SHARE, **row}
        )
        rows["reads"].append({"id": f"b{i}", "phase": "beside", "post": FREE.id, "propensity": 0.5, **row})
        for number in range(2):
            right = int(rng.random() < p)
            rows["attempts"].append(
                {"id": f"{request}/{number}", "generation": g, "round": f"r{i}", "agent": "ada", "seat": "solver_0"}
                | {"number": number, "correct": right, "answer_correct": right}
            )
    with store.transaction():
        store.insert(rows)
    config = load_config(folder / "config.yaml")
    return Source(folder, store, config, analyze(store, config))


def words_of(section: Section) -> str:
    return " ".join([*section.findings, *section.missing])


def test_kinds_authors_posts_have_right_counts(empty: Path) -> None:
    """The section gives each kind, author and post its interval and its correct counts."""
    source = played(empty, 900)
    found = worths(source.store)
    assert found is not None and set(found.posts) == {GOOD.id, IDLE.id, EXAMPLE.id}  # what is shown beside is no trial
    assert sum(w.shown + w.withheld for w in found.kinds.values()) == 1800
    assert sum(map(sum, found.problems.values())) == 900
    ada, bo, example = found.authors["ada"], found.authors["bo"], found.kinds["worked_example"]
    assert ada.low < 0.6 < ada.high and ada.low > 0.4 and bo.low < 0 < bo.high and example.low < 0 < example.high
    section = worth.part(source)
    text = words_of(section)
    assert all(s.endswith(".") for s in section.findings) and not section.missing
    d, e = found.kinds["definition"], example
    assert f"for a definition ({d.shown:,} attempts with it, {d.withheld:,} without)" in text
    assert f"for a worked example ({e.shown:,} attempts with it, {e.withheld:,} without)" in text
    assert (
        "above nothing for 1 of 2 and clearly below for 0; most for ada" in text and "intervals do not overlap" in text
    )
    assert "Randomised uplift is not the paired uplift of definitions reported above" in text


def test_states_problems_needed_and_available(empty: Path) -> None:
    """The section states how many problems a comparison needs and how many there were."""
    source = played(empty, 900)
    found = worths(source.store)
    assert found is not None
    most = max(map(min, found.problems.values()))
    text = words_of(worth.part(source))
    assert most < needed(0.2) and f"takes about {needed(0.2)} problems an arm" in text
    assert f"{most} without. Not one of 3 posts has enough" in text and found.enough == []
    assert "where a share of 0.25 is withheld" in text


def test_enough_problems_need_no_caveat(empty: Path) -> None:
    """With enough problems the caveat is gone."""
    source = played(empty, 1500)
    assert "3 of 3 posts have enough." in words_of(worth.part(source))
    assert "guess" not in words_of(worth.part(source))


def test_tries_of_one_problem_are_not_taken_for_two(empty: Path) -> None:
    source = played(empty, 300)
    once = worths(source.store)
    first = "SELECT correct FROM attempts b WHERE b.round = attempts.round AND b.number = 0"
    source.store.db.execute(f"UPDATE attempts SET correct = ({first})")
    alike = worths(source.store)
    source.store.db.execute("DELETE FROM attempts WHERE number = 1")
    half = worths(source.store)
    assert once and alike and half
    one, two = alike.kinds["definition"], half.kinds["definition"]
    assert one.shown == 2 * two.shown and one.error == pytest.approx(two.error, rel=0.02)
    assert one.error and once.kinds["definition"].error and one.error > 1.15 * once.kinds["definition"].error


def test_the_tables_and_figures_hold_the_numbers(empty: Path, tmp_path: Path) -> None:
    source = played(empty, 300)
    section = worth.part(source)
    groups, posts = section.tables
    assert [row[:2] for row in groups.rows] == [
        ("kind", "definition"), ("kind", "worked example"), ("author", "ada"), ("author", "bo"),
    ]  # fmt: skip
    assert posts.rows[0][:2] == ("1", GOOD.body) and len(posts.rows) == 3
    assert all(len(row) == len(t.columns) for t in section.tables for row in t.rows)
    assert [f.key for f in section.figures] == ["worth", "worth-posts"]
    for figure in section.figures:
        json.dumps(figure.rows, allow_nan=False)
        assert all(path.stat().st_size > 1000 for path in save(figure, tmp_path))


def test_only_the_ends_of_many_posts_are_listed(empty: Path) -> None:
    source = played(empty, 3)
    store = source.store
    many = [definition(f"n{i}", f"body {i}", "ada") for i in range(40)]
    with store.transaction():
        Library(store.db).add([signed(p) for p in many], lambda p: None)
        for i, p in enumerate(many):
            for table, propensity in (("reads", 0.75), ("withheld", 0.25)):
                row = (f"{table}{i}", 1, "solve", "ada", f"{table}{i}/solver_0", p.id, propensity)
                store.db.execute(f"INSERT INTO {table} VALUES (?, ?, ?, ?, ?, ?, ?)", row)
                tried = {"id": f"{table}{i}", "round": f"{table}{i}", "seat": "solver_0", "number": 0}
                store.insert({"attempts": [{**tried, "generation": 1, "agent": "ada", "correct": i % 2}]})
    ends = worth.part(source).tables[1]
    assert [row[0] for row in ends.rows] == [*map(str, range(1, 9)), *map(str, range(33, 41))]
    assert ends.caption.startswith("The first and last 8 of 40 posts")


def test_nothing_withheld_is_stated(empty: Path) -> None:
    """A run that withheld no post says so in a sentence."""
    source = played(empty, 30)
    source.store.db.execute("DELETE FROM withheld")
    section = worth.part(source)
    assert not section.findings and not section.figures and not section.tables
    assert section.missing == (
        "The effect of reading cannot be measured by withholding posts: none has been withheld "
        "(library.withhold is 0.25 now; earlier versions withheld nothing).",
    )
    assert summary(source.store) is None and analyze(source.store, source.config)["worth"] is None
    off = Source(empty, source.store, load_config(empty / "config.yaml", ["library.withhold=0"]), {})
    assert "library.withhold is 0; 0.05 withholds one in twenty" in worth.part(off).missing[0]


def test_withheld_without_attempts_is_stated(empty: Path) -> None:
    """Posts withheld from readers that have made no attempt yet are mentioned."""
    source = played(empty, 30)
    source.store.db.execute("DELETE FROM attempts")
    assert worth.part(source).missing[0].endswith("has been made yet.")


def test_an_arm_without_attempts_has_no_difference(empty: Path) -> None:
    source = played(empty, 90)
    source.store.db.execute("DELETE FROM withheld WHERE post = ?", [EXAMPLE.id])
    section = worth.part(source)
    assert "worked example" not in section.findings[0]
    assert {row[-1] for row in section.tables[0].rows if row[1] == "worked example"} == {"-"}
    assert len(section.tables[1].rows) == 2 and "1 post more one arm is empty" in section.figures[1].caption
    told = dict(facts(source.store, EXAMPLE.id))["randomised uplift"]
    assert told.startswith("not known yet: ") and ", 0 without; the mean of its kind is +0.00" in told


def test_the_terminal_shows_the_uplift_by_kind(empty: Path) -> None:
    source, out = played(empty, 300), io.StringIO()
    print_sections(Console(file=out, width=80, color_system=None), [worth.part(source)])
    lines = out.getvalue().splitlines()
    at = next(i for i, line in enumerate(lines) if line.split()[:2] == ["by", "name"])
    assert lines[at].split() == ["by", "name", "posts", "shown", "withheld", "randomised", "uplift"]
    told = source.analysis["worth"]["kinds"]["definition"]
    assert lines[at + 2].split()[:5] == ["kind", "definition", "2", str(told["shown"]), str(told["withheld"])]
    assert "Effect of being shown a post on the share of attempts that succeed" in " ".join(out.getvalue().split())
    assert (source.analysis["worth"]["needed"], source.analysis["worth"]["enough"]) == (95, 0)
    assert "To see a difference of 0.2 on one post takes about 95 problems an arm" in " ".join(out.getvalue().split())
    assert max(map(len, lines)) <= 80


def test_show_gives_uplift_of_one_post(empty: Path) -> None:
    """`library show` gives the effect of withholding one post."""
    source = played(empty, 300)
    found = worths(source.store)
    assert found is not None
    w, told = found.posts[GOOD.id], dict(facts(source.store, GOOD.id))["randomised uplift"]
    assert told.startswith(f"+{w.difference:.2f} [") and f"{w.shown} attempts with it, {w.withheld} without" in told
    assert told.endswith("shrunk towards the mean of its kind")
    assert "randomised uplift" not in dict(facts(source.store, FREE.id))


def test_show_names_the_receipt_that_rejected_a_post(empty: Path) -> None:
    store = Store(empty / "run.db")
    with store.transaction():
        Library(store.db).remove([IDLE.id], 2, "rejected", "abc", "not so")
        names = ("id", "seq", "generation", "kind", "subject", "decision", "note", "body", "public_key", "signature")
        store.insert(
            {"receipts": [dict(zip(names, ("abc", 4, 2, "review", IDLE.id, "reject", "", "{}", "", ""), strict=True))]}
        )
    assert dict(facts(store, IDLE.id))["standing"] == "rejected in generation 2 by the reviewer, receipt 4: not so"
