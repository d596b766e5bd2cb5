"""Shipped files are found by name, and printed commands are the ones that were typed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import arena
from arena.config.schema import load_config
from arena.config.shipped import CONFIGS, ROOT, find_config, is_own_file, nearest_config, shipped_configs, typed_command


@pytest.mark.parametrize("name", ["tiny", "tiny.yaml", "configs/tiny.yaml"])
def test_configs_are_found_by_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_config(name) == CONFIGS / "tiny.yaml"


def test_existing_paths_win(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny").mkdir()  # a folder is no config
    assert find_config("tiny") == CONFIGS / "tiny.yaml"
    (tmp_path / "tiny.yaml").touch()
    assert find_config("tiny.yaml") == Path("tiny.yaml")


def test_other_shipped_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_config("tiny", "experiments") == CONFIGS / "experiments" / "tiny.yaml"
    assert find_config("qwen3_0.6b") == CONFIGS / "qwen3_0.6b.yaml"  # no suffix, in spite of the dot
    assert find_config("arithmetic", "eval", ".jsonl") == CONFIGS / "eval" / "arithmetic.jsonl"
    for name in ("../pyproject", "configs/../tiny", "/tiny", "other/tiny", "nothing"):
        assert find_config(name) == Path(name)
    assert nearest_config("quikstart") == "; did you mean 'quickstart'?"


def test_each_shipped_file_has_a_description() -> None:
    for folder in ("", "experiments"):
        found = shipped_configs(folder)
        assert len(found) > 5 and all(20 < len(line) <= 118 for _, line in found), found


def test_chat_setters_are_not_too_random() -> None:
    """At the default set_temperature of 1.0 small chat models lose the form of a reply."""
    configs = [load_config(str(CONFIGS / f"{name}.yaml")) for name, _ in shipped_configs("")]
    chat = [c for c in configs if c.prompts.style == "chat"]
    assert len(chat) > 4 and all(c.rounds.set_temperature <= 0.8 for c in chat)


@pytest.mark.parametrize(
    ("argv", "orig_argv", "expected"),
    [
        (["{bin}/ratchet", "run", "x"], ["{bin}/python", "{bin}/ratchet", "run", "x"], "ratchet"),
        (["{bin}/ratchet-arena", "run"], ["{bin}/python", "{bin}/ratchet-arena", "run"], "ratchet-arena"),
        ([".venv/bin/ratchet", "run"], [".venv/bin/python", ".venv/bin/ratchet", "run"], ".venv/bin/ratchet"),
        (["run_arena.py", "run", "x"], ["python", "run_arena.py", "run", "x"], "python run_arena.py"),
        (["a b/run_arena.py"], ["python3", "-X", "dev", "a b/run_arena.py"], "python3 -X dev 'a b/run_arena.py'"),
        (["/x/run_arena.py", "run"], ["python", "-m", "run_arena", "run"], "python -m run_arena"),
        (["notebook.py", "run"], ["python", "notebook.py", "run"], "ratchet"),
    ],
)
def test_typed_command(
    argv: list[str], orig_argv: list[str], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ratchet", "ratchet-arena"):
        (tmp_path / name).touch(mode=0o755)
    monkeypatch.delenv("RATCHET_COMMAND", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(sys, "argv", [a.format(bin=tmp_path) for a in argv])
    monkeypatch.setattr(sys, "orig_argv", [a.format(bin=tmp_path) for a in orig_argv])
    assert typed_command("resume", Path("my runs/a")) == f"{expected} resume 'my runs/a'"


def test_typed_command_of_the_parent_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATCHET_COMMAND", ".venv/bin/ratchet")
    assert typed_command("watch", "runs/a") == ".venv/bin/ratchet watch runs/a"


def test_own_files() -> None:
    assert is_own_file(str(ROOT / "arena" / "loop.py")) and is_own_file(str(ROOT / "run_arena.py"))
    assert not is_own_file(str(ROOT / ".venv" / "lib" / "pydantic" / "main.py")) and not is_own_file(__file__)


def test_import_arena_is_lazy() -> None:
    code = "import sys, arena; assert not {'torch', 'numpy', 'pydantic'} & set(sys.modules), arena.__file__"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_public_names() -> None:
    assert {type(getattr(arena, name)).__name__ for name in arena.__all__} == {"function", "type"}
    with pytest.raises(AttributeError, match="'arena' has no attribute 'plya'"):
        arena.plya  # noqa: B018
