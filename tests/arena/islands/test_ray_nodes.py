"""What islands on Ray need without a cluster: fit nodes, folders that go away, reasons in one line."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from arena.config.schema import load_config
from arena.config.shipped import ROOT
from arena.islands import host
from arena.islands.host import TemporaryHome, differences, fingerprint, source_digest, sweep
from arena.islands.ray_workers import RayWorkers
from arena.tools.doctor import clusters


def test_node_differences_are_named() -> None:
    head = {"Ratchet": "aa", "torch": "2.13.0", "device": "cpu"}
    assert differences(head, dict(head)) == ""
    assert differences(head, head | {"device": "cuda"}) == ""
    assert differences(head | {"device": "cuda"}, head) == "device is cpu, here cuda"
    assert differences(head, {"torch": "2.12.0", "device": "cpu"}) == (
        "Ratchet is missing, here aa, torch is 2.12.0, here 2.13.0"
    )


def test_fingerprint_covers_every_program_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = fingerprint(load_config("configs/tiny.yaml"))
    assert {"Ratchet", "ray", "python", "torch", "threads", "base model"} <= set(found)
    assert found["Ratchet"] == source_digest()
    monkeypatch.setattr(host, "ROOT", tmp_path)
    (tmp_path / "arena").mkdir()
    (tmp_path / "arena" / "one.py").write_text("x = 1")
    one = source_digest()
    (tmp_path / "arena" / "one.py").write_text("x = 2")
    two = source_digest()
    (tmp_path / "arena" / "one.py").rename(tmp_path / "arena" / "two.py")
    assert len({one, two, source_digest(), found["Ratchet"]}) == 4


HOLDS = """
import sys, tempfile, time
tempfile.tempdir = sys.argv[1]
from arena.islands.host import TemporaryHome
home = TemporaryHome(7)
(home.path / "run").mkdir()
print(home.path, flush=True)
time.sleep(600)
"""


@pytest.mark.slow
def test_folder_of_a_killed_island_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host.tempfile, "tempdir", str(tmp_path))
    command = [sys.executable, "-c", HOLDS, str(tmp_path)]
    root = str(ROOT)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": root}) as holder:
        assert holder.stdout is not None
        held = Path(holder.stdout.readline().strip())
        assert held.stat().st_mode & 0o777 == 0o700
        assert sweep(tmp_path) == [] and held.is_dir()
        holder.kill()
    ours = TemporaryHome(7)
    assert not held.exists() and ours.path.is_dir()
    ours.remove()
    assert not list(tmp_path.iterdir())


def test_folder_being_created_is_kept(tmp_path: Path) -> None:
    (tmp_path / f"{host.PREFIX}1-x").mkdir()
    assert sweep(tmp_path) == [] and list(tmp_path.iterdir())


def test_missing_cluster_error_says_how_to_start_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    began = time.monotonic()
    with pytest.raises(
        ValueError, match=r"no Ray cluster is found from here: start one with `ray start --head"
    ) as told:
        RayWorkers(load_config("configs/tiny.yaml", ["cluster.address=auto"]), print)
    assert "\n" not in str(told.value) and time.monotonic() - began < 20


def test_doctor_checks_the_ray_version(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ("ok", f"ray {host.importlib.metadata.version('ray')}, for islands on several machines") in [*clusters()]
    monkeypatch.setattr("arena.tools.doctor.importlib.metadata.version", lambda name: "1.0")
    assert next(clusters())[0] == "missing"
