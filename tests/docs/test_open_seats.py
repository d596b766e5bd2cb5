"""The examples of docs/open_seats.md run as written and print what the page says."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from arena.config.shipped import ROOT

DOC = (ROOT / "docs" / "open_seats.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", DOC, re.MULTILINE | re.DOTALL)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def execute(marks: str, capsys: pytest.CaptureFixture[str], **replaced: str) -> tuple[dict[str, Any], str]:
    """Run the block that contains `marks`, check its output against its comment; return its names and output."""
    (block,) = (b for b in BLOCKS if marks in b)
    code = block
    for old, new in replaced.items():
        code = code.replace(f'"{old.replace("_", "/")}"', repr(new))
    names: dict[str, Any] = {}
    exec(compile(code, "docs/open_seats.md", "exec"), names)
    printed = capsys.readouterr().out
    for said in re.findall(r"print\(.*\)  # (\{.*\})$", block, re.MULTILINE):
        assert printed.strip() == said
    return names, printed


def test_every_example_is_short_and_tested() -> None:
    marks = ("solver = lambda", "person = lambda", "theirs = ", "agent_of(", "tune.register_env", "choose_among",
             "ratchet_round_v0.parallel_env", "ratchet_round_v0.env")  # fmt: skip
    assert len(BLOCKS) == len(marks) and all(sum(m in b for b in BLOCKS) == 1 for m in marks)
    for block in BLOCKS:
        lines = [line for line in block.splitlines() if line and not re.match(r"(from \S+ )?import ", line)]
        assert len(lines) <= 5, block


def test_a_scripted_policy(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute("solver = lambda", capsys)[1].startswith("{'setter': 1.0")


def test_a_person(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("rev 4 1 3 ; inc 5 2 4 answer 5 2 4\nno idea\n"))
    _, printed = execute("person = lambda", capsys)
    assert "> rev inc | 3 1 4" in printed and printed.endswith("{'setter': 1.0, 'solver_0': 1.0}\n")


def test_textarena_agents(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("textarena", reason="textarena is not installed")
    monkeypatch.setattr("sys.stdin", io.StringIO("rev inc | 3 1 4\nno\nrev 4 1 3 ; inc 5 2 4 answer 5 2 4\n"))
    _, printed = execute("theirs = ", capsys)
    assert printed.endswith("{'setter': 0.0, 'solver_0': 0.0, 'grader': 1.0}\n")


def test_run_agent_in_textarena(undisturbed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("textarena", reason="textarena is not installed")
    _, printed = execute("agent_of(", capsys, runs_tiny=str(undisturbed))
    assert printed.startswith("(")


def test_rllib(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("ray.rllib", reason="ray[rllib] is not installed")
    names, _ = execute("tune.register_env", capsys)
    seen, _ = names["make"]({"domain": "list_programs", "solvers": 1, "texts": 4}).reset(seed=0)
    assert seen["setter"].shape == (320,)


def test_own_candidates(capsys: pytest.CaptureFixture[str]) -> None:
    _, printed = execute("choose_among", capsys)
    assert printed.strip() == "(192,) {'setter': ('rev inc | 3 1 4', 'sort dbl | 2 0 1')}"


def test_pettingzoo_at_once_and_in_turns(capsys: pytest.CaptureFixture[str]) -> None:
    execute("ratchet_round_v0.parallel_env", capsys)
    names, _ = execute("ratchet_round_v0.env", capsys)
    assert not names["env"].agents
