"""How long a run keeps the words of what was tried (`store.retention`), and which old adapters stay on disk.

At the end of generation g, in the transaction of its last phase, what generations up to g - retention said is taken out
of run.db: the columns of `WORDS` become NULL. Rows stay, and with them every verdict, count, reward and key that
analysis counts. Posts, reads, receipts, leaves, heads, rewards, evaluations and the texts of valid problems are never
touched: the ledger is verified from the first, held-out problems are looked for among the last. Nothing that is played
later reads what goes, so a run is the same run under any retention.

Before a generation's words go, table `thinned` gets their SHA-256. The run's digest takes in that row as it takes in
all others: two runs have one digest if they played the same and kept the same, words that are gone included. A whole
run and a thinned one have different digests; thin the whole one (resume it with the same `store.retention`) to compare.

Rows are taken out and put back under their old numbers, because SQLite gives pages back only when rows leave them; free
pages are used again by what is written next. Left out: a bound on what stays. It grows by the same number of bytes a
generation, which `docs/long_runs.md` tells. Not guaranteed: that the words cannot be recovered from the free pages of
the file; this saves room, and erases nothing.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from arena.run.store import Row, Store

if TYPE_CHECKING:
    from arena.config.schema import StoreSection  # the arena brings torch, which who only reads a run does without
    from arena.run.state import Arena

WORDS: dict[str, tuple[str, ...]] = {
    "problems": ("proposal", "detail", "features"),
    "attempts": ("notes", "text"),
    "grades": ("text",),
    "guesses": ("prompt", "text"),
    "knowledge": ("memory",),
}
"""Columns that go, by table."""
KEYED = {"grades": "id", "guesses": "id"}
"""Tables that are found by generation through an id that begins with it, having no index of generations."""
GONE = "(words not kept)"
"""What is shown in the place of a text that went."""
_TABLE = "CREATE TABLE IF NOT EXISTS thinned (generation INTEGER PRIMARY KEY, rows INTEGER, bytes INTEGER, sha256 TEXT)"
SPARE = 0.25
"""Share of free pages from which on the file is made smaller."""


def thin(store: Store, generation: int, keep: int) -> int:
    """Take out the words of all generations up to `generation` - `keep`; how many generations that were.

    `keep` 0 keeps all. To be called inside a transaction of the caller.
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
    """Take out the words of one generation; its row of `thinned`. `bytes` are those of the words in UTF-8."""
    conn, total, size, count = store.db.conn, hashlib.sha256(), 0, 0
    for table, going in WORDS.items():
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
    """Give free pages back to the disk where there are many: after many generations at once, no longer afterwards."""
    (pages,), (free,) = (
        store.db.conn.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "freelist_count")
    )
    if free > SPARE * pages:
        for _ in range(free):  # sqlite3 ends a statement without columns after its first step: one page
            store.db.conn.execute("PRAGMA incremental_vacuum(1)")


def thin_rest(store: Store, keep: int) -> None:
    """What a lower `store.retention` asks of a run that has ended, in a transaction of its own."""
    if keep:
        last = store.query("SELECT MAX(generation) AS g FROM phases WHERE phase = 'measure'")[0]["g"]
        with store.transaction():
            thin(store, last or 0, keep)


def thinned_until(store: Store) -> int | None:
    """The last generation whose words are gone, or None if all are there."""
    if not store.query("SELECT 1 FROM sqlite_master WHERE name = 'thinned'"):
        return None
    last: int | None = store.query("SELECT MAX(generation) AS g FROM thinned")[0]["g"]
    return last


def notice(store: Store) -> str | None:
    """A line that says what is gone, for who looks at a run; None if nothing is."""
    last = thinned_until(store)
    if last is None:
        return None
    return (
        f"words of proposals, attempts, grades and guesses up to generation {last} were not kept (store.retention); "
        "verdicts, counts, posts and the log are whole"
    )


# -- adapters ------------------------------------------------------------------------------------------------------


def prune_adapters(arena: Arena) -> None:
    """Keep the adapters of the last two generations and of each `store.adapters`-th one before (0: of none); the
    learner's state of the last two.

    Where that would be more than `store.most_adapters` of those before, each second of them goes, again and again, so
    that what stays is evenly spaced, and of the adapters of big sleeps as many stay, the last (0: no bound).
    """
    prune_folder(arena.folder, arena.state.generation.index, arena.config.store)


def prune_folder(folder: Path, generation: int, config: StoreSection) -> None:
    """The same for any run folder."""
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


def spacing(generation: int, every: int, most: int) -> int:
    """Of which generations before the last two adapters stay after `generation`: of each so manyeth; 0: of none."""
    step = every
    while most and step and (generation - 2) // step > most:
        step *= 2
    return step
