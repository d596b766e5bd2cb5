"""The combined run of all islands: `run.db` in the coordinator's folder, one transaction per generation.

It is written from the replicas and reads like any other run. Rows are ordered by island; ids that islands would number
alike contain the island. Computed anew: the order of posts (`seq`) and the signed log over them, with the coordinator's
own key; the islands' own heads are in `island_heads`. Summed: tokens and requests of a phase; its time is that of the
slowest island. Paths of adapters lead into the replicas. Left out with several islands: learner states. A post that
reached several islands is one row, of its author's island, and is in the index if its own island has not forgotten it.

With one island it equals that island's run, row by row.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agents.identity import KeyRing
from arena.config.schema import Config
from arena.islands.replica import Replica
from arena.run.ledger import seal_generation
from arena.run.store import ISLAND_HEADS, LOST_ISLANDS, MIGRATIONS, Row, Store
from culture.removals import BY_POST

SUMS = ("prompt_tokens", "generated_tokens", "trained_tokens", "requests")
STATES = ("learner", "born")
OWN = ("island", "islands")
"""Keys of an island's meta that are not the run's."""
APART = ("meta", "phases", "telemetry", "posts", "removals", "leaves", "heads")


class Union:
    """The coordinator's database. `final`: number of the final measurement, one more than the last generation's."""

    def __init__(self, folder: Path, config: Config, store: Store) -> None:
        self.folder, self.config, self.store = folder, config, store
        self.keys = KeyRing(folder / "keys")
        self.islands, self.final = config.cluster.islands, config.generations + 1

    @property
    def written(self) -> int:
        """The last generation written; -1 before the first."""
        finished = self.store.finished()
        if any(phase == "final" for _, phase in finished):
            return self.final
        return max((g for g, phase in finished if phase in ("baseline", "measure")), default=-1)

    def write(self, generation: int, replicas: Sequence[Replica]) -> dict[str, list[Row]]:
        """Write a generation of these islands unless it is written already; its rows by table, as written."""
        if generation <= self.written:
            return {}
        found: dict[str, list[Row]] = {}
        for replica in replicas:
            for name, table in replica.rows(generation).items():
                rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
                self._take(found, name, rows, replica.index)
        with self.store.transaction():
            if self.islands > 1:
                self.store.db.execute(MIGRATIONS)
                self.store.db.execute(ISLAND_HEADS)
            self._merge_meta(found.pop("meta", []))
            found["posts"] = self._new_posts(found.get("posts", []))
            self.store.insert({"posts": found["posts"]})
            found["removals"] = self._new_removals(found.get("removals", []))
            found["phases"] = _summed(found.get("phases", []))
            found["telemetry"] = _slowest(found.get("telemetry", []))
            self.store.insert({name: rows for name, rows in found.items() if name != "posts"})
            if generation < self.final:
                self.store.insert(seal_generation(self.store, self.keys, generation))
        return found

    def take_back(self, generation: int, replicas: Sequence[Replica]) -> None:
        """Remove the rows of this generation and those after it, atomically: the ones before are written anew."""
        if self.written < generation:
            return
        with tempfile.TemporaryDirectory() as folder:
            new = Store(Path(folder) / "run.db", create=True)
            new.set_meta(self.store.meta())
            union = Union(self.folder, self.config, new)
            for g in range(generation):
                union.write(g, [r for r in replicas if r.has(g)])
            with new.transaction():
                new.insert({"control": self.store.query("SELECT * FROM control ORDER BY seq")})
            for island, at, reason in self._losses():
                union.lose(island, at, reason)
            new.db.conn.backup(self.store.db.conn)
            new.close()

    def _take(self, found: dict[str, list[Row]], name: str, rows: list[Row], island: int) -> None:
        """Add an island's rows of one table, in the form of the combined run."""
        if name == "leaves":
            return
        if name == "heads":
            if self.islands > 1:
                found.setdefault("island_heads", []).extend({**r, "island": island} for r in rows)
            return
        if name == "checkpoints" and self.islands > 1:
            rows = [{**r, "path": f"islands/{island}/{r['path']}"} for r in rows if r["name"] not in STATES]
        if name == "agents" and island:
            rows = [{**r, "place": r["place"] + island * self.config.population.agents} for r in rows]
        if name in ("meta", "removals"):
            rows = [{**r, "island": island} for r in rows]
        found.setdefault(name, []).extend(rows)

    def _merge_meta(self, rows: Sequence[Row]) -> None:
        """Versions must be equal on all islands. Raises ValueError naming one that is not."""
        said: dict[str, tuple[str, int]] = {}
        for row in rows:
            if row["key"] in OWN:
                continue
            value, first = said.setdefault(row["key"], (row["value"], row["island"]))
            if value != row["value"]:
                raise ValueError(
                    f"island {first} is played with {row['key']} {value}, island {row['island']} with {row['value']}: "
                    "islands of one run need the same versions and the same kind of machine"
                )
        self.store.set_meta({key: value for key, (value, _) in said.items()})

    def _new_posts(self, rows: Sequence[Row]) -> list[Row]:
        """Posts that are not stored yet, numbered consecutively."""
        last = self.store.query("SELECT COALESCE(MAX(seq), 0) AS n FROM posts")[0]["n"]
        new = {r["id"]: r for r in rows if not self.store.query("SELECT 1 FROM posts WHERE id = ?", [r["id"]])}
        return [{**r, "seq": last + at} for at, r in enumerate(new.values(), 1)]

    def _new_removals(self, rows: Sequence[Row]) -> list[Row]:
        """The first removal of each post; one not caused by a post counts only on the island of the post's author."""
        new: dict[str, Row] = {}
        for row in rows:
            by_post = row["state"] in BY_POST or (row["cause"] and row["state"] == "forgotten")
            if not by_post and self._home(row["post"]) != row["island"]:
                continue
            if not self.store.query("SELECT 1 FROM removals WHERE post = ?", [row["post"]]):
                new.setdefault(row["post"], {k: v for k, v in row.items() if k != "island"})
        return list(new.values())

    def _home(self, post: str) -> int | None:
        """The island on which this post was written."""
        sql = "SELECT a.number FROM posts p JOIN agents a ON a.name = p.author WHERE p.id = ?"
        rows = self.store.query(sql, [post])
        return rows[0]["number"] % self.islands if rows else None

    def lose(self, island: int, generation: int, reason: str) -> None:
        """Record that the run continues without this island from `generation` on."""
        with self.store.transaction():
            self.store.db.execute(LOST_ISLANDS)
            self.store.insert({"lost_islands": [{"island": island, "generation": generation, "reason": reason[:500]}]})

    def lost(self) -> dict[int, int]:
        """By lost island, the generation from which the run continues without it."""
        return {island: generation for island, generation, _ in self._losses()}

    def _losses(self) -> list[tuple[int, int, str]]:
        """(island, generation, reason) of each lost island."""
        if not self.store.query("SELECT 1 FROM sqlite_master WHERE name = 'lost_islands'"):
            return []
        return [(r["island"], r["generation"], r["reason"]) for r in self.store.query("SELECT * FROM lost_islands")]


def _summed(rows: Sequence[Row]) -> list[Row]:
    """One row per phase: the sum over islands."""
    found: dict[tuple[int, str], Row] = {}
    for row in rows:
        at = row["generation"], row["phase"]
        if at in found:
            found[at] = found[at] | {k: (found[at][k] or 0) + (row[k] or 0) for k in SUMS}
        else:
            found[at] = dict(row)
    return list(found.values())


def _slowest(rows: Sequence[Row]) -> list[Row]:
    """One row per phase: the time of the slowest island."""
    found: dict[tuple[int, str], Row] = {}
    for row in rows:
        at = row["generation"], row["phase"]
        best: Mapping[str, Any] = found.get(at, row)
        finished = max(filter(None, (best["finished"], row["finished"])), default=None)
        found[at] = {**row, "seconds": max(best["seconds"], row["seconds"]), "finished": finished}
    return list(found.values())
