"""A figure's rows as CSV and Parquet: the same columns in both, in the order in which they first appear.

A column holds one type: integers, floats, booleans, or else text. A missing value is an empty cell. Text is written as
it is; a spreadsheet may interpret a cell that begins with `=` as a formula.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet

from arena.run.store import Row


def write_rows(rows: Sequence[Row], folder: Path, name: str) -> list[Path]:
    """Write `<name>.csv` and `<name>.parquet` into `folder`; return their paths."""
    columns = {key: column([row.get(key) for row in rows]) for key in dict.fromkeys(k for row in rows for k in row)}
    paths = [folder / f"{name}.csv", folder / f"{name}.parquet"]
    with paths[0].open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    parquet.write_table(pa.table({key: pa.array(values, type_of(values)) for key, values in columns.items()}), paths[1])
    return paths


def column(values: Sequence[Any]) -> list[Any]:
    """The same values as one type; numbers that are not finite are missing."""
    plain = [v.item() if hasattr(v, "item") else v for v in values]  # numpy's numbers
    found = [None if isinstance(v, float) and not math.isfinite(v) else v for v in plain]
    kinds = {type(v) for v in found if v is not None}
    if len(kinds) < 2 and kinds <= {bool, int, float, str}:
        return found
    if kinds == {int, float}:
        return [None if v is None else float(v) for v in found]
    return [v if v is None or isinstance(v, str) else json.dumps(v, default=str) for v in found]


def type_of(values: Sequence[Any]) -> pa.DataType:
    kind = next((type(v) for v in values if v is not None), str)
    return {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string()}[kind]
