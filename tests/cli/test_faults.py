"""Errors of the command line: faults of the program are no damage of a run, and terminals have any encoding."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from arena.cli import app
from arena.report.sections import summary
from arena.report.sections.culture import family
from arena.run import faults
from arena.run.integrity import DamagedError, explained
from tests.helpers.command import SCRIPT


def command(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    """Run the command line in this process: exit status, standard output, standard error."""
    with pytest.raises(SystemExit) as ended:
        sys.argv = ["ratchet", *map(str, words)]
        app.main()
    printed = capsys.readouterr()
    return int(ended.value.code or 0), printed.out, printed.err


@pytest.fixture(autouse=True)
def words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "argv", ["ratchet"])
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.delenv("RATCHET_TRACEBACK", raising=False)


def broken(*_: object) -> None:
    raise KeyError("a fault")


def test_failing_section_loses_no_other(
    undisturbed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(summary, "headlines", broken, raising=False)
    monkeypatch.setattr(family, "births", broken)
    status, out, err = command(capsys, "analyze", undisturbed, "--no-plots")
    assert status == faults.STATUS and "Provenance" in out and "Diversity" in out
    assert "the part family of the section culture could not be shown: KeyError: 'a fault'" in " ".join(out.split())
    assert re.search(r"internal error: analyze: the part family of the section culture: KeyError", err)
    assert f"This is a fault of {__file__}. A check of" in err and "found no damage" in err and "Traceback" not in err
    (kept,) = tmp_path.glob("ratchet-traceback-*.txt")
    assert f"The traceback is in {kept}." in err and "in births" not in err and "broken" in kept.read_text()


def test_failing_figure_loses_no_other(
    undisturbed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from arena.report import write

    def save(figure, *more):  # type: ignore[no-untyped-def]
        return broken() if figure.key == "heldout" else []

    monkeypatch.setattr(write, "save", save)
    status, _, err = command(capsys, "analyze", undisturbed, "--out", tmp_path / "out")
    assert status == faults.STATUS and "the files of the figure heldout" in err
    assert (tmp_path / "out" / "index.html").is_file()


def test_damage_is_told_from_a_fault(
    undisturbed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same error is damage if a check of the records finds some, and a fault otherwise."""
    monkeypatch.setattr("arena.report.metrics.run_summary.library", broken)
    status, out, err = command(capsys, "analyze", undisturbed)
    assert (status, out) == (70, "") and err.startswith("internal error: analyze: KeyError: 'a fault' in ")
    assert len(err.splitlines()) == 2
    run = tmp_path / "damaged"
    shutil.copytree(undisturbed, run)
    with sqlite3.connect(run / "run.db") as db:
        db.execute("DELETE FROM rounds WHERE id IN (SELECT id FROM rounds LIMIT 1)")
    status, out, err = command(capsys, "analyze", run)
    assert (status, out) == (2, "") and err.startswith(f"error: {run}/run.db cannot be read: table problems, row 1:")


@pytest.mark.parametrize(
    "words", [("library", "{run}", "search", "dec"), ("export", "{run}"), ("digest", "{run}")], ids=lambda w: w[0]
)
def test_fault_of_any_command(
    undisturbed: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
) -> None:
    run = tmp_path / "run"
    shutil.copytree(undisturbed, run)
    for name in ("export.library.cli.library", "export.export.export_run", "run.store.Store.digest"):
        monkeypatch.setattr(f"arena.{name}", lambda *_: "\ud800".encode("ascii") or broken())
    status, _, err = command(capsys, *(word.format(run=run) for word in words))
    assert status == faults.STATUS and "found no damage" in err
    assert err.startswith(f"internal error: {words[0]}: UnicodeEncodeError")


def test_errors_for_users_pass_unchanged(undisturbed: Path) -> None:
    with pytest.raises(ValueError, match="wrong word"), explained([undisturbed]):
        raise ValueError("wrong word")
    with pytest.raises(OSError, match="locked"), explained([undisturbed]):
        error = sqlite3.OperationalError("database is locked")
        error.sqlite_errorcode = sqlite3.SQLITE_BUSY
        raise error
    with pytest.raises(ZeroDivisionError) as found, explained([undisturbed]):
        0 / 0  # noqa: B018
    assert not isinstance(found.value, DamagedError) and "found no damage" in found.value.__notes__[0]


def test_not_enough_memory_is_no_fault(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.report(MemoryError("8 GiB"), "run") == 2
    assert capsys.readouterr().err == "error: not enough memory: 8 GiB\n"


@pytest.fixture(scope="module")
def accented(undisturbed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose name and texts have letters that ASCII and Latin-1 lack."""
    run = tmp_path_factory.mktemp("accented") / "žluťoučký"
    shutil.copytree(undisturbed, run)
    return run


ENCODINGS = {
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}


@pytest.mark.parametrize(
    ("encoding", "words"),
    [
        ("latin-1", ("library", "{run}", "search", "dec")),
        ("latin-1", ("analyze", "{run}", "--no-plots")),
        ("ascii", ("library", "{run}", "show", "w1")),
        ("ascii", ("play", "{run}", "--rounds", "1")),
        ("C", ("analyze", "{run}", "--no-plots")),
        ("C", ("analyze", "{run}/žluť")),
    ],
    ids=lambda given: given if isinstance(given, str) else given[0],
)
@pytest.mark.slow
def test_terminal_of_another_encoding(accented: Path, encoding: str, words: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT, *(word.format(run=accented) for word in words)],
        input="řev inc\nq\n".encode(),
        capture_output=True,
        env={k: v for k, v in os.environ.items() if k not in ("LANG", "LC_ALL", "LC_CTYPE")} | ENCODINGS[encoding],
    )
    said = (done.stdout + done.stderr).decode("latin-1")
    assert done.returncode in (0, 2) and "internal error" not in said and "Traceback" not in said, said[-500:]
    assert (done.returncode == 2) == (words[-1].endswith("žluť")), said[-500:]
