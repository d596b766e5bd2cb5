"""The generation loop.

    for each generation:  read, propose, solve, grade, post, sleep, turnover, measure

Each phase computes records from the open run. They are stored in one transaction with the phase's own row, then folded
into the run's state. Phases finished before an interruption are folded from the store, so resume is the same loop.
Before each phase the loop checks the limits (`arena.run.budget`) and the commands to pause or stop
(`arena.run.control`).
"""

from __future__ import annotations

import time
from collections.abc import Collection
from contextlib import suppress
from datetime import UTC, datetime

from agents.engine import Halted
from agents.memory import release_freed_memory
from arena.config.population import MAIN
from arena.phases.records import Listener, PhaseSpec, Produced, silent
from arena.phases.registry import PHASES, SPECS
from arena.run.control import Controls, note_limit
from arena.run.fold import Generation
from arena.run.integrity import explained
from arena.run.ledger import seal, seal_rest
from arena.run.models import Tokens
from arena.run.retention import prune_adapters, thin, thin_rest
from arena.run.state import Arena
from arena.run.store import Row

Finished = Collection[tuple[int, str]]


def play(arena: Arena, listen: Listener = silent) -> bool:
    """Play the run until it ends or is stopped. Returns True if it has ended.

    `listen` receives ("phase", ...) before and ("done", ...) after each phase, ("control", ...) when the run pauses,
    waits for reviewers, resumes or will stop, and ("limit", ...) when it stops at a limit; `arena.budget.stopped` says
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
    """The loop itself. Raises Halted if a limit is met."""
    config, finished = arena.config, arena.store.finished()
    controls = Controls(arena.store, listen, arena.forgotten)
    begin(arena, finished, listen, controls)
    for g in range(1, config.generations + 1):
        if (g, "measure") in finished:
            continue
        if (g, "read") not in finished:
            if config.limits.compute and arena.store.compute() >= config.limits.compute:
                break
            if controls.stops_before(g, "read", config.review.wait):
                return False
            arena.budget.check_proposals(arena.store)
        play_generation(arena, g, finished, listen, controls)
    last = last_generation(arena)
    if (last, "final") not in finished and controls.stops_before(last, "final"):
        return False
    end(arena, finished, listen, controls)
    return True


def begin(arena: Arena, finished: Finished, listen: Listener, controls: Controls) -> None:
    """Generation 0: the first population, and the measurement before any training."""
    arena.state.generation = Generation(0)
    for name in ("birth", "baseline"):
        run_phase(arena, SPECS[name], finished, listen, controls)


def play_generation(arena: Arena, g: int, finished: Finished, listen: Listener, controls: Controls) -> None:
    """One generation; its finished phases are folded from the store."""
    arena.state.generation = Generation(g)
    for phase in PHASES:
        run_phase(arena, phase, finished, listen, controls)
    prune_adapters(arena)


def end(arena: Arena, finished: Finished, listen: Listener, controls: Controls) -> None:
    """The measurement after the last generation."""
    arena.state.generation = Generation(last_generation(arena))
    prune_adapters(arena)  # a process killed right after the last measurement has not done it
    run_phase(arena, SPECS["final"], finished, listen, controls)
    seal_rest(arena)
    thin_rest(arena.store, arena.config.store.retention)


def run_phase(arena: Arena, phase: PhaseSpec, finished: Finished, listen: Listener, controls: Controls) -> None:
    """Play one phase, store its records in one transaction, and fold them into the run's state. A phase that is
    finished already is folded from its stored rows."""
    g = arena.state.generation.index
    if (g, phase.name) in finished:
        if phase.resume_from:
            with explained([arena.folder]):
                phase.fold(arena, {table: arena.store.rows(table, g) for table in phase.resume_from})
        return
    arena.budget.check()
    controls.between(g, phase.name)
    listen("phase", {"generation": g, "phase": phase.name})
    started = time.monotonic()
    produced = compute(arena, phase)
    seconds = time.monotonic() - started
    row, by_model = phase_row(arena, phase), model_rows(arena, phase)
    with arena.store.transaction():
        records = phase.store(arena, produced)
        telemetry = {"generation": g, "phase": phase.name, "seconds": seconds}
        arena.store.insert({"phases": [row], "telemetry": [telemetry | {"finished": datetime.now(UTC).isoformat()}]})
        arena.store.insert({"model_tokens": by_model})
        if phase.seals:
            arena.store.insert(seal(arena))
            thin(arena.store, g, arena.config.store.retention)
    arena.budget.end(row, seconds, by_model)
    phase.fold(arena, records)
    listen("done", {**row, "seconds": seconds, "records": records})


def compute(arena: Arena, phase: PhaseSpec) -> Produced:
    """The phase's records. The seconds of a phase that is interrupted are stored: they count for `limits.seconds`."""
    g = arena.state.generation.index
    arena.models.tokens = Tokens()
    arena.budget.begin(g, phase.name)
    try:
        produced = phase.play(arena)
        release_freed_memory()
        return produced
    except (Halted, OSError, KeyboardInterrupt):
        row = {"generation": g, "phase": phase.name, "seconds": arena.budget.interrupt()}
        with suppress(OSError), arena.store.transaction():
            arena.store.insert({"telemetry": [row]})
        raise


def phase_row(arena: Arena, phase: PhaseSpec) -> Row:
    """The phase's row of table `phases`: tokens and requests."""
    tokens = arena.models.tokens
    return {
        "generation": arena.state.generation.index,
        "phase": phase.name,
        "prompt_tokens": tokens.prompt,
        "generated_tokens": tokens.generated,
        "trained_tokens": tokens.trained,
        "counted": int(phase.counted),
        "requests": tokens.requests,
    }


def model_rows(arena: Arena, phase: PhaseSpec) -> list[Row]:
    """In a mixed population, the phase's rows of table `model_tokens`: each model that completed a request."""
    whole, others = arena.models.tokens, arena.models.tokens.others
    if not arena.config.population.others:
        return []
    own = Tokens(
        whole.prompt - sum(t.prompt for t in others.values()),
        whole.generated - sum(t.generated for t in others.values()),
        requests=whole.requests - sum(t.requests for t in others.values()),
    )
    return [
        {
            "generation": arena.state.generation.index,
            "phase": phase.name,
            "model": name,
            "requests": tokens.requests,
            "prompt_tokens": tokens.prompt,
            "generated_tokens": tokens.generated,
        }
        for name, tokens in {MAIN: own, **others}.items()
        if tokens.requests or tokens.prompt
    ]


def last_generation(arena: Arena) -> int:
    rows = arena.store.query("SELECT MAX(generation) AS g FROM phases WHERE phase = 'measure'")
    return int(rows[0]["g"] or 0)
