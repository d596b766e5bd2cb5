"""The generation loop.

    for each generation:  read, propose, solve, grade, post, sleep, turnover, measure

Each phase takes the arena and gives records; they are stored in one transaction with the phase's own row, then folded
into the arena. Phases that were finished before an interruption are folded in from the store, so resume is the same
loop.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from arena.evaluation import baseline, final
from arena.phases import PHASES, UNCOUNTED, Phase, Produced
from arena.reading import admit
from arena.state import Arena, Generation, Tokens
from arena.store import Row
from culture.library import Read
from culture.posts import SignedPost

Listener = Callable[[str, dict[str, Any]], None]


def silent(event: str, data: dict[str, Any]) -> None:
    """A listener that listens to nothing."""


def play(arena: Arena, listen: Listener = silent) -> None:
    """Play the run to its end. `listen` is told ("phase", ...) before and ("done", ...) after each phase."""
    config, finished = arena.config, arena.store.finished()
    arena.generation = Generation(0)
    run_phase(arena, "birth", birth, finished, listen)
    run_phase(arena, "baseline", baseline, finished, listen)
    for g in range(1, config.generations + 1):
        if config.limits.compute and arena.store.compute() >= config.limits.compute and (g, "read") not in finished:
            break
        if (g, "measure") not in finished:
            arena.generation = Generation(g)
            for name, phase in PHASES:
                run_phase(arena, name, phase, finished, listen)
            prune_adapters(arena)
    arena.generation = Generation(last_generation(arena))
    run_phase(arena, "final", final, finished, listen)


def run_phase(arena: Arena, name: str, phase: Phase, finished: set[tuple[int, str]], listen: Listener) -> None:
    """Play one phase and store it whole, or fold it in if it was finished before."""
    g = arena.generation.index
    if (g, name) in finished:
        if g:
            arena.restore_phase(name)
        return
    listen("phase", {"generation": g, "phase": name})
    started = time.monotonic()
    arena.generation.tokens = Tokens()
    produced = phase(arena)
    seconds = time.monotonic() - started
    tokens = arena.generation.tokens
    with arena.store.transaction():
        records = store_records(arena, produced)
        row = {
            "generation": g,
            "phase": name,
            "prompt_tokens": tokens.prompt,
            "generated_tokens": tokens.generated,
            "trained_tokens": tokens.trained,
            "counted": int(name not in UNCOUNTED),
        }
        telemetry = {"generation": g, "phase": name, "seconds": seconds, "finished": datetime.now(UTC).isoformat()}
        arena.store.insert({"phases": [row], "telemetry": [telemetry]})
    arena.apply(name, records)
    listen("done", {**row, "seconds": seconds, "records": records})


def store_records(arena: Arena, produced: Produced) -> dict[str, list[Any]]:
    """Insert a phase's records; posts pass the admission check, and what comes back is what was stored."""
    records = dict(produced)
    signed: list[SignedPost] = records.pop("posts", [])
    reads: list[Read] = records.pop("reads", [])
    posts: list[Row] = []
    if signed:
        by_id = {s.post.id: s.post for s in signed}
        results = arena.library.add(signed, lambda p: admit(arena, p))
        records["refusals"] = [
            {
                "post": i,
                "generation": by_id[i].generation,
                "author": by_id[i].author,
                "title": by_id[i].title,
                "reason": r,
            }
            for i, r in results
            if r is not None
        ]
        posts = [{**asdict(by_id[i]), "id": i} for i, r in results if r is None]
    arena.library.log_reads(reads)
    arena.store.insert(records)
    return {**records, "reads": reads} | ({"posts": posts} if "posts" in produced else {})


def birth(arena: Arena) -> Produced:
    """The first population."""
    return {"agents": [arena.newborn(i, 0, [], "nothing") for i in range(arena.config.population.agents)]}


def last_generation(arena: Arena) -> int:
    rows = arena.store.query("SELECT MAX(generation) AS g FROM phases WHERE phase = 'measure'")
    return int(rows[0]["g"] or 0)


def prune_adapters(arena: Arena) -> None:
    """Keep every 10th generation's adapters and the last two; the learner's state of the last two."""
    g = arena.generation.index
    for old in sorted((arena.folder / "adapters").glob("g[0-9]*")):
        number = int(old.name[1:])
        if number > g - 2:
            continue
        if number % 10:
            shutil.rmtree(old)
        else:
            (old / "learner.safetensors").unlink(missing_ok=True)
