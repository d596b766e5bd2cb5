"""Containment: paths from data, and links in a run folder, cannot lead out of the folder."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from arena.cli.app import app
from arena.run.paths import LONGEST_PART, check_folder, inside

BAD = (
    "",
    ".",
    "..",
    "../x",
    "a/../../x",
    "a/..",
    "/etc/passwd",
    "//etc/passwd",
    "a//b",
    "a/./b",
    "a\0b",
    "a\nb",
    "a\u202eb",
    "a\udc80b",
    "x" * (LONGEST_PART + 1),
    "\N{SNOWMAN}" * (LONGEST_PART // 3 + 1),
    "/".join("x" * 9 for _ in range(200)),
    "C:\\windows",
    "C:x",
    "..\\x",
    "\\\\server\\share",
    "con",
    "a/NUL.txt",
    "lpt1",
    "a./b",
    "a ",
    None,
    7,
    b"bytes",
    ["x"],
)


@pytest.mark.parametrize("path", BAD, ids=lambda p: repr(p)[:30])
def test_unsafe_paths_are_refused(tmp_path: Path, path: object) -> None:
    with pytest.raises(ValueError, match="names the file") as error:
        inside(tmp_path, path)
    assert str(tmp_path) in str(error.value) and len(str(error.value).splitlines()) == 1


def test_plain_paths_need_not_exist(tmp_path: Path) -> None:
    assert inside(tmp_path, "adapters/g0001/ada") == tmp_path / "adapters" / "g0001" / "ada"


@settings(max_examples=150, derandomize=True, deadline=None)
@given(st.text(st.sampled_from("ab./\\:\0 ~-\u202e"), max_size=12))
def test_accepted_paths_are_below_the_folder(path: str) -> None:
    folder = Path("/nowhere/run")
    try:
        found = inside(folder, path)
    except ValueError:
        return
    assert Path(os.path.normpath(found)).is_relative_to(folder) and found != folder


def test_links_are_followed(tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "real").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    (run / "out").symlink_to(tmp_path / "other")
    (run / "in").symlink_to(run / "real")
    (run / "round").symlink_to(run / "round")
    for bad in ("out", "out/x", "round/x"):
        with pytest.raises(ValueError, match="names the file"):
            inside(run, bad)
    assert inside(run, "in/x") == run / "in" / "x"
    (tmp_path / "link").symlink_to(run)
    assert inside(tmp_path / "link", "real/x")  # the folder itself may be a link: that is the user's own


@pytest.mark.parametrize("name", ["run.db", ".lock", "config.yaml", "journal.jsonl", "adapters", "keys", "report", "x"])
def test_commands_refuse_links_out_of_the_folder(undisturbed: Path, tmp_path: Path, name: str) -> None:
    run, outside = tmp_path / "run", tmp_path / "outside"
    shutil.copytree(undisturbed, run)
    if (run / name).is_dir():
        shutil.move(run / name, outside)
        before = sorted(p.relative_to(outside) for p in outside.rglob("*"))
    else:
        outside.write_text("do not touch")
        (run / name).unlink(missing_ok=True)
        before = outside.read_text()
    (run / name).symlink_to(outside)
    for command in ("resume", "analyze", "export", "digest", "watch", "eval", "play", "control"):
        words = {"eval": ["configs/eval/arithmetic.jsonl"], "control": ["stop"]}.get(command, [])
        done = CliRunner().invoke(app, [command, str(run), *words])
        assert isinstance(done.exception, ValueError) and "leads out of the run folder" in str(done.exception), command
    if outside.is_dir():
        assert sorted(p.relative_to(outside) for p in outside.rglob("*")) == before
    else:
        assert outside.read_text() == before


def test_pipe_in_run_folder_does_not_hang(undisturbed: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(undisturbed, run)
    (run / "config.yaml").unlink()
    os.mkfifo(run / "config.yaml")
    with pytest.raises(ValueError, match="neither a file nor a folder"):
        check_folder(run)
    assert "neither a file" in str(CliRunner().invoke(app, ["digest", str(run)]).exception)


@pytest.mark.parametrize("path", ["../../secret", "/etc", "adapters/../../x", "a\0b"])
def test_checkpoint_paths_are_checked(undisturbed: Path, tmp_path: Path, path: str) -> None:
    run = tmp_path / "run"
    shutil.copytree(undisturbed, run)
    with sqlite3.connect(run / "run.db") as db:
        db.execute("UPDATE checkpoints SET path = ?", [path])
    for words in (["export", str(run), "--only", "adapters"], ["resume", str(run)], ["analyze", str(run)]):
        done = CliRunner().invoke(app, words)
        if words[0] == "analyze":  # the other sections are drawn; the command ends as one that failed
            assert done.exit_code == 2 and "error: analyze: the section provenance" in done.output, done.output
        else:
            assert isinstance(done.exception, ValueError), words
        assert "names the file" in str(done.exception) + done.output, words


def test_file_removed_while_a_folder_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process plays the run: a file that it removes is none of the folder's faults."""
    for name in ("gone", "run.db"):
        (tmp_path / name).write_text("")
    lstat = os.lstat
    removed = str(tmp_path.resolve() / "gone")

    def late(path: str) -> os.stat_result:
        if path == removed:
            Path(removed).unlink(missing_ok=True)
        return lstat(path)

    monkeypatch.setattr("arena.run.paths.os.lstat", late)
    check_folder(tmp_path)
    assert not Path(removed).exists()
