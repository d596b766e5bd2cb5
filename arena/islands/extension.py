"""Continue a run of several islands that had ended, so that it equals the run of that length (`arena.run.extension`).

An island plays one generation per call, so the whole last generation is removed where a single run removes its last
phases, and also where islands would have exchanged in it. The copies are brought back first, then the combined run,
each atomically. After a crash between two of them the islands play again what is missing, to the same records.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from arena.config.schema import Config
from arena.islands.merge import Union
from arena.islands.replica import Replica
from arena.run.extension import check_length, first_to_replay, generation_begun, goes_on
from arena.run.store import Store


def extend(folder: Path, store: Store, stored: Config, wanted: Config) -> None:
    """Bring the run in `folder` back to where a run with the config `wanted` goes on; `store` is its combined run.

    Raises ValueError for a number of generations that the run has passed.
    """
    with ExitStack() as ends:
        replicas = [
            Replica(folder / "islands" / str(i), i, stored.cluster.islands) for i in range(stored.cluster.islands)
        ]
        for replica in replicas:
            ends.callback(replica.close)
        stores = [store, *(r.store for r in replicas if r.store)]
        for each in stores:
            check_length(each, stored, wanted)
        first = _first(stores, stored, wanted)
        if first is None:
            return
        for replica in replicas:
            replica.take_back(first)
        Union(folder, stored, store).take_back(first, replicas)


def _first(stores: list[Store], stored: Config, wanted: Config) -> int | None:
    """The first generation to play again; None: none is. `stores`: the combined run, then the copies of islands."""
    last = max(map(generation_begun, stores))
    if last == stored.generations < wanted.generations:
        differs = any(first_to_replay(each, stored, wanted) in ("sleep", "turnover") for each in stores[1:])
        if last and (differs or wanted.cluster.exchanges(last, wanted.generations)):
            return last
    ended = any(phase == "final" for each in stores for _, phase in each.finished())
    return last + 1 if ended and goes_on(stores[0], wanted, last) else None
