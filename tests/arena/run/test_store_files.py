"""What lies in place of a run's files is named in one line by every command that reads the run."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from arena.cli.app import app, one_line
from arena.config.schema import load_config
from arena.evals.dataset import read_set
from arena.run.store import Store, check_database
from arena.watch.queries import open_run

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n"


@pytest.fixture
def run(undisturbed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(undisturbed, tmp_path / "run"))


def said(*words: str) -> str:
    """The one line that `main` prints for the error of a command."""
    done = CliRunner().invoke(app, [*words])
    assert isinstance(done.exception, ValueError | OSError), (words, done.output, done.exception)
    return one_line(done.exception)


def put(path: Path, what: str) -> None:
    whole = path.read_bytes()
    path.unlink()
    if what == "folder":
        path.mkdir()
    elif what != "nothing":
        path.write_bytes({"pointer": POINTER, "empty": b"", "page": b"<!DOCTYPE html>", "cut": whole[:5000]}[what])


COMMANDS = (
    ("analyze",),
    ("resume",),
    ("digest",),
    ("export",),
    ("library", "RUN", "verify"),
    ("control", "RUN", "stop"),
    ("eval", "RUN", "arithmetic"),
    ("play",),
)


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("pointer", "run.db is a Git LFS pointer, not the file itself: fetch it with `git lfs pull`"),
        ("empty", "run.db is empty: fetch it again"),
        ("page", "run.db is a web page, not the file itself"),
        ("folder", "run.db is a folder, not a run database"),
        ("nothing", "no run database at"),
        ("cut", "run.db is not a readable run database"),
    ],
)
def test_run_database_that_is_none(run: Path, what: str, says: str) -> None:
    for left in run.glob("run.db-*"):
        left.unlink()
    put(run / "run.db", what)
    for command, *words in COMMANDS:
        line = said(command, *(str(run) if w == "RUN" else w for w in words or ["RUN"]))
        assert says in line and str(run) in line, (command, line)
    with pytest.raises(ValueError, match=re.escape(says)):
        open_run(run)  # as the screens do
    assert not list(run.glob("export")) and (what != "empty" or (run / "run.db").stat().st_size == 0)


@pytest.mark.parametrize(("what", "says"), [("pointer", "this is a Git LFS pointer"), ("page", "this is a web page")])
def test_config_that_is_none(run: Path, what: str, says: str, tmp_path: Path) -> None:
    put(run / "config.yaml", what)
    for words in (["analyze", str(run)], ["resume", str(run)], ["run", str(run / "config.yaml")]):
        assert says in said(*words) and "config.yaml" in said(*words)
    shutil.copy(run / "config.yaml", tmp_path / "trial.yaml")
    assert says in said("experiment", str(tmp_path / "trial.yaml"))


def test_empty_config_is_the_default(tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("")
    assert load_config(tmp_path / "empty.yaml") == load_config(tmp_path / "empty.yaml", {})


@pytest.mark.parametrize(("what", "says"), [("pointer", "is a Git LFS pointer"), ("page", "is a web page")])
def test_evaluation_set_that_is_none(what: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text("{}")
    put(path, what)
    with pytest.raises(ValueError, match=rf"mine.jsonl {says}"):
        read_set(path, {})


def test_second_store_keeps_locks_of_the_first(undisturbed: Path, tmp_path: Path) -> None:
    """Another process that opens and closes the file must not take away the log that the first store reads."""
    shutil.copytree(undisturbed, tmp_path / "run", ignore=shutil.ignore_patterns("run.db-*"))
    path = tmp_path / "run" / "run.db"
    first = Store(path)
    first.set_meta({"a note": "x"})
    with pytest.raises(ValueError, match="no run database"):
        Store(tmp_path / "none.db")
    check_database(path)
    code = "import sqlite3, sys; d = sqlite3.connect(sys.argv[1]); d.execute('SELECT * FROM meta'); d.close()"
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    assert path.with_name("run.db-wal").exists(), "the other process saw no lock and deleted the log"
    assert first.meta()["a note"] == "x"
    first.close()
