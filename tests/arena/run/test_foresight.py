"""What is said of a run before and after it is played: unknown words, and a ratchet meter that reads nothing."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from agents.tokenizer import Tokenizer
from arena.config.schema import load_config
from arena.config.shipped import SEED_FOLDER
from arena.loop import play
from arena.report.metrics.run_summary import analyze
from arena.report.page import render
from arena.run.foresight import ratchet_line, unknown_words
from arena.run.state import make_domains
from arena.watch import render as screens
from arena.watch.history import History
from arena.watch.live import Progress, summary
from arena.watch.queries import open_run, read_only
from tests.helpers.brief_runs import brief


@pytest.mark.parametrize(
    ("domain", "known"),
    [("list_programs", True), ("hidden_words", True), ("python_programs", False), ("word_problems", False)],
)
def test_unknown_words_of_a_domain(domain: str, known: bool) -> None:
    config = load_config("tiny", [f"domains={{{domain}: {{share: 1.0}}}}"])
    found = unknown_words(config, make_domains(config), Tokenizer(SEED_FOLDER))
    assert (found == []) is known
    assert all(line.startswith(f"domain {domain}: the model does not know ") for line in found)


def test_foreseen_readings_of_the_ratchet() -> None:
    off = load_config("tiny")
    assert ratchet_line(off, make_domains(off), 50, 10_000) == ""
    config = load_config("tiny", ["measure.ratchet.every=2", "generations=6"])
    domains = make_domains(config)
    assert "NONE is taken in 6 generations" in ratchet_line(config, domains, 50, 10)
    assert "the first reading is in about generation 2" in ratchet_line(config, domains, 50, 10**9)


def test_unread_ratchet_and_unknown_domain(tmp_path: Path) -> None:
    """A run says that its ratchet meter read nothing, and which domain had no valid proposal."""
    words = "domains={list_programs: {share: 0.5}, word_problems: {share: 0.5}}"
    given = ["measure.ratchet.every=1", "measure.ratchet.share=0.001", "sleep.enabled=false", words]
    out = io.StringIO()
    with brief(tmp_path, "unread", *given) as arena:
        (warning,) = arena.forewarnings()
        assert warning.startswith("domain word_problems: the model does not know")
        play(arena, Progress(arena.config, Console(file=out, width=300), arena.store, plain=True))
        analysis = analyze(arena.store, arena.config)
    assert "in word_problems)" in out.getvalue() and "(none of " in out.getvalue()
    said = "The ratchet meter took no reading, though 2 were due"
    assert any(line.startswith(said) for line in analysis["warnings"])
    console = Console(file=io.StringIO(), width=300)
    summary(analysis, tmp_path, console)
    assert said in console.file.getvalue()  # type: ignore[attr-defined]
    assert said in render("x", "x", analysis["warnings"], [], "x")
    run = open_run(tmp_path / "unread")
    history = History(run)
    with read_only(run.database) as db:
        while history.step(db, 9.0):
            pass
        assert "ratchet: no reading yet" in screens.figures(history.snapshot(db)).plain
