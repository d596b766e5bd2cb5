"""The wheel, installed into a fresh environment and used from another folder; and what pip may put in its way."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from arena.config.shipped import ROOT

Ratchet = Callable[..., subprocess.CompletedProcess[str]]
CLEAN = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "RATCHET_COMMAND", "VIRTUAL_ENV")}
CLEAN["MONTY_BIN"] = str(Path(sys.executable).parent / "monty")  # pip would put it beside `ratchet`


def sources(to: Path) -> Path:
    """A copy of the files that git tracks or would track, so that building leaves nothing in the repository."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0"):
        if name and not name.startswith(("tests/", "docs/")) and (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            (to / name).write_bytes((ROOT / name).read_bytes())
    return to


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    source = sources(folder / "source")
    stale = source / "build" / "lib" / "arena" / "removed_module.py"
    stale.parent.mkdir(parents=True)
    stale.touch()
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(folder)]
    done = subprocess.run([*command, str(source)], capture_output=True, text=True, env=CLEAN, timeout=300)
    assert done.returncode == 0, done.stderr
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel; dependencies are those of the tests' own environment."""
    venv = tmp_path_factory.mktemp("fresh") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    (site,) = venv.glob("lib/python*/site-packages")
    command = [sys.executable, "-m", "pip", "--python", str(venv / "bin" / "python"), "install", "-q", "--no-deps"]
    subprocess.run([*command, "--no-index", str(wheel)], check=True, env=CLEAN, timeout=300)
    own = [p for p in sys.path if p.endswith("site-packages")]
    (site / "dependencies.pth").write_text("\n".join(own) + "\n")
    return venv


@pytest.fixture
def ratchet(environment: Path, tmp_path: Path) -> Ratchet:
    def call(*arguments: str, command: str = "ratchet") -> subprocess.CompletedProcess[str]:
        words = [str(environment / "bin" / command), *arguments]
        return subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, env=CLEAN, timeout=300)

    return call


@pytest.mark.slow
def test_contents_of_the_wheel(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {
        "run_arena.py",
        "agents/seed/model.safetensors",
        "agents/seed_long/model.safetensors",
        "arena/report/templates/page.html",
    } <= names
    assert {f"{package}/py.typed" for package in ("agents", "arena", "culture", "curricula")} <= names
    for path in (ROOT / "configs").rglob("*.*"):
        assert f"arena/shipped_configs/{path.relative_to(ROOT / 'configs').as_posix()}" in names
    left_out = ("arena/tools/chaos/", "tests/", "configs/", "examples/", "docs/", "arena/removed_module.py")
    assert not [n for n in names if n.startswith(left_out)]


@pytest.mark.slow
def test_installed_commands_in_another_folder(ratchet: Ratchet, environment: Path, tmp_path: Path) -> None:
    version = ratchet("--version")
    assert version.stdout.startswith("ratchet 0."), version.stderr
    assert ratchet("--version", command="ratchet-arena").stdout == version.stdout
    listed = ratchet("configs").stdout
    assert "\n  quickstart " in listed and "\n  first_look " in listed and "\n  arithmetic" in listed
    assert "LoRA rank" in ratchet("config-help", "sleep.rank").stdout
    assert "generations: 3" in ratchet("run", "configs/tiny.yaml", "--dry-run").stdout
    played = ratchet("run", "tiny")
    assert played.returncode == 0, played.stderr
    assert f"  {environment}/bin/ratchet analyze runs/tiny\n" in played.stdout  # started by path: printed so
    assert ratchet("analyze", "runs/tiny").returncode == 0
    assert (tmp_path / "runs" / "tiny" / "report" / "index.html").is_file()
    doctor = ratchet("doctor")
    assert "wrong" not in [line.split()[0] for line in doctor.stdout.splitlines()], doctor.stdout
    assert "torch 2" in doctor.stdout and "seed model:" in doctor.stdout
    chaos = ratchet("chaos")
    assert chaos.returncode == 2 and "chaos needs a checkout of the repository" in chaos.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", [("run", "tiny", "generations=1", "--watch"), ("watch", "runs/tiny")], ids=["run", "watch"]
)
def test_installed_screens(command: tuple[str, ...], ratchet: Ratchet, environment: Path, tmp_path: Path) -> None:
    """The screens of a run that a process of its own plays, and of a finished run, in a terminal."""
    if command[0] == "watch":
        assert ratchet("run", "tiny", "--quiet").returncode == 0
    ours, theirs = pty.openpty()
    env = CLEAN | {"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30"}
    words = [str(environment / "bin" / "ratchet"), *command]
    process = subprocess.Popen(words, cwd=tmp_path, env=env, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    text, pressed, until = b"", False, time.monotonic() + 240
    while process.poll() is None and time.monotonic() < until:
        if select.select([ours], [], [], 0.2)[0]:
            with suppress(OSError):  # the other end is closed
                text += os.read(ours, 65536)
        if not pressed and b"finished" in text:
            os.write(ours, b"q")
            pressed = True
    os.close(ours)
    assert process.wait(60) == 0 and pressed, text[-2000:]
    if command[0] == "run":
        assert f"{environment}/bin/ratchet watch runs/tiny".encode() in text, text[-2000:]


@pytest.mark.slow
def test_installed_experiment(ratchet: Ratchet, tmp_path: Path) -> None:
    done = ratchet("experiment", "tiny", "--processes", "2")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "experiments" / "tiny" / "results.json").is_file()


@pytest.mark.slow
def test_openai_agents_is_explained(ratchet: Ratchet, environment: Path) -> None:
    """The distribution openai-agents has the import name `agents` too."""
    (site,) = environment.glob("lib/python*/site-packages")
    init, metadata = site / "agents" / "__init__.py", site / "openai_agents-0.1.dist-info" / "METADATA"
    own = init.read_text()
    try:
        init.write_text("from .run import Runner\n")
        metadata.parent.mkdir()
        metadata.write_text("Metadata-Version: 2.1\nName: openai-agents\nVersion: 0.1\n")
        done = ratchet("configs")
        assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
        assert "openai-agents and Ratchet both installed" in done.stderr and "uv tool install" in done.stderr
    finally:
        metadata.unlink(missing_ok=True)
        metadata.parent.rmdir()
        init.write_text(own)
    other = site / "a_first"
    (other / "agents").mkdir(parents=True)
    (other / "agents" / "__init__.py").write_text("raise SystemExit('imported')\n")
    command = [str(environment / "bin" / "ratchet"), "configs"]
    done = subprocess.run(command, capture_output=True, text=True, env=CLEAN | {"PYTHONPATH": str(other)}, timeout=60)
    assert done.returncode == 2 and f"finds another package, {other}/agents/__init__.py" in done.stderr
