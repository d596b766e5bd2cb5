"""The cost of watching: each screen's own time on a run of a million attempts, and the effect of a watcher on a run.

Screens: the application runs without a terminal at 200 x 50 and shows each screen anew. Measured is the processor time
of the whole process until everything is read and drawn, less the cost of waiting itself. Processor time leaves out the
load of the machine, and also any wait for the disk.

A run: the same config is played alone and with `watch` beside it, in its own terminal, where a key switches the screen
every five seconds, in turns. Corresponding generations are the same work, so their times are compared one by one.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from arena.config.shipped import PROGRAM, find_config
from arena.phases.order import LOOP
from arena.run.store import Store
from arena.tools.bench.synthetic_run import Scale, fill
from arena.tools.bench.timing import Spread

BUDGET_MS = 100.0
MOST = 1.02
"""Target: ratio of generation times, at most."""
SIZE = (200, 50)
SWITCH = 5.0
"""Seconds between two switches of the screen."""
Say = Callable[[str], None]


def measure(repeats: int, quick: bool, say: Say) -> dict[str, Any]:
    """Measure and print both parts, and return them as `--json` stores them."""
    found: dict[str, Any] = {"size": SIZE, "budget_ms": BUDGET_MS, "most": MOST}
    with tempfile.TemporaryDirectory(prefix="bench-watch-") as folder:
        scale = Scale(generations=25, problems=100) if quick else Scale()
        say(f"watch: own time of each screen, a run of {scale.tries:,} attempts, {SIZE[0]} x {SIZE[1]}")
        (Path(folder) / "large").mkdir()
        found["attempts"] = scale.tries
        found["screens"] = asyncio.run(screens(fill(Path(folder) / "large", scale), max(repeats, 3) * 4, say))
        shutil.rmtree(Path(folder) / "large")
        config, generations = ("configs/tiny.yaml", 3) if quick else ("configs/quickstart.yaml", 8)
        say(f"watch: {config} of {generations} generations, alone and watched, {repeats} turns")
        found["run"] = runs(config, generations, repeats, Path(folder), say)
    return found


# -- (a) screens ---------------------------------------------------------------------------------------------------


async def screens(folder: Path, repeats: int, say: Say) -> list[dict[str, Any]]:
    """Milliseconds of processor time by screen: median and greatest."""
    from textual.widgets import Input

    from arena.watch.app import Watch
    from arena.watch.queries import open_run
    from arena.watch.screens import AgentPane, LibraryPane, ReviewPane, RoundsPane
    from arena.watch.screens.rows import Rows

    app = Watch(open_run(folder), interval=1e6)
    app.freezes_gc = True  # as `watch` does
    results = []
    started, cpu = time.monotonic(), time.process_time()
    async with app.run_test(size=SIZE) as pilot:

        async def settled() -> None:
            for _ in range(3):
                while app.is_running and any(not w.is_finished for w in app.workers):
                    await asyncio.sleep(0.001)
                await pilot.pause()

        async def one(action: Callable[[int], object], turn: int) -> float:
            before = time.process_time()
            made = action(turn)
            if isinstance(made, Awaitable):
                await made
            await settled()
            return 1000 * (time.process_time() - before)

        await settled()
        say(f"  first reading: {time.monotonic() - started:.1f} s, {time.process_time() - cpu:.1f} s of the processor")

        def phase(_: int) -> None:
            """Pretend that the last phase has just finished."""
            app.history.last_phase -= 1
            app.poll()

        def pane(name: str) -> Callable[[int], None]:
            def show(_: int) -> None:
                for at in (app.query_one(RoundsPane), app.query_one(LibraryPane)):
                    at.key = None
                app.action_pane(name)

            return show

        def opened(name: str, table: str) -> Callable[[int], Awaitable[None]]:
            async def show(turn: int) -> None:
                found = app.screen_stack[0].query_one(f"#{table}", Rows)
                found.move_cursor(row=turn)
                found.action_choose()

            return show

        def searched(turn: int) -> None:
            app.query_one(Input).value = ("rev inc", "inc dup", "dup rev")[turn % 3]

        def useful(turn: int) -> None:
            app.query_one(Input).value = ""
            app.query_one(LibraryPane).action_useful()

        def life(turn: int) -> None:
            app.query_one(AgentPane).action_other(1)

        def desk(_: int) -> None:
            """Pretend that a generation has just been graded."""
            known = app.query_one(ReviewPane).queue.known  # type: ignore[union-attr]
            known.pop(max(known, default=0), None)
            app.action_pane("review")

        steps: list[tuple[str, str, Callable[[int], object]]] = [
            ("nothing new", "arena", lambda _: app.poll()),
            ("arena, a phase ends", "arena", phase),
            ("arena, another generation", "arena", lambda turn: app.seek(7 * turn + 1)),
            ("rounds", "rounds", pane("rounds")),
            ("rounds, another generation", "rounds", lambda turn: app.seek(7 * turn + 1)),
            ("a round", "rounds", opened("rounds", "problems")),
            ("agent", "agent", life),
            ("library, newest", "library", pane("library")),
            ("library, most useful", "library", useful),
            ("library, found by words", "library", searched),
            ("a post", "library", opened("library", "posts")),
            ("review, a generation ends", "review", desk),
            ("review, a phase ends", "review", phase),
            ("review, an item", "review", opened("review", "queue")),
        ]
        for name, at, action in steps:
            app.action_pane(at)
            app.action_live()
            await settled()
            waits, times = [], []
            for turn in range(repeats + 1):
                waits.append(await one(lambda _: None, turn))
                times.append(await one(action, turn))
                opens = name.startswith("a ")
                assert opens == (len(app.screen_stack) > 1), f"{name} was not shown"
                while len(app.screen_stack) > 1:
                    app.pop_screen()
                    await settled()
            own = [max(t - w, 0.0) for t, w in list(zip(times, waits, strict=True))[1:]]
            results.append({"screen": name, "median_ms": statistics.median(own), "max_ms": max(own), "turns": own})
            over = "" if max(own) < BUDGET_MS else f"  OVER the budget of {BUDGET_MS:.0f} ms"
            say(f"  {name:<28} {statistics.median(own):6.1f} ms, at most {max(own):6.1f} ms{over}")
    return results


# -- (b) a run -----------------------------------------------------------------------------------------------------


def runs(config: str, generations: int, repeats: int, folder: Path, say: Say) -> dict[str, Any]:
    """Generation times alone and watched, turn by turn, and their ratios."""
    ratios: list[float] = []
    turns: list[dict[str, Any]] = []
    for turn in range(repeats):
        pair = {}
        for watched in (False, True) if turn % 2 == 0 else (True, False):
            name = f"{'watched' if watched else 'alone'}{turn}"
            pair[watched] = play(config, generations, folder / name, watched)
        of = [w / a for w, a in zip(pair[True]["seconds"], pair[False]["seconds"], strict=True)]
        ratios += of
        turns.append({"alone": pair[False], "watched": pair[True]})
        alone, beside = sum(pair[False]["seconds"]), sum(pair[True]["seconds"])
        used = pair[True]["watcher_cpu"] / pair[True]["wall"]
        say(f"  turn {turn + 1}: {alone:.1f} s alone, {beside:.1f} s watched, ratio {beside / alone:.3f};"
            f" the watcher used {used:.1%} of a core")  # fmt: skip
    ratio = Spread.of(ratios)
    totals = Spread.of([sum(t["watched"]["seconds"]) / sum(t["alone"]["seconds"]) for t in turns])
    cpu = Spread.of([t["watched"]["run_cpu"] / t["alone"]["run_cpu"] for t in turns])
    found = {
        "config": config,
        "generations": generations,
        "ratio": asdict(ratio),
        "ratio_of_totals": asdict(totals),
        "ratio_of_cpu": asdict(cpu),
        "watcher_share_of_a_core": asdict(
            Spread.of([t["watched"]["watcher_cpu"] / t["watched"]["wall"] for t in turns])
        ),
        "met": ratio.median <= MOST,
        "turns": turns,
    }
    say(f"  target: watched over alone at most {MOST}, generation by generation: {ratio.median:.3f}"
        f" ({ratio.low:.3f}-{ratio.high:.3f}), {'reached' if found['met'] else 'MISSED'}")  # fmt: skip
    say(f"  of whole runs: {totals.median:.3f} ({totals.low:.3f}-{totals.high:.3f}); of the run's processor time:"
        f" {cpu.median:.3f} ({cpu.low:.3f}-{cpu.high:.3f})")  # fmt: skip
    return found


def play(config: str, generations: int, folder: Path, watched: bool) -> dict[str, Any]:
    """Play one run in its own process; returns seconds by generation, and processor seconds of the run and its
    watcher."""
    folder.mkdir()
    command = [sys.executable, str(PROGRAM), "run", str(find_config(config)), f"generations={generations}",
               f"run.folder={folder}", "run.name=run", "--quiet"]  # fmt: skip
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.monotonic()
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    watcher = None
    try:
        if watched:
            while run.poll() is None and not (folder / "run" / "run.db").is_file():
                time.sleep(0.05)
            watcher = Watcher(folder / "run")
        _, errors = run.communicate()
        wall = time.monotonic() - started
        if run.returncode:
            raise RuntimeError(f"the run failed: {errors.decode(errors='replace')[-500:]}")
        watcher_cpu = watcher.close() if watcher else 0.0
    finally:  # end the subprocesses in any case
        for process in (run, watcher.process if watcher else run):
            if process.poll() is None:
                process.terminate()
                process.wait()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    all_cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    store = Store(folder / "run" / "run.db")
    sql = f"SELECT SUM(seconds) AS s FROM telemetry WHERE phase IN ({', '.join('?' * len(LOOP))}) GROUP BY generation"
    seconds = [row["s"] for row in store.query(sql, LOOP)]
    store.close()
    shutil.rmtree(folder)
    return {"seconds": seconds, "wall": wall, "run_cpu": all_cpu - watcher_cpu, "watcher_cpu": watcher_cpu}


class Watcher:
    """The command `watch` in its own terminal, whose output is read and discarded."""

    def __init__(self, folder: Path) -> None:
        self.ours, theirs = pty.openpty()
        environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": str(SIZE[0]), "LINES": str(SIZE[1])}
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAM), "watch", str(folder)],
            stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # it ends with its terminal in any case
        )  # fmt: skip
        os.close(theirs)
        self.ended = threading.Event()
        for work in (self.read, self.press):
            threading.Thread(target=work, daemon=True).start()

    def read(self) -> None:
        try:
            while os.read(self.ours, 65536):
                pass
        except OSError:  # the other end is closed
            pass

    def press(self) -> None:
        turn = 0
        while not self.ended.wait(SWITCH):
            os.write(self.ours, b"1234"[turn % 4 : turn % 4 + 1])
            turn += 1

    def close(self) -> float:
        """Quit the watcher; returns the processor seconds that it used."""
        self.ended.set()
        os.write(self.ours, b"q")
        _, status, used = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        os.close(self.ours)
        if self.process.returncode:
            raise RuntimeError(f"the watcher ended with exit status {self.process.returncode}")
        return used.ru_utime + used.ru_stime
