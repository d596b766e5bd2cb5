"""What a phase is: the declaration (`PhaseSpec`) that the loop, resume and the replay of islands read.

A phase computes records from the run's folded state and changes nothing: `play` gives rows by table. The loop stores
them with `store`, in one transaction with the phase's own row, then takes them into the run's state with `fold`. On
resume, `fold` is given the stored rows of the phases that a half-played generation has finished. A fold reads what is
stored (verdicts, reasons, texts) and judges nothing again.
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
"""What a phase computed: rows by table, and `reads` and `withheld` as `culture.library.Read`."""


def insert(arena: Arena, produced: Produced) -> Produced:
    """Insert what a phase produced, inside a transaction of the caller; the records that were stored."""
    state = arena.state
    records = dict(produced)
    reads = records.pop("reads", [])
    state.library.log_reads(reads)
    state.library.log_withheld(records.pop("withheld", []))
    arena.store.insert(records)
    return {**records, "reads": reads}


def keep(arena: Arena, records: Records) -> None:
    """The fold of a phase that changes nothing in memory."""


@dataclass(frozen=True)
class PhaseSpec:
    """One phase, declared once (`arena.phases.registry`)."""

    name: str
    play: Callable[[Arena], Produced]
    """Computes the records. Draws on the folded state alone, so that it gives the same records after a crash."""
    tables: tuple[str, ...]
    """Tables that get its rows; listeners of a run of several islands are given these."""
    store: Callable[[Arena, Produced], Produced] = insert
    """Writes the records inside the phase's transaction; returns what was stored."""
    fold: Callable[[Arena, Records], None] = keep
    """Takes the stored records into the run's state."""
    resume_from: tuple[str, ...] = ()
    """Tables whose rows `fold` needs when a run resumes later in the same generation; empty where there is no fold, or
    `Arena.open` has restored what it changes (population, learner, bank)."""
    reads: tuple[str, ...] = ()
    """Values of column `phase` in its rows of table `reads`."""
    counted: bool = True
    """Whether its tokens are compute; evaluation is reported apart."""
    seals: bool = False
    """Whether the generation ends with it: the ledger is sealed in its transaction."""


def silent(event: str, data: dict[str, Any]) -> None:
    """A listener that ignores every event."""


def request(state: RunState, round_: str, ask: Ask, temperature: float, adapter: str | None) -> Request:
    key = f"{state.seed}/{round_}/{ask.phase}/{ask.seat}/{ask.number}"
    c = state.config.rounds
    return Request(key, ask.prompt, adapter, c.max_tokens, temperature, c.top_p)
