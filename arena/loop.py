"""The generation loop.

    for each generation:  read, propose, solve, grade, post, sleep, turnover, measure

Each phase takes the arena and gives records; they are stored in one transaction with the phase's own row, then folded
into the arena. Phases that were finished before an interruption are folded in from the store, so resume is the same
loop. Before each phase the loop looks whether a limit is met (`arena.run.budget`), and whether someone asked it to
pause or to stop (`arena.run.control`).
"""

from __future__ import annotations

import time
from collections.abc import Collection
from contextlib import suppress
from datetime import UTC, datetime

from agents.engine import Halted
from arena.phases.measure.heldout import baseline, final
from arena.phases.records import Listener, silent, store_records
from arena.phases.registry import PHASES, UNCOUNTED, Phase, birth
from arena.run.control import Controls, note_limit
from arena.run.ledger import SEALED, seal, seal_rest
from arena.run.retention import prune_adapters, thin, thin_rest
from arena.run.state import Arena, Generation, Tokens

Finished = Collection[tuple[int, str]]


def play(arena: Arena, listen: Listener = silent) -> bool:
    """Play the run to its end, or until it is stopped; True if it came to its end.

    `listen` is told ("phase", ...) before and ("done", ...) after each phase, ("control", ...) when the run pauses,
    goes on or is to stop, and ("limit", ...) when it stops because a limit is met; `arena.budget.stopped` says
    which.
    """
    try:
        return play_on(arena, listen)
    except Halted as halted:
        arena.budget.stopped = str(halted)
        note_limit(arena.store, arena.budget.stopped)
        listen("limit", {"line": arena.budget.stopped})
        return False


def play_on(arena: Arena, listen: Listener) -> bool:
    """The loop itself. Raises Halted where a limit is met."""
    config, finished = arena.config, arena.store.finished()
    controls = Controls(arena.store, listen, arena.forgotten)
    begin(arena, finished, listen, controls)
    for g in range(1, config.generations + 1):
        if (g, "measure") in finished:
            continue
        if (g, "read") not in finished:
            if config.limits.compute and arena.store.compute() >= config.limits.compute:
                break
            if controls.stops_before(g, "read"):
                return False
        play_generation(arena, g, finished, listen, controls)
    last = last_generation(arena)
    if (last, "final") not in finished and controls.stops_before(last, "final"):
        return False
    end(arena, finished, listen, controls)
    return True


def begin(arena: Arena, finished: Finished, listen: Listener, controls: Controls) -> None:
    """Generation 0: the first population, and the measurement before anything was learned."""
    arena.generation = Generation(0)
    run_phase(arena, "birth", birth, finished, listen, controls)
    run_phase(arena, "baseline", baseline, finished, listen, controls)


def play_generation(arena: Arena, g: int, finished: Finished, listen: Listener, controls: Controls) -> None:
    """One generation, from where it was left."""
    arena.generation = Generation(g)
    for name, phase in PHASES:
        run_phase(arena, name, phase, finished, listen, controls)
    prune_adapters(arena)


def end(arena: Arena, finished: Finished, listen: Listener, controls: Controls) -> None:
    """The measurement after the last generation."""
    arena.generation = Generation(last_generation(arena))
    prune_adapters(arena)  # which whoever died right after the last measurement has not
    run_phase(arena, "final", final, finished, listen, controls)
    seal_rest(arena)
    thin_rest(arena.store, arena.config.store.retention)


def run_phase(arena: Arena, name: str, phase: Phase, finished: Finished, listen: Listener, controls: Controls) -> None:
    """Play one phase and store it whole, or fold it in if it was finished before."""
    g = arena.generation.index
    if (g, name) in finished:
        if g:
            arena.restore_phase(name)
        return
    arena.budget.check()
    controls.between(g, name)
    listen("phase", {"generation": g, "phase": name})
    started = time.monotonic()
    arena.generation.tokens = Tokens()
    arena.budget.begin(g, name)
    try:
        produced = phase(arena)
    except (Halted, OSError, KeyboardInterrupt):
        row = {"generation": g, "phase": name, "seconds": arena.budget.interrupt()}
        with suppress(OSError), arena.store.transaction():
            arena.store.insert({"telemetry": [row]})
        raise
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
            "requests": tokens.requests,
        }
        telemetry = {"generation": g, "phase": name, "seconds": seconds, "finished": datetime.now(UTC).isoformat()}
        arena.store.insert({"phases": [row], "telemetry": [telemetry]})
        if name in SEALED:
            arena.store.insert(seal(arena))
            thin(arena.store, g, arena.config.store.retention)
    arena.budget.end(row, seconds)
    arena.apply(name, records)
    listen("done", {**row, "seconds": seconds, "records": records})


def last_generation(arena: Arena) -> int:
    rows = arena.store.query("SELECT MAX(generation) AS g FROM phases WHERE phase = 'measure'")
    return int(rows[0]["g"] or 0)
