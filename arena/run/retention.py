"""Retention: how many generations a run keeps the texts of attempts (`store.retention`), and its old adapters.

At the end of generation g, in the transaction of its last phase, the texts of all generations up to g - retention are
removed from run.db: the columns of `TEXTS` become NULL. Rows stay, and with them every verdict, count, reward and key
that analysis uses. Posts, reads, receipts, leaves, heads, rewards, evaluations and the texts of valid problems are
never removed: the log is verified from its beginning, and held-out problems are compared with all problems. Nothing
that is played later reads what was removed, so retention does not change the course of a run.

Before the texts of a generation are removed, their SHA-256 is stored in table `thinned`, which the digest of the run
includes. Two runs have the same digest if they played the same and kept the same. A complete run and a thinned one have
different digests; to compare them, thin the complete one (resume it with the same `store.retention`).

Rows are deleted and inserted again under their old rowids, because SQLite frees pages only when rows are deleted; later
writes use the free pages. Left out: a bound on the rest, which grows by a constant number of bytes a generation
(docs/long_runs.md). Not guaranteed: that removed texts cannot be recovered from free pages of the file; retention saves
space and does not erase.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from arena.run.adapters import spacing
from arena.run.store import Row, Store

if TYPE_CHECKING:
    from arena.config.schema import StoreSection  # imports torch, which reading a run does not need
    from arena.run.state import Arena

TEXTS: dict[str, tuple[str, ...]] = {
    "problems": ("proposal", "detail", "features", "logprobs"),
    "attempts": ("notes", "text", "logprobs", "estimates"),
    "grades": ("text", "logprobs"),
    "corrections": ("text",),
    "guesses": ("prompt", "text"),
    "knowledge": ("memory",),
}
"""Columns that are removed, by table."""
KEYED = {"grades": "id", "guesses": "id"}
"""Tables without an index of generations; their rows are found by an id that begins with the generation."""
GONE = "(words not kept)"
"""Shown in place of a removed text."""
_TABLE = "CREATE TABLE IF NOT EXISTS thinned (generation INTEGER PRIMARY KEY, rows INTEGER, bytes INTEGER, sha256 TEXT)"
SPARE = 0.25
"""Share of free pages above which the file is made smaller."""


def thin(store: Store, generation: int, keep: int) -> int:
    """Remove the texts of all generations up to `generation` - `keep`; returns how many generations were thinned.

    `keep` 0 keeps all. Must be called inside a transaction.
    """
    last = generation - keep
    if not keep or last < 1:
        return 0
    store.db.conn.execute(_TABLE)
    first: int = store.query("SELECT COALESCE(MAX(generation) + 1, 1) AS g FROM thinned")[0]["g"]
    for g in range(first, last + 1):
        store.insert({"thinned": [_thin(store, g)]})
    count = max(last + 1 - first, 0)
    if count:
        _shrink(store)
    return count


def _thin(store: Store, g: int) -> Row:
    """Remove the texts of one generation; returns its row of `thinned`. `bytes` counts the texts in UTF-8."""
    conn, total, size, count = store.db.conn, hashlib.sha256(), 0, 0
    for table, going in TEXTS.items():
        where, values = "generation = ?", list[object]([g])
        if table in KEYED:
            where = f"{where} AND {KEYED[table]} BETWEEN ? AND ?"
            values += [f"g{g:04d}", f"g{g:04d}~"]
        cursor = conn.execute(f"SELECT rowid, * FROM {table} WHERE {where} ORDER BY rowid", values)
        columns = ["rowid", *(c[0] for c in cursor.description[1:])]
        rows = cursor.fetchall()
        out = [columns.index(name) for name in going]
        for row in rows:
            words = [row[at] for at in out]
            total.update(json.dumps([table, row[1:3], words], ensure_ascii=False).encode("utf-8", "surrogatepass"))
            size += sum(len(str(w).encode("utf-8", "surrogatepass")) for w in words if w is not None)
        count += len(rows)
        conn.executemany(f"DELETE FROM {table} WHERE rowid = ?", [(row[0],) for row in rows])
        marks = ", ".join("?" * len(columns))
        conn.executemany(
            f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})",
            [tuple(None if at in out else value for at, value in enumerate(row)) for row in rows],
        )
    return {"generation": g, "rows": count, "bytes": size, "sha256": total.hexdigest()}


def _shrink(store: Store) -> None:
    """Give free pages back to the disk if there are many, as after thinning many generations at once."""
    (pages,), (free,) = (
        store.db.conn.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "freelist_count")
    )
    if free > SPARE * pages:
        for _ in range(free):  # each call frees one page: sqlite3 ends a statement without columns after its first step
            store.db.conn.execute("PRAGMA incremental_vacuum(1)")


def thin_rest(store: Store, keep: int) -> None:
    """Thin a run that has ended to a lower `store.retention`, in its own transaction."""
    if keep:
        last = store.query("SELECT MAX(generation) AS g FROM phases WHERE phase = 'measure'")[0]["g"]
        with store.transaction():
            thin(store, last or 0, keep)


def thinned_until(store: Store) -> int | None:
    """The last generation whose texts were removed, or None."""
    if not store.query("SELECT 1 FROM sqlite_master WHERE name = 'thinned'"):
        return None
    last: int | None = store.query("SELECT MAX(generation) AS g FROM thinned")[0]["g"]
    return last


# -- adapters ------------------------------------------------------------------------------------------------------


def prune_adapters(arena: Arena) -> None:
    """Keep the adapters of the last two generations and of every `store.adapters`-th one before (0: none), and the
    learner's state of the last two.

    If more than `store.most_adapters` of those before would stay (0: no bound), every second one is deleted,
    repeatedly, so that the rest is evenly spaced. Of the adapters of big sleeps, the last `store.most_adapters` stay.
    """
    prune_folder(arena.folder, arena.state.generation.index, arena.config.store)


def prune_folder(folder: Path, generation: int, config: StoreSection) -> None:
    """`prune_adapters` for any run folder."""
    step = spacing(generation, config.adapters, config.most_adapters)
    for old in sorted((folder / "adapters").glob("g[0-9]*")):
        number = int(old.name[1:])
        if number > generation - 2:
            continue
        if not step or number % step:
            shutil.rmtree(old)
        else:
            for state in ("learner", "born"):
                (old / f"{state}.safetensors").unlink(missing_ok=True)
    if config.most_adapters:
        big = sorted((folder / "adapters").glob("commons-g[0-9]*"), key=lambda p: int(p.name[9:]))
        for old in big[: -max(config.most_adapters, 2)]:
            shutil.rmtree(old)
