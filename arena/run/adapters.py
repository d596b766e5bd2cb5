"""The adapters that a run wrote: which files are in its folder, which are missing, and which retention removed.

Table `checkpoints` names every file that was written. A run deliberately deletes old ones (`store.adapters`,
`store.most_adapters`), by a rule over generations. A file that the rule keeps and that is not there is missing: someone
deleted it, or copied the run without it. Settings that changed on resume are taken from table `control`.

Every command that needs adapters asks here. Left out: the content of the files (`arena.run.agents.file_digest`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from arena.config.schema import Config
from arena.run.paths import inside
from arena.run.reconfigure import values_over_time
from arena.run.store import Row, Store
from arena.text import count

FILES = ("adapter_config.json", "adapter_model.safetensors")
STATES = ("learner", "born")
"""Names of the learner's states in table `checkpoints`; a run keeps those of the last two generations."""
AGENTS = "SELECT c.* FROM checkpoints c JOIN agents a ON a.name = c.name ORDER BY c.generation, a.number"
COMMONS = "SELECT path FROM checkpoints WHERE name LIKE 'commons%' ORDER BY generation DESC LIMIT 1"
MOST_NAMED = 12
REPAIR = "copy the run's folder adapters/ here, whole"


@dataclass(frozen=True)
class StoredAdapters:
    """The adapters of a run's agents. `recorded`: rows of table `checkpoints`, by generation, agents in order of birth.
    `kept`: the generations whose files retention keeps. All are empty if nobody was trained."""

    folder: Path
    recorded: dict[int, list[Row]]
    kept: frozenset[int]

    @property
    def there(self) -> dict[int, list[Row]]:
        """By generation, the rows whose files are in the folder."""
        found = {g: [r for r in rows if self._is_there(r)] for g, rows in self.recorded.items()}
        return {g: rows for g, rows in found.items() if rows}

    @property
    def missing(self) -> list[Row]:
        """The rows whose files should be in the folder and are not."""
        return [r for g, rows in self.recorded.items() if g in self.kept for r in rows if not self._is_there(r)]

    def find(self, generation: int | None = None) -> list[Row]:
        """The rows of a generation (None: the last one that was trained). Their files need not be there: `check` says.

        Raises ValueError for a generation without adapters, naming those that have some. Empty if nobody was trained.
        """
        g = max(self.recorded, default=0) if generation is None else generation
        if self.recorded and g not in self.recorded:
            raise ValueError(f"no adapters of generation {g} in {self.folder}: the run wrote none then; {self._have()}")
        return self.recorded.get(g, [])

    def check(self, rows: Iterable[Row], hint: str = "") -> None:
        """Raise ValueError, naming the files and the generations that are there, if files of these rows are not."""
        gone = [r for r in rows if not self._is_there(r)]
        if not gone:
            return
        names = ", ".join(str(r["path"]) for r in gone[:MOST_NAMED]) + (" ..." if len(gone) > MOST_NAMED else "")
        if all(r["generation"] not in self.kept for r in gone):
            why = f"retention removed {names} (store.adapters, store.most_adapters)"
        else:
            why = f"{count(len(gone), 'file is', 'files are')} missing ({names}): {REPAIR}"
        generations = ", ".join(map(str, sorted({r["generation"] for r in gone})))
        raise ValueError(
            f"no adapters of generation {generations} in {self.folder}: {why}; {self._have()}{hint and f'; {hint}'}"
        )

    def lost(self) -> str:
        """What is missing and what is there, in one sentence without its full stop; empty if nothing is missing."""
        gone = Counter(r["generation"] for r in self.missing)
        if not gone:
            return ""
        parts = [f"{n} of {len(self.recorded[g])} of generation {g}" for g, n in gone.items()]
        return f"{count(gone.total(), 'adapter is', 'adapters are')} missing: {', '.join(parts)}; {self._have()}"

    def _have(self) -> str:
        whole = [g for g, rows in self.there.items() if len(rows) == len(self.recorded[g])]
        return f"there are those of generation {', '.join(map(str, whole))}" if whole else "there are none"

    def _is_there(self, row: Row) -> bool:
        return all((inside(self.folder, row["path"]) / name).is_file() for name in FILES)


def stored_adapters(folder: Path, store: Store, config: Config) -> StoredAdapters:
    """The adapters of the run in `folder`."""
    recorded: dict[int, list[Row]] = {}
    for row in store.query(AGENTS):
        recorded.setdefault(row["generation"], []).append(row)
    return StoredAdapters(folder, recorded, frozenset(_kept(store, config, recorded)))


def missing_states(folder: Path, store: Store) -> list[str]:
    """Paths of the learner's states and consolidated adapters that resuming needs and that are not in the folder."""
    last = store.query("SELECT MAX(generation) AS g FROM phases WHERE phase = 'measure'")[0]["g"] or 0
    names = ", ".join(f"'{name}'" for name in STATES)
    sql = f"SELECT path FROM checkpoints WHERE name IN ({names}) AND generation > ? - 2 UNION ALL"
    sql += f" SELECT path FROM ({COMMONS})"
    return [r["path"] for r in store.query(sql, [last]) if not inside(folder, r["path"]).exists()]


def check_state(folder: Path, store: Store, config: Config, path: str) -> Path:
    """The file at `path` of table `checkpoints`, which the run needs to go on. Raises ValueError if it is not there."""
    found = inside(folder, path)
    if not found.exists():
        lost = stored_adapters(folder, store, config).lost()
        raise ValueError(f"{folder} cannot go on, because {path} is missing: {REPAIR}{lost and f'; {lost}'}")
    return found


def _kept(store: Store, config: Config, recorded: Sequence[int] | dict[int, list[Row]]) -> set[int]:
    last = store.query("SELECT MAX(generation) AS g FROM phases WHERE phase = 'measure'")[0]["g"] or 0
    every, most = (values_over_time(store, config, f"store.{key}") for key in ("adapters", "most_adapters"))
    return {*kept_generations(last, every, most)} & {*recorded} | {g for g in recorded if g > last}


def kept_generations(last: int, every: Sequence[tuple[int, int]], most: Sequence[tuple[int, int]]) -> set[int]:
    """The generations whose adapters are kept after generation `last`.

    `every` and `most` are the values of `store.adapters` and `store.most_adapters`, each with the generation from whose
    end on it was in force. At the end of a generation in which a value changed, both may have been applied.
    """
    kept = set[int]()
    for g in range(1, last + 1):
        kept.add(g)
        for n, bound in product(_in_force(every, g), _in_force(most, g)):
            step = spacing(g, n, bound)
            kept = {k for k in kept if k > g - 2 or (step and k % step == 0)}
    return kept


def _in_force(values: Sequence[tuple[int, int]], generation: int) -> list[int]:
    before = [value for first, value in values if first < generation or not first]
    return [*before[-1:], *(value for first, value in values if first == generation)]


def spacing(generation: int, every: int, most: int) -> int:
    """The N of which every Nth generation before the last two keeps its adapters after `generation`; 0: none does."""
    step = every
    while most and step and (generation - 2) // step > most:
        step *= 2
    return step
