"""The participants of an evaluation: agents of a run as of one generation, and the base model without an adapter.

The run is opened read-only under a shared lock, so that no process plays it meanwhile. If no agent has an adapter (a
server's model, or `sleep.enabled: false`), all agents are the same model, which is evaluated once.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from arena.config.population import MAIN
from arena.config.schema import Config, load_config, nearest
from arena.config.shipped import typed_command
from arena.run.adapters import stored_adapters
from arena.run.agents import checked_path
from arena.run.paths import check_folder
from arena.run.store import Row, Store
from arena.text import listed

BASE, AGENTS, MODEL = "base", "agents", "model"


@dataclass(frozen=True)
class Participant:
    """A model that answers every item: an agent or the base model. `agent`: the agent whose adapter and library it
    uses; the base model has no adapter and reads the library of the first agent."""

    group: str  # one of BASE, AGENTS, MODEL
    agent: str
    adapter: str | None = None  # a PEFT folder, relative to the run's folder
    reads: bool = False
    other: str = ""  # in a mixed population, the name of its model, unless it is the run's own

    @property
    def name(self) -> str:
        agent = f"{self.agent} ({self.other})" if self.other else self.agent
        return f"{agent if self.group == AGENTS else self.group}{', reading' if self.reads else ''}"


@dataclass(frozen=True)
class Selection:
    """The participants, their generation, and notes for the user on how they were selected."""

    generation: int
    players: tuple[Participant, ...]
    said: tuple[str, ...] = ()


@contextmanager
def open_for_reading(folder: Path) -> Iterator[tuple[Store, Config]]:
    """Open a run read-only. Raises ValueError if there is no run, or while a process plays it."""
    if not folder.is_dir():
        near = nearest(folder.name, [p.name for p in folder.parent.glob("*") if p.is_dir()])
        raise ValueError(f"no run folder at {folder}{near}")
    check_folder(folder)
    with ExitStack() as undo:
        try:
            lock = undo.enter_context(open(folder / ".lock"))
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            pass  # a copy that was never played here
        except OSError:
            raise ValueError(
                f"{folder} is being played by another process: wait, or stop it after this generation with "
                f"`{typed_command('control', folder, 'stop')}`"
            ) from None
        store = Store(folder / "run.db")
        undo.callback(store.close)
        store.db.execute("PRAGMA query_only = 1")
        yield store, load_config(folder / "config.yaml")


def select_participants(
    store: Store, config: Config, folder: Path, wanted: str, generation: int | None, library: bool
) -> Selection:
    """Select the participants.

    Args:
        store, config, folder: the run.
        wanted: `best`, `all`, a number N (the N best), or names separated by commas. In a mixed population, agents of
            other models than the run's own are evaluated if they are named.
        generation: the generation to evaluate; None: the last one with adapters.
        library: also evaluate every participant with posts of its library in context.

    Raises:
        ValueError: if an agent or the generation does not exist; names those that do.
    """
    others = {a: model for a, model in store.agent_models().items() if model != MAIN}
    trained = config.sleep.enabled and config.engine.spec.trains
    stored = stored_adapters(folder, store, config)
    if trained and (rows := stored.find(generation)):
        g = rows[0]["generation"]
        found = choose(store, rows, g, wanted, [r for r in alive_in(store, g) if r["name"] in others])
        chosen = [row for row in found if row["name"] not in others]
        stored.check(chosen, "choose one with --generation")
        said = [f"{_told(found, wanted, len(rows))} of generation {g}, beside the base model"]
        said += [text for text in [stored.lost()] if text]
        players = [
            Participant(AGENTS, row["name"], other=others[row["name"]])
            if row["name"] in others
            else Participant(AGENTS, row["name"], checked_path(folder, row))
            for row in found
        ]
        chosen = chosen or rows[:1]
        base = Participant(BASE, chosen[0]["name"])
    else:
        g = _last(store, folder) if generation is None else generation
        living = alive_in(store, g)
        alive = [row for row in living if row["name"] not in others]
        if not alive:
            raise ValueError(
                f"no agents in generation {g} of {folder}; the last finished generation is {_last(store, folder)}"
            )
        found = choose(store, alive, g, wanted, [r for r in living if r["name"] in others])
        chosen = [row for row in found if row["name"] not in others] or alive[:1]
        why = (
            f"all {'other ' if others else ''}agents are the same model, which runs on a server"
            if config.engine.spec.remote
            else "this run wrote no adapters, so all agents are the base model"
        )
        players = [Participant(AGENTS, r["name"], other=others[r["name"]]) for r in found if r["name"] in others]
        base, said = Participant(MODEL, chosen[0]["name"]), [why]
        if library and len(chosen) > 1 and config.library.network != "all":
            said.append(f"it reads the library of {base.agent}")
    group = [*players, base]
    if library:
        group += [Participant(p.group, p.agent, p.adapter, True, p.other) for p in group]
    return Selection(g, tuple(group), tuple(said))


def _told(chosen: Sequence[Row], wanted: str, n: int) -> str:
    names = listed([row["name"] for row in chosen]) if len(chosen) <= 8 else f"{len(chosen)} agents"
    return f"{names}, best of {n} by the run's own held-out set," if wanted == "best" else names


def choose(store: Store, rows: Sequence[Row], generation: int, wanted: str, more: Sequence[Row] = ()) -> list[Row]:
    """The agents that `wanted` names, the best first; those in `more` only by name. Raises ValueError for an unknown
    name or number."""
    solved = skill(store, generation)
    ranked = sorted(rows, key=lambda row: -solved.get(row["name"], 0.0))
    if wanted == "all":
        return list(rows)
    if wanted == "best":
        return ranked[:1]
    if wanted.isdecimal():
        if not 1 <= int(wanted) <= len(rows):
            raise ValueError(f"--agents {wanted}: there are {len(rows)} agents in generation {generation}")
        return ranked[: int(wanted)]
    by_name = {r["name"]: r for r in (*rows, *more)}
    names = list(dict.fromkeys(n.strip() for n in wanted.split(",") if n.strip()))
    for name in names:
        if name not in by_name:
            near = nearest(name, [*by_name, "best", "all"]) or f"; use best, all or some of {', '.join(by_name)}"
            raise ValueError(f"--agents: generation {generation} has no agent {name!r}{near}")
    if not names:
        raise ValueError("--agents is empty: use best, all, a number, or names separated by commas")
    return [by_name[n] for n in names]


def skill(store: Store, generation: int) -> dict[str, float]:
    """Each agent's pass rate on the run's held-out problems in a generation; without one, its mean solver reward."""
    sql = (
        "SELECT agent, SUM(correct) * 1.0 / SUM(k) AS value FROM evaluations WHERE generation = ? AND mode = 'greedy'"
        " GROUP BY agent"
    )
    other = "SELECT agent, reward AS value FROM rewards WHERE generation = ? AND role = 'solver'"
    rows = store.query(sql, [generation]) or store.query(other, [generation])
    return {r["agent"]: r["value"] for r in rows}


def alive_in(store: Store, generation: int) -> list[Row]:
    """The agents that were active after a generation, in order of birth."""
    return store.query(
        "SELECT a.name FROM agents a LEFT JOIN retirements r ON r.name = a.name WHERE a.born <= ?"
        " AND (r.generation IS NULL OR r.generation > ?) AND ? <= (SELECT MAX(generation) FROM phases)"
        " ORDER BY a.number",
        [generation, generation, generation],
    )


def _last(store: Store, folder: Path) -> int:
    found = store.query("SELECT MAX(generation) AS g FROM phases WHERE phase = 'measure'")[0]["g"]
    if found is None:
        raise ValueError(f"no generation of {folder} has been finished")
    return int(found)
