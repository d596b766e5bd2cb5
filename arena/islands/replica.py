"""The coordinator's copy of an island's run folder, updated by each Result; a lost island restarts from it anywhere.

Files are written first, each atomically, then the rows in one transaction; applying a Result twice changes nothing.
What the island sent to others is kept in `sent/`, so that arrivals can be computed again.

Left out: completions of a phase in progress, and adapters that pruning removes.
"""

from __future__ import annotations

import sqlite3
import tempfile
from pathlib import Path

from arena.config.schema import StoreSection
from arena.islands.deltas import begun, increment, mark, marks_of, write
from arena.islands.island import write_file
from arena.run.adapters import REPAIR
from arena.run.messages import Arrivals, Package, Result, Table
from arena.run.paths import inside
from arena.run.retention import prune_folder
from arena.run.store import MIGRATIONS, Store

KEPT = 3
"""Number of generations for which sent posts and agents are kept."""


class Replica:
    """The replica of one island in `folder`; empty until the first Result. Close it."""

    def __init__(self, folder: Path, index: int, islands: int, kept: StoreSection | None = None) -> None:
        self.folder, self.index, self.islands = folder, index, islands
        self.kept = kept or StoreSection()
        self.store: Store | None = Store(folder / "run.db") if (folder / "run.db").is_file() else None

    @property
    def generation(self) -> int:
        """The last generation it holds; -1 before the first."""
        return max(begun(self.store), default=-1) if self.store else -1

    def apply(self, result: Result) -> bool:
        """Add a generation. Returns False if it is there already. Raises ValueError for one that is not the next, and
        for rows or files that no island has."""
        if result.island != self.index:
            raise ValueError(f"a result of island {result.island} came from island {self.index}")
        if result.generation in (begun(self.store) if self.store else []):
            return False
        if result.generation <= self.generation:
            raise ValueError(f"island {self.index} gave generation {result.generation} after {self.generation}")
        for name, data in result.files.items():
            if name.split("/")[0] not in ("adapters", "keys"):
                raise ValueError(f"island {self.index} sent a file that is none of an island's: {name}")
            write_file(self.folder, name, data)
        if result.posts or result.agents:
            party = Arrivals(self.index, result.generation, result.posts, result.agents)
            write_file(self.folder, _sent(result.generation), party.to_bytes())
        store = self._open()
        with store.transaction():
            write(store, result.rows)
            mark(store, result.generation, result.marks, result.arrivals)
        played = store.query("SELECT MAX(generation) AS g FROM phases WHERE phase = 'measure'")[0]["g"]
        prune_folder(self.folder, played or 0, self.kept)
        for old in (self.folder / "sent").glob("g*.parcel"):
            if int(old.stem[1:]) < result.generation - KEPT:
                old.unlink()
        return True

    def _open(self) -> Store:
        """The database, created atomically on first use."""
        if self.store is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            partial = self.folder / ".run.db.new"
            partial.unlink(missing_ok=True)
            new = Store(partial, create=True)
            if self.islands > 1:
                new.db.execute(MIGRATIONS)
            new.close()
            partial.rename(self.folder / "run.db")
            self.store = Store(self.folder / "run.db")
        return self.store

    def take_back(self, generation: int) -> None:
        """Remove the rows of this generation and those after it, atomically. Files are replaced when they are played
        again."""
        if self.store is None or self.generation < generation:
            return
        with tempfile.TemporaryDirectory() as folder:
            new = Store(Path(folder) / "run.db", create=True)
            if self.islands > 1:
                new.db.execute(MIGRATIONS)
            with new.transaction():
                for g in [g for g in begun(self.store) if g < generation]:
                    write(new, increment(self.store, g))
                    mark(new, g, *marks_of(self.store, g))
                new.set_meta(self.store.meta())  # its rows are numbered otherwise than the island's
            new.db.conn.backup(self.store.db.conn)
            new.close()

    def has(self, generation: int) -> bool:
        return self.store is not None and generation in begun(self.store)

    def rows(self, generation: int) -> dict[str, Table]:
        """The rows that a generation added, by table."""
        assert self.store is not None
        return increment(self.store, generation)

    def holds_post(self, id_: str) -> bool:
        return self.store is not None and bool(self.store.query("SELECT 1 FROM posts WHERE id = ?", [id_]))

    def sent(self, generation: int) -> Arrivals | None:
        """What the island sent to others after a generation, or None. The addressee is the island itself."""
        try:
            data = (self.folder / _sent(generation)).read_bytes()
        except FileNotFoundError:
            return None
        return Arrivals.from_bytes(data)

    def package(self) -> bytes | None:
        """What the island needs to resume elsewhere; None before its first Result."""
        if self.store is None or self.generation < 0:
            return None
        files = {"run.db": self._snapshot()}
        for key in sorted((self.folder / "keys").glob("*.pem")):
            files[f"keys/{key.name}"] = key.read_bytes()
        sql = (
            "SELECT path FROM checkpoints WHERE name IN ('learner', 'born') AND generation ="
            " (SELECT MAX(generation) FROM checkpoints) UNION SELECT path FROM (SELECT path FROM checkpoints"
            " WHERE name LIKE 'commons%' ORDER BY generation DESC LIMIT 1)"
        )
        for row in self.store.query(sql):
            at = inside(self.folder, row["path"])
            if not at.exists():
                raise ValueError(f"{at} is missing, so island {self.index} cannot go on: {REPAIR}")
            for file in sorted(at.iterdir()) if at.is_dir() else [at]:
                files[file.relative_to(self.folder).as_posix()] = file.read_bytes()
        return Package(self.index, self.generation, files).to_bytes()

    def _snapshot(self) -> bytes:
        """The database as one file."""
        assert self.store is not None
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "run.db"
            copy = sqlite3.connect(path)
            self.store.db.conn.backup(copy)
            copy.close()
            return path.read_bytes()

    def close(self) -> None:
        if self.store is not None:
            self.store.close()


def _sent(generation: int) -> str:
    return f"sent/g{generation:04d}.parcel"
