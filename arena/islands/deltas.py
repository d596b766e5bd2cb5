"""The rows that a generation added to an island's database: read there and written into another database.

Tables are append-only, so a generation is the rows between two marks: the last rowid of each table before it and before
the next one. `control` belongs to the playing process, `marks` is sent separately.
"""

from __future__ import annotations

from collections.abc import Mapping

from arena.run.messages import Table
from arena.run.schema_steps import STEPS
from arena.run.store import MARKS, Store

LOCAL = ("control", "marks", "lost_islands", "island_heads", "sqlite_sequence", STEPS.migrations_table)


def tables(store: Store) -> list[str]:
    """Names of the tables that are sent."""
    names = [r["name"] for r in store.query("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
    return [n for n in names if n not in LOCAL and not n.startswith("posts_fts")]


def columns(store: Store, table: str) -> list[str]:
    return [c.name for c in store.db[table].columns]


def last_rows(store: Store) -> dict[str, int]:
    """The last rowid of each table; -1 for an empty one (the first signed head has rowid 0)."""
    sql = "SELECT COALESCE(MAX(rowid), -1) AS n FROM {}"
    return {name: int(store.query(sql.format(name))[0]["n"]) for name in tables(store)}


def begun(store: Store) -> list[int]:
    """The generations that have marks, in order."""
    if not store.query("SELECT 1 FROM sqlite_master WHERE name = 'marks'"):
        return []
    return [r["generation"] for r in store.query("SELECT DISTINCT generation FROM marks ORDER BY generation")]


def mark(store: Store, generation: int, marks: Mapping[str, int], arrivals: str) -> None:
    """Store the marks of a generation, inside a transaction of the caller."""
    store.db.execute(MARKS)
    rows = [{"generation": generation, "name": n, "last": at, "arrivals": arrivals} for n, at in marks.items()]
    store.insert({"marks": rows})


def marks_of(store: Store, generation: int) -> tuple[dict[str, int], str]:
    """(last rowid by table before the generation, digest of its arrivals). The generation must have begun."""
    rows = store.query("SELECT name, last, arrivals FROM marks WHERE generation = ?", [generation])
    assert rows, generation
    return {r["name"]: r["last"] for r in rows}, rows[0]["arrivals"]


def increment(store: Store, generation: int) -> dict[str, Table]:
    """The rows that a generation added, by table; tables without new rows are absent."""
    first, _ = marks_of(store, generation)
    later = [g for g in begun(store) if g > generation]
    until = marks_of(store, later[0])[0] if later else {}
    found: dict[str, Table] = {}
    for name in tables(store):
        names = columns(store, name)
        sql = f"SELECT rowid, {', '.join(names)} FROM {name} WHERE rowid > ? AND rowid <= ? ORDER BY rowid"
        rows = store.db.conn.execute(sql, [first.get(name, -1), until.get(name, 2**63 - 1)]).fetchall()
        if rows:
            found[name] = Table(tuple(names), tuple(tuple(r[1:]) for r in rows), tuple(r[0] for r in rows))
    return found


def write(store: Store, increments: Mapping[str, Table]) -> None:
    """Insert a generation's rows under their own rowids, inside a transaction of the caller.

    Raises ValueError for a table or columns that this database does not have.
    """
    known = tables(store)
    for name, table in increments.items():
        if name not in known or list(table.columns) != columns(store, name):
            raise ValueError(f"table {name} of the island differs from this version's")
        if name == "meta":
            store.set_meta({str(key): str(value) for key, value in table.rows})
            continue
        keys = [c.type.upper() for c in store.db[name].columns if c.is_pk]
        names, rows = list(table.columns), [list(r) for r in table.rows]
        if keys != ["INTEGER"]:  # elsewhere the integer key is the rowid
            names, rows = ["rowid", *names], [[at, *r] for at, r in zip(table.rowids, rows, strict=True)]
        marks = ", ".join("?" * len(names))
        store.db.conn.executemany(f"INSERT INTO {name} ({', '.join(names)}) VALUES ({marks})", rows)
