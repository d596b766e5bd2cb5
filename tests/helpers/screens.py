"""Helpers for tests of the watcher: open it on a run, press keys, read the screen, and build a run by hand."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from agents.identity import KeyRing
from arena.config.schema import load_config
from arena.run.store import Store
from arena.watch import render
from arena.watch.app import Watch
from arena.watch.queries import open_run, read_only
from arena.watch.review_queue import Item, ReviewQueue
from culture.library import Library
from culture.posts import Post, sign_post

SIZES = ((80, 24), (200, 50))
PATIENCE = 120
"""Timeout of a wait, in seconds."""
MARKUP = "[bold]x[/] [link=evil]y"
EVIL = f"{MARKUP} \x1b[2Jz\u202e"
Play = Callable[[Watch, Any], Awaitable[None]]


def use(folder: Path, play: Play, size: tuple[int, int] = SIZES[0], interval: float = 30.0) -> None:
    """Open the watcher on the run in `folder` and call `play`, which presses keys."""

    async def main() -> None:
        app = Watch(open_run(folder), interval)
        async with app.run_test(size=size) as pilot:
            await settle(app, pilot)
            await play(app, pilot)

    asyncio.run(main())


def lines(text: str) -> list[str]:
    """The lines of a screen without trailing blanks; three or more empty lines become one line with their count."""
    found: list[str] = []
    for empty, some in groupby((line.rstrip() for line in text.splitlines()), key=lambda line: not line):
        these = list(some)
        found += [f"({len(these)} empty lines)"] if empty and len(these) > 2 else these
    return found


async def settle(app: Watch, pilot: Any) -> None:
    """Wait until all requested reads have finished and been drawn.

    One pause of the pilot lets every widget process its message queue once, but a read passes through several queues,
    so on a busy machine one pause is not enough. The screen must be unchanged over three pauses.
    """
    seen: list[str] = []
    async with asyncio.timeout(PATIENCE):
        while app.is_running and (len(seen) < 3 or len(set(seen[-3:])) > 1):
            while any(not worker.is_finished for worker in app.workers):
                await asyncio.sleep(0.002)
            await pilot.pause()
            busy = any(not worker.is_finished for worker in app.workers)
            seen = [] if busy else [*seen, screen(app)]


async def press(app: Watch, pilot: Any, *keys: str) -> str:
    """Press keys one after another and return the text of the screen."""
    for key in keys:
        await pilot.press(key)
        await settle(app, pilot)
    return screen(app)


def screen(app: Watch) -> str:
    return "\n".join("".join(s.text for s in line) for line in app.screen._compositor.render_strips())


def copy(folder: Path, to: Path) -> Path:
    to.mkdir()
    shutil.copy(folder / "config.yaml", to)
    with sqlite3.connect(folder / "run.db") as source, sqlite3.connect(to / "run.db") as target:
        source.backup(target)
    return to


def unplayed(tmp_path: Path) -> Path:
    """A run in which no phase has run."""
    config = load_config("configs/tiny.yaml", [f"run.folder={tmp_path}"])
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "config.yaml").write_text(config.to_yaml())
    Store(tmp_path / "tiny" / "run.db", create=True).close()
    return tmp_path / "tiny"


def by_hand(empty: Path) -> Path:
    """Fill a run by hand: three agents, two generations, three problems, hostile text in every text field."""
    store = Store(empty / "run.db")
    agents = [
        {"name": n, "number": i, "born": b, "parents": p, "inherited": "nothing", "public_key": ""}
        for i, (n, b, p) in enumerate((("ada", 0, "[]"), ("bob", 0, "[]"), ("eve", 1, '["ada"]')))
    ]
    ring = KeyRing(empty / "keys")
    keys = {name: ring.create(name) for name in ("ada", "bob")}
    with store.transaction():
        one = Post("definition", "ada", 1, "w1", "w1 = rev inc", (), "hidden_words")
        two = Post("worked_example", "bob", 2, MARKUP, MARKUP, (one.id,), "list_programs/g0002r0000")
        signed = [sign_post(p, keys[p.author].public_key, partial(ring.sign, p.author)) for p in (one, two)]
        assert [r for _, r in Library(store.db).add(signed, lambda p: None)] == [None, None]
        reads = [
            {"id": str(i), "generation": 2, "phase": phase, "agent": a, "request": "q", "post": p, "propensity": 1.0}
            for i, (phase, a, p) in enumerate(
                [("propose", "eve", one.id), ("sleep", "eve", one.id), ("solve", "ada", two.id)]
            )
        ]
        rows = [problem(1, 0, "ada"), problem(2, 0, "ada", EVIL), problem(2, 1, "eve", valid=0)]
        store.insert(
            {
                "agents": agents,
                "retirements": [{"name": "bob", "generation": 1, "reward": 0.1}],
                "reads": reads,
                "rounds": [round_(r, one.id) for r in rows],
                "problems": rows,
                "attempts": [attempt("g0002r0000", i) for i in range(2)],
                "grades": [
                    {
                        "id": "g0002r0000/grader",
                        "generation": 2,
                        "round": "g0002r0000",
                        "attempt": "g0002r0000/s/0",
                        "grader": "ada",
                        "text": EVIL,
                        "answer": "1",
                        "says_correct": 0,
                        "agrees": 0,
                    }
                ],
                "outcomes": [
                    {
                        "round": r["round"],
                        "generation": r["generation"],
                        "solve_rate": p,
                        "learnable": int(p == 0.5),
                        "setter_reward": w,
                    }
                    for r, p, w in zip(rows, (1.0, 0.5, None), (0.0, 1.0, -0.25), strict=True)
                ],
                "rewards": [
                    {"generation": g, "agent": a, "role": "setter", "reward": w, "n": n}
                    for g, a, w, n in ((1, "ada", 0.0, 1), (1, "bob", 0.5, 1), (2, "ada", 1.0, 3), (2, "eve", -0.25, 1))
                ],
                "evaluations": [evaluation(2, i, reading) for i in range(4) for reading in (1, 0)],
            }
        )
        phases = [(0, "birth"), (0, "baseline")] + [(g, p) for g in (1, 2) for p in render.LOOP]
        store.insert({"phases": [phase_row(g, p) for g, p in phases]})
    store.close()
    return empty


def evaluation(g: int, number: int, reading: int) -> dict[str, Any]:
    """An evaluation of a problem with the name w1: three of four are solved with reading, none without."""
    return {"id": f"{g}/{number}/{reading}", "generation": g, "domain": "hidden_words", "split": "dev", "depth": 2,
            "agent": "eve", "problem": f"w1 rev | 1 {number}", "reading": reading, "mode": "greedy", "k": 1,
            "correct": int(bool(reading and number)), "answer_correct": 0}  # fmt: skip


def phase_row(g: int, phase: str) -> dict[str, Any]:
    return {"generation": g, "phase": phase, "prompt_tokens": 1, "generated_tokens": 1, "trained_tokens": 0,
            "counted": 1}  # fmt: skip


def problem(g: int, number: int, author: str, text: str = "rev | 1 2", valid: int = 1) -> dict[str, Any]:
    return {"round": f"g{g:04d}r{number:04d}", "generation": g, "domain": "list_programs", "author": author,
            "proposal": text, "text": text if valid else None, "valid": valid, "reason": "ok" if valid else "duplicate",
            "detail": "", "depth": 4 if valid else None, "text_key": f"{g}{number}", "behaviour_key": f"{number}",
            "features": None, "logprob": None, "tokens": 0}  # fmt: skip


def round_(row: dict[str, Any], post: str) -> dict[str, Any]:
    return {"id": row["round"], "generation": row["generation"], "number": int(row["round"][-4:]),
            "domain": "list_programs", "author": row["author"], "setter": "self",
            "solvers": '["bob"]', "grader": "ada", "parent": "w1",
            "parent_post": post}  # fmt: skip


def attempt(id_: str, number: int) -> dict[str, Any]:
    return {"id": f"{id_}/s/{number}", "generation": 2, "round": id_, "agent": "bob", "seat": "s", "number": number,
            "notes": json.dumps([EVIL]), "text": f"rev 1 ; {EVIL} ; inc 3 answer 3", "correct": number,
            "answer_correct": 1, "reason": "ok" if number else "step has the wrong value",
            "step": None if number else 2, "answer": "3", "logprob": None, "tokens": 3}  # fmt: skip


def queued(folder: Path) -> list[Item]:
    run = open_run(folder)
    with read_only(run.database) as db:
        return ReviewQueue(run).items(db, 9.0)
