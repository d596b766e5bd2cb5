"""The scripts in examples/ run and do what they say."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from arena.config.registries import find_rule, make_domain
from arena.config.shipped import ROOT
from curricula.domain import Problem, Rejection
from curricula.list_programs import ListPrograms
from examples.own_policy import main as play_seats

EXAMPLES = {p.stem for p in (ROOT / "examples").glob("*.py")}


def run(*command: str, cwd: Path) -> str:
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, *command],
        cwd=cwd,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": path},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_all_examples_are_tested() -> None:
    assert {"play_a_run", "own_domain", "own_rule", "own_policy", "read_run_db"} == EXAMPLES


@pytest.mark.slow
def test_play_a_run(tmp_path: Path) -> None:
    out = run(str(ROOT / "examples" / "play_a_run.py"), str(tmp_path / "runs"), cwd=tmp_path)
    assert "generation 2, depth 5: pass@1 0." in out and "posts in" in out
    assert (tmp_path / "runs" / "from_python" / "run.db").is_file()


@pytest.mark.slow
def test_own_rule_and_domain_play_a_run(tmp_path: Path) -> None:
    program = str(ROOT / "run_arena.py")
    domain = 'domains={"examples.own_domain:ShortPrograms": {share: 1.0, longest: 2}}'
    given = [domain, "rewards.setter=examples.own_rule:RULE", "generations=1"]
    run(program, "run", "tiny", "-q", *given, cwd=tmp_path)
    found = json.loads(run(program, "analyze", "runs/tiny", "--json", "--no-plots", cwd=tmp_path))
    assert found["domain"] == "short_programs"
    assert {row["depth"] for row in found["heldout"]} == {1, 2, 3}


def test_own_domain() -> None:
    domain = make_domain("examples.own_domain:ShortPrograms", longest=2)
    assert isinstance(domain.parse_proposal("rev inc | 3 1 4"), Problem)
    rejected = domain.parse_proposal(ListPrograms().random_problem(random.Random(0), 4).text)
    assert isinstance(rejected, Rejection) and rejected.reason == "too long"
    assert {p.domain for p in domain.heldout("dev", 3)} == {"short_programs"}
    with pytest.raises(ValueError, match="longest must be one of"):
        make_domain("examples.own_domain:ShortPrograms", longest=9)


def test_own_rule() -> None:
    rule = find_rule("examples.own_rule:RULE")
    assert [rule(p) for p in (0.0, 0.25, 1.0)] == [0.0, 1.0, 0.0] and rule(0.5) == pytest.approx(2 / 3)


def test_own_policy() -> None:
    totals = play_seats(rounds=30)
    assert totals["solver_0"] > totals["solver_1"] > 0 and totals["setter"] > 0


def test_read_run_db(undisturbed: Path) -> None:
    pytest.importorskip("pandas")
    out = run(str(ROOT / "examples" / "read_run_db.py"), str(undisturbed), cwd=undisturbed.parent)
    assert out.startswith("depth") and "worked_example" in out
