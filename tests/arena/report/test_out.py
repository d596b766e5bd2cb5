"""`analyze --out`: everything goes into that folder, and nothing into the runs. Runs are found below a folder."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from arena.cli.app import app
from arena.report import write
from arena.run.paths import runs_below


def state(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of change of every file."""
    return {str(p): (p.stat().st_size, p.stat().st_mtime_ns) for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.slow
def test_out_leaves_the_runs_alone(undisturbed: Path, tmp_path: Path) -> None:
    runs = [tmp_path / "a", tmp_path / "b"]
    for run in runs:
        shutil.copytree(undisturbed, run, ignore=shutil.ignore_patterns("report", "run.db-*"))
    config = runs[1] / "config.yaml"
    config.write_text(config.read_text().replace("seed: 0\n", "seed: 1\n"))
    before = state(tmp_path)
    for given, out in ((runs[:1], "one"), (runs, "two")):
        done = CliRunner().invoke(app, ["analyze", *map(str, given), "--out", str(tmp_path / out)])
        assert done.exception is None, done.output[-1500:]
        assert (tmp_path / out / "index.html").is_file() and f"wrote {tmp_path / out}" in done.output
        after = state(tmp_path)
        assert {p: s for p, s in after.items() if p.startswith((f"{runs[0]}/", f"{runs[1]}/"))} == before
    assert "tournament.json" in os.listdir(tmp_path / "one")


def test_out_must_not_be_a_run(undisturbed: Path) -> None:
    done = CliRunner().invoke(app, ["analyze", str(undisturbed), "--out", str(undisturbed)])
    assert "is a run: give --out another folder" in str(done.exception)


def test_read_only_run_names_out(undisturbed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "report")

    monkeypatch.setattr(write, "write_report", refuse)
    monkeypatch.setattr(write, "build_sections", lambda *_, **__: [])
    done = CliRunner().invoke(app, ["analyze", str(undisturbed)])
    assert "report (Permission denied): --out FOLDER writes it elsewhere" in str(done.exception)


def test_search_for_runs_leaves_out_environments(tmp_path: Path) -> None:
    """Hidden folders, virtual environments and links, broken or in a circle, are not entered."""
    for name in ("runs/a", "runs/b", ".hidden/c", "env/d", "very/deep/down/e"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "run.db").touch()
    (tmp_path / "env" / "pyvenv.cfg").touch()
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "up").symlink_to(tmp_path)
    (tmp_path / "gone").symlink_to("nowhere")
    assert runs_below(tmp_path) == [tmp_path / "runs" / "a", tmp_path / "runs" / "b"]
    for command in ("analyze", "control", "resume", "export"):
        done = CliRunner().invoke(app, [command, str(tmp_path), *(["pause"] if command == "control" else [])])
        hint = f"no run database at {tmp_path}/run.db; runs below it: {tmp_path}/runs/a, {tmp_path}/runs/b"
        assert str(done.exception) == hint, command
