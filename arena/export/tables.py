"""Every table of run.db as a Parquet file, written in batches, so that memory does not grow with the table.

Columns have the types their table declares, except that 0/1 columns become booleans and JSON lists become lists of
strings. Rows are in the order in which they were written. Public keys and signatures of posts are included; private
keys are not in run.db.

Left out: the search index. Not guaranteed: equal bytes from another version of pyarrow.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from arena.export.traces import Tell
from arena.run.store import Store

BATCH = 20_000
"""Rows in memory, and in a row group."""
FLAGS = {
    "attempts": ("correct", "answer_correct"),
    "evaluations": ("reading",),
    "grades": ("says_correct", "agrees"),
    "guesses": ("correct",),
    "labels": ("says_right", "grader_agrees", "execution_correct"),
    "outcomes": ("learnable",),
    "phases": ("counted",),
    "problems": ("valid",),
    "ratchet": ("needs", "correct", "answer_correct", "follows"),
}
LISTS = {
    "agents": ("parents",),
    "attempts": ("notes",),
    "posts": ("cites",),
    "rounds": ("solvers",),
    "waiting": ("cites",),
}
WITHHELD = {"problems": ("round", ("proposal", "detail")), "refusals": ("post", ("title",))}
"""Of tables with words that may be withheld: the column with the id, and those with the words."""
TYPES = {"INTEGER": pa.int64(), "REAL": pa.float64(), "TEXT": pa.string(), "BLOB": pa.binary()}


def tables(store: Store) -> list[str]:
    """The tables of a run, in alphabetical order, without SQLite's own and the search index's."""
    names = [r["name"] for r in store.query("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
    return [n for n in names if not n.startswith(("sqlite_", "posts_fts"))]


def schema(store: Store, table: str) -> pa.Schema:
    """The columns of a table with their types."""
    columns = store.query(f'PRAGMA table_info("{table}")')
    return pa.schema([pa.field(c["name"], _type(table, c["name"], c["type"])) for c in columns])


def _type(table: str, column: str, declared: str) -> pa.DataType:
    if column in FLAGS.get(table, ()):
        return pa.bool_()
    if column in LISTS.get(table, ()):
        return pa.list_(pa.string())
    return TYPES.get(declared.upper(), pa.string())


def _reader(kind: pa.DataType) -> Callable[[Any], Any] | None:
    if kind == pa.bool_():
        return lambda v: None if v is None else bool(v)
    if pa.types.is_list(kind):
        return lambda v: None if v is None else json.loads(v)
    return None


def write_tables(store: Store, withheld: frozenset[str], folder: Path, tell: Tell) -> dict[str, int]:
    """Write `<table>.parquet` for every table; how many rows each has.

    Raises ValueError naming table and column for a value that is not of its column's type.
    """
    folder.mkdir()
    names = tables(store)
    counts = {name: int(store.query(f'SELECT COUNT(*) AS n FROM "{name}"')[0]["n"]) for name in names}
    done, total = 0, sum(counts.values())
    for name in names:
        kinds = schema(store, name)
        order = "" if _keyed(store, name) else " ORDER BY rowid"
        cursor = store.db.conn.execute(f'SELECT {_quoted(kinds.names)} FROM "{name}"{order}')
        with pq.ParquetWriter(folder / f"{name}.parquet", kinds, compression="zstd") as file:
            while rows := cursor.fetchmany(BATCH):
                file.write_table(_table(name, kinds, rows, withheld))
                done += len(rows)
                tell(done, total)
    return counts


def _keyed(store: Store, name: str) -> bool:
    """Whether a table is kept in the order of its key and has no other."""
    return "WITHOUT ROWID" in store.query("SELECT sql FROM sqlite_master WHERE name = ?", [name])[0]["sql"].upper()


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _table(name: str, kinds: pa.Schema, rows: Sequence[tuple[Any, ...]], withheld: frozenset[str]) -> pa.Table:
    columns = dict(zip(kinds.names, map(list, zip(*rows, strict=True)), strict=True))
    if name in WITHHELD:
        id_, hidden = WITHHELD[name]
        for at, value in enumerate(columns[id_]):
            if value in withheld:
                for column in hidden:
                    columns[column][at] = None
    arrays = []
    for field in kinds:
        read = _reader(field.type)
        values = columns[field.name] if read is None else [read(v) for v in columns[field.name]]
        try:
            arrays.append(pa.array(values, field.type))
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise ValueError(f"table {name}, column {field.name}: {error}") from None
    return pa.Table.from_arrays(arrays, schema=kinds)
