"""The sections and files of the report, of a finished, an unfinished, an unmeasured and an empty run."""

import json
import shutil
from pathlib import Path

import pyarrow.parquet as parquet
import pytest

from arena.config.schema import load_config
from arena.loop import play
from arena.report.metrics.run_summary import analyze
from arena.report.metrics.tournament import CACHE
from arena.report.sections import SECTIONS, curriculum, difficulty, summary
from arena.report.source import Source
from arena.report.write import check_keys, write_report
from arena.run.state import Arena
from arena.run.store import Store

HOSTILE = "<script>alert(1)</script></script> $x$ \x1b[31m"


def source_of(folder: Path) -> Source:
    store, config = Store(folder / "run.db"), load_config(folder / "config.yaml")
    return Source(folder, store, config, analyze(store, config))


def copy(folder: Path, to: Path) -> Path:
    to.mkdir()
    for name in ("run.db", "config.yaml"):
        shutil.copy(folder / name, to / name)
    return to


@pytest.fixture(scope="module")
def finished(undisturbed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy(undisturbed, tmp_path_factory.mktemp("finished") / "calm")


def stopped(folder: Path, generation: int, phase: str) -> Path:
    """A run that is stopped as that phase begins."""

    def listen(event: str, data: dict) -> None:
        if event == "phase" and (data["generation"], data["phase"]) == (generation, phase):
            raise KeyboardInterrupt

    config = load_config("configs/tiny.yaml", [f"run.folder={folder}", "run.name=stopped"])
    with Arena.create(config) as arena, pytest.raises(KeyboardInterrupt):
        play(arena, listen)
    return folder / "stopped"


@pytest.fixture(scope="module")
def unfinished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stopped(tmp_path_factory.mktemp("unfinished"), 2, "grade")


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stopped(tmp_path_factory.mktemp("empty"), 0, "birth")


@pytest.fixture(params=["finished", "unfinished", "empty"])
def run(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(request.param)


def test_sections_show_something_or_say_why(run: Path):
    """Every section has content or says why it has none."""
    source = source_of(run)
    sections = [build(source) for build in SECTIONS]
    assert len({s.key for s in sections}) == len(sections)
    for s in sections:
        assert s.findings or s.missing, s.key
        assert all(text.endswith(".") for text in (*s.findings, *s.missing)), s
        for figure in s.figures:
            assert figure.rows and figure.caption and figure.title, figure.key
        for table in s.tables:
            assert table.rows and all(len(row) == len(table.columns) for row in table.rows)
            assert table.right <= set(table.columns)


@pytest.mark.slow
def test_report_files_are_written_and_linked(run: Path):
    """Every file is written and linked, and the page has every section."""
    source = source_of(run)
    page, *others = write_report(source)
    html = page.read_text(encoding="utf-8")
    sections = [build(source) for build in SECTIONS]
    assert all(f'<section id="{s.key}">' in html for s in sections)
    for figure in (f for s in sections for f in s.figures):
        for kind, folder in (("png", "figures"), ("svg", "figures"), ("csv", "data"), ("parquet", "data")):
            path = run / "report" / folder / f"{figure.key}.{kind}"
            assert path in others and path.stat().st_size > 0
            assert f'href="{folder}/{figure.key}.{kind}"' in html
        assert parquet.read_table(run / "report" / "data" / f"{figure.key}.parquet").num_rows == len(figure.rows)
    assert {"heldout.png", "setting.png"} <= {p.name for p in (run / "report").iterdir()}
    kept = {run / CACHE}  # the tournament, which is played once
    assert {p for p in (run / "report").rglob("*") if p.is_file()} - kept == {page, *others}


@pytest.mark.slow
def test_rewriting_removes_only_stale_files(unfinished: Path):
    """Writing a report again removes stale files and touches nothing else."""
    source = source_of(unfinished)
    write_report(source)
    report = unfinished / "report"
    before = {p: p.read_bytes() for p in report.rglob("*") if p.is_file()}
    (report / "figures" / "older.png").write_text("stale")
    (report / "data" / "older.csv").write_text("stale")
    (report / "notes.txt").write_text("mine")
    write_report(source)
    assert (report / "notes.txt").read_text() == "mine"
    (report / "notes.txt").unlink()
    assert {p: p.read_bytes() for p in report.rglob("*") if p.is_file()} == before


def test_smaller_report_removes_old_figures(finished: Path, empty: Path, tmp_path: Path):
    """If a report has fewer figures than before, the old ones are removed."""
    folder = copy(empty, tmp_path / "run")
    (folder / "report" / "figures").mkdir(parents=True)
    (folder / "report" / "figures" / "heldout.png").write_text("an older picture")
    write_report(source_of(folder))
    assert (folder / "report" / "heldout.png").read_bytes()[:4] == b"\x89PNG"
    assert not (folder / "report" / "figures" / "heldout.png").exists()


@pytest.mark.slow
def test_report_changes_nothing_in_the_run(finished: Path):
    """Writing a report changes neither the analysis nor the database."""
    source = source_of(finished)
    digest, analysis = source.store.digest(), json.dumps(source.analysis)
    write_report(source)
    assert source.store.digest() == digest and json.dumps(source.analysis) == analysis


@pytest.mark.slow
def test_agent_text_on_the_page_is_inert(finished: Path, tmp_path: Path):
    """Text of agents is shown on the page and does nothing."""
    folder = copy(finished, tmp_path / "hostile")
    store = Store(folder / "run.db")
    store.db.execute("DROP TRIGGER posts_no_update")
    for table, column in (("problems", "proposal"), ("posts", "body"), ("posts", "author"), ("problems", "author")):
        store.db.execute(f"UPDATE {table} SET {column} = ? || {column}", [HOSTILE])
    store.db.execute("UPDATE problems SET valid = 0, reason = ? WHERE rowid % 3 = 0", [HOSTILE])
    store.db.execute("UPDATE problems SET text = ? || ' ' || text WHERE valid", [HOSTILE])
    for row in store.query("SELECT name, parents FROM agents"):
        parents = json.dumps([HOSTILE + parent for parent in json.loads(row["parents"])])
        store.db.execute(
            "UPDATE agents SET name = ?, parents = ? WHERE name = ?", [HOSTILE + row["name"], parents, row["name"]]
        )
    store.db.execute("UPDATE evaluations SET agent = ? || agent", [HOSTILE])
    store.db.execute("UPDATE attempts SET agent = ? || agent", [HOSTILE])
    store.db.conn.commit()
    page = write_report(source_of(folder))[0].read_text(encoding="utf-8")
    assert "<script>alert" not in page and "&lt;script&gt;alert" in page
    assert page.count("</script>") == page.count("<script")


def test_no_hidden_names_is_stated(finished: Path, tmp_path: Path):
    """A run without hidden names says so."""
    folder = copy(finished, tmp_path / "plain")
    config = load_config(folder / "config.yaml", ["domains={list_programs: {share: 1.0}}"])
    (folder / "config.yaml").write_text(config.to_yaml())
    store = Store(folder / "run.db")
    for table in ("problems", "evaluations"):
        store.db.execute(f"DELETE FROM {table} WHERE domain = 'hidden_words'")
    store.db.conn.commit()
    source = source_of(folder)
    assert any("no domain with hidden names" in m for m in curriculum.section(source).missing)
    assert any("the run has none" in m for m in summary.section(source).missing)


def test_shares_of_fates_add_up_to_what_was_set(finished: Path):
    source = source_of(finished)
    figure = next(f for f in curriculum.section(source).figures if f.key == "fates")
    for row, played in zip(figure.rows, source.analysis["generations"], strict=True):
        assert sum(n for key, n in row.items() if key != "generation") == played["proposed"]
        assert row["learnable"] == played["learnable"]


def test_solver_ability_is_of_the_generation_before(finished: Path):
    """The ability of solvers is that measured in the generation before."""
    source = source_of(finished)
    scale = difficulty.measure(source)
    assert scale is not None
    tried = source.store.query(
        "SELECT COUNT(DISTINCT a.round) AS n FROM attempts a JOIN problems p ON p.round = a.round"
        " WHERE p.domain = 'list_programs'"
    )
    assert len(scale.set_) == tried[0]["n"] and not scale.unmeasured
    assert scale.living[0] == [difficulty.BASE]  # one model before anyone slept
    measured = source.store.query("SELECT DISTINCT agent FROM evaluations WHERE generation = 3")
    assert set(scale.living[3]) == {r["agent"] for r in measured}


def test_unmeasured_ability_is_stated(finished: Path, tmp_path: Path):
    """Without measurements of each generation the report says that ability is unknown."""
    folder = copy(finished, tmp_path / "rare")
    store = Store(folder / "run.db")
    store.db.execute("DELETE FROM evaluations WHERE mode = 'greedy'")
    store.db.conn.commit()
    section = difficulty.section(source_of(folder))
    assert any("were not measured after the generation before" in m for m in section.missing)
    assert section.figures


def test_lineages_lead_back_to_the_first_population(tmp_path: Path):
    store = Store(tmp_path / "run.db", create=True)
    for number, (name, parents) in enumerate((("a", []), ("b", []), ("c", ["b"]), ("d", ["c", "a"]))):
        row = {"name": name, "number": number, "born": 0, "parents": json.dumps(parents), "inherited": "weights"}
        store.insert({"agents": [{**row, "public_key": ""}]})
    assert difficulty.founders_of(store) == {"a": "a", "b": "b", "c": "b", "d": "b"}


def test_figure_keys_must_be_plain_and_unique():
    """Keys of figures that are not plain file names, or not unique, fail an assertion."""
    check_keys(["a", "b-1"])
    for keys in (["a", "a"], ["../a"], ["A"], [""]):
        with pytest.raises(AssertionError, match="keys"):
            check_keys(keys)
