"""Posts that wait for approval are reported everywhere, and `review.wait` makes the run wait for decisions."""

from __future__ import annotations

import io
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

import arena.run.control as control
from arena.cli.app import app as command_line
from arena.config.schema import load_config, make_config, notices
from arena.config.shipped import ROOT
from arena.loop import play
from arena.phases import review
from arena.phases.order import LOOP
from arena.report.metrics.alarms import empty_library
from arena.report.metrics.run_summary import analyze
from arena.report.source import Source
from arena.report.write import build_sections, page_of
from arena.run.state import Arena
from arena.run.store import Store
from arena.run.waiting import Waiting, undecided, waiting
from arena.watch.app import Watch
from arena.watch.commands import RunControl
from arena.watch.live import Progress, summary
from arena.watch.queries import open_run
from tests.helpers.screens import copy, press, screen, use

TINY = "configs/tiny.yaml"
GATE = ("review.mode=gate", "rounds.per_agent=14")


def start(folder: Path, name: str, *overrides: str) -> Arena:
    return Arena.create(load_config(TINY, [f"run.folder={folder}", f"run.name={name}", *GATE, *overrides]))


def digest(folder: Path) -> str:
    return Store(folder / "run.db").digest()


def decide_all(store: Store, value: str = "accept") -> None:
    rows = [{"kind": "decision", "subject": r["id"], "value": value, "note": ""} for r in undecided(store)]
    store.insert({"control": rows})


def command(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, str(ROOT / "run_arena.py"), *words], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def undecided_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run under `review: gate` in which nobody decided."""
    folder = tmp_path_factory.mktemp("gate")
    with start(folder, "gate", "generations=2") as arena:
        assert play(arena)
    return folder / "gate"


@pytest.fixture(scope="module")
def count(undecided_run: Path) -> int:
    found = waiting(Store(undecided_run / "run.db"))
    assert found.posts == found.left > 20
    return found.posts


@pytest.fixture
def polls(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], None]]:
    """Actions for the polls of a waiting run, one each; a poll without an action fails."""
    plan: list[Callable[[], None]] = []
    monkeypatch.setattr(control.time, "sleep", lambda seconds: plan.pop(0)())
    return plan


# -- reports -------------------------------------------------------------------------------------------------------


def test_analysis_names_the_queue(undecided_run: Path, count: int) -> None:
    store, config = Store(undecided_run / "run.db"), load_config(undecided_run / "config.yaml")
    found = analyze(store, config)
    assert found["review"]["waiting"] == found["review"]["waiting_undecided"] == count
    said = " ".join(found["warnings"])
    assert f"{count} posts wait for approval" in said and f"review {undecided_run}" in said
    assert "no problem proved learnable" not in said
    source = Source(undecided_run, store, config, found)
    sections = build_sections(source, replay=False)
    (culture,) = [s for s in sections if s.key == "culture"]
    assert f"{count} posts wait for approval" in " ".join(culture.missing)
    assert f"{count} posts wait for approval" in page_of(source, sections)


def test_end_summary_names_the_queue(undecided_run: Path, count: int) -> None:
    out = io.StringIO()
    found = analyze(Store(undecided_run / "run.db"), load_config(undecided_run / "config.yaml"))
    summary(found, undecided_run, Console(file=out, width=300))
    assert f"{count} posts wait for approval (review: gate)" in out.getvalue()


def test_reasons_of_an_empty_library() -> None:
    assert "no problem proved learnable" in empty_library(0, "")
    assert "3 problems proved learnable, but no post was admitted" in empty_library(3, "")
    assert empty_library(3, "9 posts wait.").endswith(": 9 posts wait.")


def test_waiting_line(tmp_path: Path) -> None:
    assert Waiting().line(tmp_path) == ""
    assert Waiting(1).line(tmp_path).startswith("1 post waits for approval (review: gate). To list")
    assert "2 posts wait for approval (review: gate), 1 of them decided. " in Waiting(2, 1).line(tmp_path)
    assert "the next generation" in Waiting(2, 2).line(tmp_path)


def test_library_command_names_the_queue(undecided_run: Path, count: int) -> None:
    for words in (["search", "rev"], ["verify"]):
        assert f"{count} posts wait for approval" in command("library", str(undecided_run), *words)
    assert "wait for approval" not in command("library", str(undecided_run), "proof", "g1")


def test_screens_name_the_queue(undecided_run: Path, count: int) -> None:
    async def look(app: Watch, pilot: Any) -> None:
        assert f"{count} posts wait for approval" in screen(app) and "no problem proved" not in screen(app)
        assert f"{count} posts waiting for approval: 5" in await press(app, pilot, "4")
        await press(app, pilot, "1", "left_square_bracket")
        first = waiting(Store(undecided_run / "run.db"), 1).posts
        assert 0 < first < count and f"{first} posts wait for approval" in screen(app)

    use(undecided_run, look, (200, 50))


def test_gate_is_noticed_at_the_start() -> None:
    assert "the run does not wait" in " ".join(notices(make_config({}, ["review=gate"])))
    waits = make_config({"review": {"mode": "gate", "wait": True}})
    assert "the run waits for decisions" in " ".join(notices(waits))
    assert not [n for n in notices(make_config({})) if "review" in n]


def test_live_lines_count_waiting_posts(tmp_path: Path) -> None:
    out = io.StringIO()
    with start(tmp_path, "live", "generations=1") as arena:
        progress = Progress(arena.config, Console(file=out, width=300), arena.store, folder=arena.folder)
        assert play(arena, progress)
        left = waiting(arena.store).left
    assert f"{left} posts waiting for approval" in out.getvalue()


# -- waiting -------------------------------------------------------------------------------------------------------


def test_wait_needs_gate() -> None:
    for mode in ("off", "sample"):
        with pytest.raises(ValueError, match=r"review: .*wait is true, but mode is"):
            make_config({"review": {"mode": mode, "wait": True}})


def test_run_waits_until_all_is_decided(tmp_path: Path, polls: list[Callable[[], None]]) -> None:
    """The listener receives how many are left; the run continues by itself and takes the decisions."""
    out, told = io.StringIO(), list[dict[str, Any]]()
    with start(tmp_path, "waits", "review.wait=true", "generations=3") as arena:
        progress = Progress(arena.config, Console(file=out, width=300), arena.store, folder=arena.folder)

        def listen(event: str, data: dict[str, Any]) -> None:
            progress(event, data)
            if event == "control":
                told.append(data)

        def one() -> None:
            arena.store.insert(
                {"control": [{"kind": "decision", "subject": undecided(arena.store)[0]["id"], "value": "reject"}]}
            )

        def perhaps() -> None:
            arena.store.insert(
                {"control": [{"kind": "decision", "subject": undecided(arena.store)[0]["id"], "value": "perhaps"}]}
            )

        polls += [one, perhaps, lambda: decide_all(arena.store), lambda: decide_all(arena.store)]
        assert play(arena, listen) and not polls
        assert waiting(arena.store).posts == waiting(arena.store, 3).posts > 0  # of the last generation alone
        assert (
            arena.store.query("SELECT COUNT(*) AS n FROM waiting WHERE decided IS NULL AND generation < 3")[0]["n"] == 0
        )
        assert arena.store.query("SELECT COUNT(*) AS n FROM posts")[0]["n"] > 5
    states = [(d["state"], d["generation"]) for d in told]
    assert states == [("reviewing", 2)] * 2 + [("running", 2), ("reviewing", 3), ("running", 3)]
    assert told[1]["left"] == told[0]["left"] - 1 > 0 == told[2]["left"]
    lines = out.getvalue()
    assert f"WAITING before read of generation 2: {told[0]['left']} posts to decide; elsewhere: " in lines
    assert f"review {tmp_path / 'waits'}" in lines and "resumes before read of generation 2" in lines


def test_live_screen_shows_what_it_waits_for(tmp_path: Path, polls: list[Callable[[], None]]) -> None:
    out = io.StringIO()
    with start(tmp_path, "screen", "review.wait=true", "generations=2") as arena:
        console = Console(file=out, width=200, force_terminal=True)
        progress = Progress(arena.config, console, arena.store, folder=arena.folder)

        def look() -> None:
            console.print(progress.header(), progress.phase_line())
            decide_all(arena.store)

        polls.append(look)
        with progress:
            assert play(arena, progress)
    assert "WAITING FOR REVIEW" in out.getvalue() and "wait for approval (review: gate). To list" in out.getvalue()


def test_waiting_run_can_be_stopped_and_waits_again(tmp_path: Path, polls: list[Callable[[], None]]) -> None:
    """Stop, Ctrl-C and a kill lose nothing; the same decisions give the same digest."""
    with start(tmp_path, "calm", "review.wait=true", "generations=3") as arena:
        polls += [lambda: decide_all(arena.store)] * 2
        assert play(arena)
    with start(tmp_path, "torn", "review.wait=true", "generations=3") as arena:
        polls.append(lambda: arena.store.insert({"control": [{"kind": "stop"}]}))
        assert not play(arena)

    def interrupt() -> None:
        raise KeyboardInterrupt

    with Arena.open(tmp_path / "torn") as arena:
        polls.append(interrupt)
        with pytest.raises(KeyboardInterrupt):
            play(arena)
    with Arena.open(tmp_path / "torn") as arena:
        polls += [lambda: None, lambda: decide_all(arena.store), lambda: decide_all(arena.store)]
        assert play(arena) and not polls
    assert digest(tmp_path / "calm") == digest(tmp_path / "torn")


def test_kill_after_decisions_are_taken(tmp_path: Path, polls: list[Callable[[], None]]) -> None:
    """Decisions that were marked before the phase was stored are not waited for again."""
    with start(tmp_path, "killed", "review.wait=true", "generations=2") as arena:
        polls.append(lambda: decide_all(arena.store))

        def stop(event: str, data: dict[str, Any]) -> None:
            if event == "phase" and (data["generation"], data["phase"]) == (2, "read"):
                review.take(arena)
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            play(arena, stop)
    with Arena.open(tmp_path / "killed") as arena:
        assert play(arena)  # without a poll


def test_pause_while_waiting(tmp_path: Path, polls: list[Callable[[], None]]) -> None:
    told: list[str] = []
    with start(tmp_path, "paused", "review.wait=true", "generations=2") as arena:

        def ask(kind: str) -> Callable[[], None]:
            return lambda: arena.store.insert({"control": [{"kind": kind}]})

        polls += [ask("pause"), lambda: decide_all(arena.store), ask("resume")]
        assert play(arena, lambda event, data: told.append(data["state"]) if event == "control" else None)
    assert told == ["reviewing", "paused", "running"]


@pytest.mark.slow
def test_decisions_from_another_process(tmp_path: Path) -> None:
    """The command `review` decides while the run waits; SIGTERM ends the wait; the resumed run waits again."""
    folder = tmp_path / "other"
    given = [f"run.folder={tmp_path}", "run.name=other", *GATE, "review.wait=true", "generations=3"]
    words = [sys.executable, str(ROOT / "run_arena.py")]
    run = subprocess.Popen(
        [*words, "run", str(ROOT / TINY), "-q", *given], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert run.stdout is not None
    seen = next(line for line in run.stdout if line.startswith("WAITING before read of generation 2"))
    left = int(re.search(r": (\d+) posts", seen)[1])  # type: ignore[index]
    assert f"{left} waiting posts among them" in command("review", str(folder))
    assert f"{left} items accepted. The run carries out decisions" in command("review", str(folder), "accept", "all")
    next(line for line in run.stdout if line.startswith("WAITING before read of generation 3"))
    run.send_signal(signal.SIGTERM)
    assert run.wait(60) == 0 and "stopped by SIGTERM" in run.stdout.read()
    again = subprocess.Popen([*words, "resume", str(folder), "-q"], cwd=ROOT, stdout=subprocess.PIPE, text=True,
                             env=os.environ | {"PYTHONUNBUFFERED": "1"})  # fmt: skip
    assert again.stdout is not None
    next(line for line in again.stdout if line.startswith("WAITING before read of generation 3"))
    again.send_signal(signal.SIGINT)
    assert again.wait(60) == 130
    store = Store(folder / "run.db")
    assert store.query("SELECT MAX(generation) AS g FROM phases")[0]["g"] == 2
    assert waiting(store).left == waiting(store).posts > 0


# -- the command `review`, and finished runs -----------------------------------------------------------------------


def test_review_command_lists_and_decides(undecided_run: Path, count: int, tmp_path: Path) -> None:
    folder = copy(undecided_run, tmp_path / "copy")
    listed = command("review", str(folder))
    assert f"{count} waiting posts among them" in listed and "review " in listed.splitlines()[-1]
    (post,) = undecided(Store(folder / "run.db"))[:1]
    said = command("review", str(folder), "reject", post["id"][:12], "--note", "dull")
    assert "1 item rejected. The run is finished: decisions count once it is continued" in said
    assert f"{count - 1} waiting posts among them; 1 decided, not carried out yet" in command("review", str(folder))
    assert post["id"] in command("review", str(folder), "undo")
    assert "no decision can be undone" in command("review", str(folder), "undo")
    assert f"{count} items accepted" in command("review", str(folder), "accept", "all")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["acept", "x"], "did you mean 'accept'"),
        (["accept"], "needs ids"),
        (["accept", "nothing-like-it"], "no undecided item has it"),
        (["undo", "x"], "undo takes no ids"),
    ],
)
def test_review_command_refuses(undecided_run: Path, words: list[str], says: str) -> None:
    done = CliRunner().invoke(command_line, ["review", str(undecided_run), *words])
    assert says in str(done.exception)


def test_review_command_needs_a_review(undisturbed: Path) -> None:
    for words in ([], ["accept", "all"]):
        done = CliRunner().invoke(command_line, ["review", str(undisturbed), *words])
        assert "review: off" in str(done.exception)


def test_decisions_on_a_finished_run_count(undecided_run: Path, tmp_path: Path) -> None:
    """They change nothing at once, and are taken when the run is continued."""
    folder = Path(shutil.copytree(undecided_run, tmp_path / "gate"))
    before = digest(folder)
    chosen = undecided(Store(folder / "run.db"))[0]["id"]
    RunControl(open_run(folder)).decide(chosen, "reject", "dull")
    assert digest(folder) == before and waiting(Store(folder / "run.db")).decided == 1
    with Arena.open(folder, ["generations=3"]) as arena:
        assert play(arena)
        (receipt,) = arena.store.query("SELECT * FROM receipts")
        assert (receipt["generation"], receipt["subject"], receipt["decision"]) == (3, chosen, "reject")


def test_decisions_before_the_end_count(tmp_path: Path) -> None:
    """Decided after the last played generation, with no process playing; the run is then continued."""
    with start(tmp_path, "later", "generations=2") as arena:

        def stop(event: str, data: dict[str, Any]) -> None:
            if event == "done" and (data["generation"], data["phase"]) == (1, LOOP[-1]):
                arena.store.insert({"control": [{"kind": "stop"}]})

        assert not play(arena, stop)
    folder = tmp_path / "later"
    posts = undecided(Store(folder / "run.db"))
    for post in posts:
        RunControl(open_run(folder)).decide(post["id"], "accept", "")
    assert waiting(Store(folder / "run.db")).left == 0
    with Arena.open(folder) as arena:
        assert play(arena)
        taken = arena.store.query("SELECT COUNT(*) AS n FROM receipts WHERE decision = 'accept'")[0]["n"]
        assert taken == len(posts) and arena.store.query("SELECT 1 FROM posts LIMIT 1")


def test_finished_run_is_decided_on_the_screen(undecided_run: Path, count: int, tmp_path: Path) -> None:
    folder = copy(undecided_run, tmp_path / "screen")

    async def look(app: Watch, pilot: Any) -> None:
        shown = await press(app, pilot, "5")
        assert "The run is finished: decisions count once it is continued" in shown
        await press(app, pilot, "a")
        assert "1 decided, not applied yet" in screen(app)

    use(folder, look)
    assert waiting(Store(folder / "run.db")).decided == 1


def test_watched_run_says_what_it_waits_for(tmp_path: Path, polls: list[Callable[[], None]]) -> None:
    """The screens of a run that waits: the top lines, while a process has it open."""
    with start(tmp_path, "watched", "review.wait=true", "generations=2") as arena:
        seen = list[str]()

        async def look(app: Watch, pilot: Any) -> None:
            seen.append(screen(app))

        def watch() -> None:
            thread = threading.Thread(target=use, args=(arena.folder, look))
            thread.start()
            thread.join()
            left = waiting(arena.store).left
            decide_all(arena.store)
            assert "WAITING FOR REVIEW" in seen[0]
            assert f"{left} posts to decide before generation 2 begins; 5: review" in seen[0]

        polls.append(watch)
        assert play(arena)
    assert seen
