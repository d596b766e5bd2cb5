"""Who sits the examination: agents of a run as they were after a generation, beside the base model without adapter.

A run is opened to be read: its lock is shared with others who read, so that nobody plays it meanwhile, and its database
refuses to be written. Where nobody learned (a server's model, or `sleep.enabled: false`) all agents are one and the
same model, which then answers alone.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from arena.config.schema import Config, load_config, nearest
from arena.config.shipped import typed_command
from arena.run.agents import FILES, file_digest, there
from arena.run.paths import check_folder, inside
from arena.run.store import Row, Store
from arena.text import listed

BASE, AGENTS, MODEL = "base", "agents", "model"


@dataclass(frozen=True)
class Player:
    """One who answers every item. `agent` is whose adapter it has and whose library it reads; base rows have no
    adapter, and read what the first agent does."""

    group: str  # one of BASE, AGENTS, MODEL
    agent: str
    adapter: str | None = None  # a PEFT folder below the run's
    reads: bool = False

    @property
    def name(self) -> str:
        return f"{self.agent if self.group == AGENTS else self.group}{', reading' if self.reads else ''}"


@dataclass(frozen=True)
class Line:
    """Who plays, as of which generation, and what is to be told of the choice."""

    generation: int
    players: tuple[Player, ...]
    said: tuple[str, ...] = ()


@contextmanager
def opened(folder: Path) -> Iterator[tuple[Store, Config]]:
    """A run that nobody plays, for reading. Raises ValueError where there is none, or while it is being played."""
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


def line_up(store: Store, config: Config, folder: Path, wanted: str, generation: int | None, library: bool) -> Line:
    """The players that `wanted` names: best, all, a number (so many of the best), or names with commas between.

    Raises ValueError, naming what there is, for agents or a generation that are not there.
    """
    at = there(store, folder) if config.sleep.enabled and config.engine.spec.trains else {}
    if at:
        g = max(at) if generation is None else generation
        if g not in at:
            raise ValueError(
                f"no adapters of generation {g} in {folder}; there are those of generation {', '.join(map(str, at))}"
            )
        chosen = choose(store, at[g], g, wanted)
        said = [f"{_told(chosen, wanted, len(at[g]))} of generation {g}, beside the base model"]
        players = [Player(AGENTS, row["name"], _checked(folder, row)) for row in chosen]
        base = Player(BASE, chosen[0]["name"])
    else:
        g = _last(store, folder) if generation is None else generation
        alive = living(store, g)
        if not alive:
            raise ValueError(f"nobody lived in generation {g} of {folder}; the last finished is {_last(store, folder)}")
        chosen = choose(store, alive, g, wanted)
        why = (
            "a server's model answers for all agents alike"
            if config.engine.spec.remote
            else "no adapters were written in this run, so the base model answers for all agents alike"
        )
        players, base, said = [], Player(MODEL, chosen[0]["name"]), [why]
        if library and len(chosen) > 1 and config.library.network != "all":
            said.append(f"of their libraries, that of {base.agent} is read")
    group = [*players, base]
    if library:
        group += [Player(p.group, p.agent, p.adapter, reads=True) for p in group]
    return Line(g, tuple(group), tuple(said))


def _told(chosen: Sequence[Row], wanted: str, n: int) -> str:
    names = listed([row["name"] for row in chosen]) if len(chosen) <= 8 else f"{len(chosen)} agents"
    return f"{names}, best of {n} by the run's own held-out set," if wanted == "best" else names


def choose(store: Store, rows: Sequence[Row], generation: int, wanted: str) -> list[Row]:
    """Some of the agents, the best first; raises ValueError for a name that is none of them."""
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
    by_name = {r["name"]: r for r in rows}
    names = list(dict.fromkeys(n.strip() for n in wanted.split(",") if n.strip()))
    for name in names:
        if name not in by_name:
            near = nearest(name, [*by_name, "best", "all"]) or f"; there are {', '.join(by_name)}, or say best or all"
            raise ValueError(f"--agents names {name!r}, who is no agent of generation {generation}{near}")
    if not names:
        raise ValueError("--agents names nobody: say best, all, a number, or names with commas between")
    return [by_name[n] for n in names]


def skill(store: Store, generation: int) -> dict[str, float]:
    """How much of the run's own held-out problems each agent solved in its measurement of a generation; where there
    was none, its mean reward as a solver."""
    sql = (
        "SELECT agent, SUM(correct) * 1.0 / SUM(k) AS value FROM evaluations WHERE generation = ? AND mode = 'greedy'"
        " GROUP BY agent"
    )
    other = "SELECT agent, reward AS value FROM rewards WHERE generation = ? AND role = 'solver'"
    rows = store.query(sql, [generation]) or store.query(other, [generation])
    return {r["agent"]: r["value"] for r in rows}


def living(store: Store, generation: int) -> list[Row]:
    """Who lived through a generation, in order of birth."""
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


def _checked(folder: Path, row: Row) -> str:
    """The adapter's folder. Raises ValueError for weights that are not the run's."""
    path: str = row["path"]
    weights = inside(folder, path) / FILES[1]
    sha = file_digest(weights)
    if sha != row["sha256"]:
        raise ValueError(f"{weights} is not what the run wrote: SHA-256 {sha}, stored {row['sha256']}")
    return path
