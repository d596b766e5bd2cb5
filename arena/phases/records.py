"""What a phase is: the declaration (`PhaseSpec`) that the loop, resume and the replay of islands read.

A phase computes records from the run's state: `play` returns rows by table and leaves the state as it is (training
changes the learner, whose weights the phase saves). The loop stores the records with `store`, in one transaction with
the phase's own row, and then changes the state with `fold`. On resume, `fold` gets the stored rows of the phases that
the unfinished generation has completed. A fold reads stored verdicts, reasons and texts; it judges nothing again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from agents.engine import Request
from arena.rounds.round import Ask
from arena.run.fold import RunState
from arena.run.state import Arena
from arena.run.store import Records

Listener = Callable[[str, dict[str, Any]], None]
Produced = dict[str, list[Any]]
"""Records of a phase: rows by table; `reads` and `withheld` are `culture.library.Read`."""


def insert(arena: Arena, produced: Produced) -> Produced:
    """Insert the records of a phase, inside a transaction of the caller. Returns the records as stored."""
    state = arena.state
    records = dict(produced)
    reads = records.pop("reads", [])
    state.library.log_reads(reads)
    state.library.log_withheld(records.pop("withheld", []))
    arena.store.insert(records)
    return {**records, "reads": reads}


def keep(arena: Arena, records: Records) -> None:
    """The fold of a phase that does not change the state."""


@dataclass(frozen=True)
class PhaseSpec:
    """One phase, declared once (`arena.phases.registry`)."""

    name: str
    play: Callable[[Arena], Produced]
    """Computes the records. Depends on the folded state alone, so that it gives the same records after a crash."""
    tables: tuple[str, ...]
    """Tables it adds rows to. Listeners of a run of several islands receive these."""
    store: Callable[[Arena, Produced], Produced] = insert
    """Writes the records inside the phase's transaction; returns the records as stored."""
    fold: Callable[[Arena, Records], None] = keep
    """Changes the run's state by the stored records."""
    resume_from: tuple[str, ...] = ()
    """Tables whose rows `fold` needs when a run resumes later in the same generation. Empty if there is no fold, or if
    `Arena.open` restores what it changes (population, learner, bank)."""
    reads: tuple[str, ...] = ()
    """Values of column `phase` in its rows of table `reads`."""
    counted: bool = True
    """Whether its tokens count as compute. Evaluation is reported separately."""
    seals: bool = False
    """Whether it is the last phase of a generation: the ledger is sealed in its transaction."""


def silent(event: str, data: dict[str, Any]) -> None:
    """A listener that ignores every event."""


def request(state: RunState, round_: str, ask: Ask, temperature: float, adapter: str | None) -> Request:
    key = f"{state.seed}/{round_}/{ask.phase}/{ask.seat}/{ask.number}"
    c = state.config.rounds
    return Request(key, ask.prompt, adapter, c.max_tokens, temperature, c.top_p)
