"""The command line: commands and options are frozen, output has the documented form, mistakes are one line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from arena.config.shipped import ROOT
from tests.helpers.command import ratchet

# The options of every command. A change here is a change for users: record it in CHANGELOG.md.
OPTIONS = {
    "run": {"--quiet", "--dry-run", "--watch", "--explain", "--get-model"},
    "resume": {"--quiet", "--watch"},
    "watch": set(),
    "control": set(),
    "analyze": {"--json", "--plots", "--no-plots", "--out"},
    "export": {"--to", "--only", "--adapters"},
    "eval": {
        "--agents",
        "--generation",
        "--k",
        "--limit",
        "--temperature",
        "--max-tokens",
        "--library",
        "--json",
        "--out",
    },
    "library": {"--kind", "--generation", "--limit", "--to"},
    "experiment": {"--final", "--processes", "--folder"},
    "make-seed": {
        "--folder",
        "--steps",
        "--seed",
        "--threads",
        "--school",
        "--size",
        "--device",
        "--from",
        "--domains",
        "--rank",
        "--items",
    },
    "bench": {
        "--repeats",
        "--threads",
        "--agents",
        "--generations",
        "--retention",
        "--quick",
        "--vllm-python",
        "--gguf",
        "--json",
        "--plot",
        "--profile",
        "--model",
        "--shapes",
        "--adapters",
    },
    "play": {"--domain", "--rounds", "--agents", "--seed"},
    "export-domain": {"--to", "--n", "--options"},
    "digest": set(),
    "review": {"--note"},
    "verify-proof": {"--key", "--head"},
    "chaos": {"--kills", "--config", "--seed", "--folder", "--json"},
    "configs": set(),
    "get-model": {"--source", "--list"},
    "config-help": set(),
    "doctor": set(),
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    done = ratchet("run", "configs/tiny.yaml", f"run.folder={folder}")
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout  # not a terminal: plain lines
    assert done.stdout.count("generation") >= 3
    assert f"{sys.executable} {ROOT / 'run_arena.py'} analyze" in done.stdout
    return folder / "tiny"


def test_options_are_frozen() -> None:
    import typer

    from arena.cli.app import app

    command = typer.main.get_command(app)
    found = {
        name: {o for p in sub.params for o in (*p.opts, *p.secondary_opts) if o.startswith("--")}
        for name, sub in command.commands.items()  # type: ignore[attr-defined]
    }
    assert found == OPTIONS


@pytest.mark.slow
def test_analyze_json_fields(finished: Path) -> None:
    done = ratchet("analyze", str(finished), "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["seed"] == 0 and found["domain"] == "list_programs"
    assert [g["index"] for g in found["generations"]] == [1, 2, 3]
    for g in found["generations"]:
        assert {"proposed", "valid", "learnable", "mean_difficulty", "solve_rate", "seconds"} <= set(g)
        assert 0 <= g["learnable"] <= g["valid"] <= g["proposed"] == 15
    for row in found["heldout"]:
        assert {"generation", "depth", "pass_at_1", "pass_at_k", "k", "n"} <= set(row)
    assert {r["generation"] for r in found["heldout"]} == {0, 1, 2, 3}
    assert {"posts", "reads", "by_kind"} <= set(found["library"])
    assert found["library"]["posts"] == sum(found["library"]["by_kind"].values()) > 0
    assert {"name", "born", "retired", "parents"} <= set(found["agents"][0])
    assert len(found["agents"]) == 4  # three, and one born at generation 2
    assert (finished / "report" / "heldout.png").stat().st_size > 5000
    assert (finished / "report" / "setting.png").stat().st_size > 5000


def test_analyze_prints_tables(finished: Path) -> None:
    done = ratchet("analyze", str(finished), "--no-plots")
    assert done.returncode == 0 and "depth" in done.stdout.lower() and "\nwrote " not in done.stdout


def test_digest(finished: Path) -> None:
    from arena.run.store import Store

    assert ratchet("digest", str(finished)).stdout.strip() == Store(finished / "run.db").digest()


@pytest.mark.slow
def test_dry_run_writes_nothing(tmp_path: Path) -> None:
    done = ratchet("run", "configs/tiny.yaml", "--dry-run", f"run.folder={tmp_path / 'runs'}", "generations=7")
    assert done.returncode == 0, done.stderr
    assert "generations: 7" in done.stdout and "# time: about" in done.stdout and "# memory: about" in done.stdout
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("run", "configs/quikstart.yaml"), "did you mean 'quickstart'"),
        (
            ("run", "quikstart"),
            "the config quikstart: No such file or directory; did you mean 'quickstart'?",
        ),
        (("run", "tiny", "--explain"), "--explain goes with --dry-run"),
        (("experiment", "first_lok"), "did you mean 'first_look'"),
        (("config-help", "sleep.rnk"), "unknown key 'sleep.rnk'; did you mean 'sleep.rank'?"),
        (("run", "configs/tiny.yaml", "generatons=3"), "unknown key 'generatons'; did you mean 'generations'?"),
        (("run", "configs/tiny.yaml", "rounds.settr=self"), "unknown key 'rounds.settr'; did you mean 'setter'?"),
        (("run", "configs/tiny.yaml", "rounds.setter=mutatr"), "did you mean 'mutator'"),
        (("run", "configs/tiny.yaml", "seed=-1"), "seed"),
        (("run", "configs/tiny.yaml", "seed"), "not of the form"),
        (("run", "configs/tiny.yaml", "rounds.solvers=3"), "rounds.solvers is 3, but only 2"),
        (("run", "configs/tiny.yaml", "run.name=../x"), "run.name"),
        (("run", "configs/tiny.yaml", "domains={list_programms: {share: 1}}"), "did you mean 'list_programs'"),
        (("run", "configs/tiny.yaml", "domains.hidden_words.lvels=2"), "hidden_words"),
        (("run", "configs/tiny.yaml", "domains.hidden_words.share=.5"), "add up to 1"),
        (("run", "configs/tiny.yaml", "model.path=/nowhere"), "/nowhere"),
        (("run", "configs/tiny.yaml", "measure.split=test"), "sealed"),
        (("resume", "runs/nowhere"), "no run folder at runs/nowhere"),
        (("analyze", "runs/nowhere"), "no run folder at runs/nowhere"),
        (("export", "runs/nowhere"), "no run folder at runs/nowhere"),
        (("run", "configs/tiny.yaml", "sinks=[tensorbord]"), "unknown sink 'tensorbord'; did you mean 'tensorboard'?"),
        (("watch", "runs/nowhere"), "no run folder at runs/nowhere"),
        (("watch", "configs"), "no run database at configs/run.db"),
        (("digest", "configs"), "configs"),
        (("bench", "genrate"), "unknown part 'genrate'; did you mean 'generate'?"),
        (("bench", "large", "--shapes", "qwen3-06b"), "unknown shape 'qwen3-06b'; did you mean 'qwen3-0.6b'?"),
        (("bench", "large", "--adapters", "16;64"), "--adapters takes numbers such as 16,64"),
        (("bench", "--agents", "8;32"), "--agents takes numbers such as 8,32"),
        (("bench", "--vllm-python", "/nowhere/python"), "no interpreter at /nowhere/python"),
        (("bench", "--gguf", "/nowhere/model.gguf"), "no file at /nowhere/model.gguf"),
        (("bench", "learn", "--json", "/nowhere/b.json"), "no folder /nowhere"),
        (("experiment", "configs/experiments/nothing.yaml"), "nothing.yaml"),
        (("eval", "runs/nowhere", "x.jsonl"), "no run folder at runs/nowhere"),
        (("library", "runs/nowhere", "search"), "no run folder at runs/nowhere"),
        (("control", "/nowhere/run", "pause"), "no run folder at /nowhere/run"),
        (("play", "runs/nowhere"), "no run folder at runs/nowhere"),
        (("export-domain", "list_programm", "--to", "/nowhere/x"), "did you mean 'list_programs'?"),
        (("export-domain", "hidden_words", "--to", "/nowhere/x", "--options", "world"), "not of the form"),
    ],
)
@pytest.mark.slow
def test_mistakes_are_one_line(arguments: tuple[str, ...], says: str, tmp_path: Path) -> None:
    extra = [f"run.folder={tmp_path}"] if arguments[0] == "run" else []
    done = ratchet(*arguments, *extra)
    assert done.returncode == 2, done.stdout
    assert says in done.stderr, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1 and "Traceback" not in done.stderr
    assert not any(tmp_path.iterdir())


def test_runs_are_not_overwritten(finished: Path) -> None:
    done = ratchet("run", "configs/tiny.yaml", f"run.folder={finished.parent}")
    assert done.returncode == 2 and "already holds a run" in done.stderr


@pytest.mark.slow
def test_doctor_finds_another_agents_package(tmp_path: Path) -> None:
    done = ratchet("doctor")
    assert done.returncode == 0, done.stdout
    assert "seed model" in done.stdout
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "__init__.py").write_text("")
    command = [sys.executable, str(ROOT / "run_arena.py"), "doctor"]
    shadowed = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env={"PYTHONPATH": str(tmp_path)})
    assert shadowed.returncode == 2 and f"another package called 'agents' lies in {tmp_path}" in shadowed.stdout


@pytest.mark.slow
def test_make_seed_is_reproducible(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        done = ratchet("make-seed", "--folder", str(folder), "--steps", "12", "--threads", "1")
        assert done.returncode == 0, done.stderr
    assert (one / "model.safetensors").read_bytes() == (two / "model.safetensors").read_bytes()
    assert "Recipe" in (one / "README.md").read_text() and "solve, depth 8" in (one / "README.md").read_text()
    run = ratchet("run", "configs/tiny.yaml", f"model.path={one}", f"run.folder={tmp_path}", "generations=1")
    assert run.returncode == 0, run.stderr
