"""Write a domain's problems as a Hugging Face dataset folder: Parquet files and a dataset card with their types.

`datasets.load_dataset(folder)` loads the splits `train` and `dev`. Left out: a licence, which the publisher of the data
must choose. Not guaranteed: equal bytes from another version of pyarrow.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from arena.export.card import SIZES, features
from arena.export.domain.rows import FIELDS, ROW, problems, row
from arena.text import code, fence
from curricula.domain import Domain

BATCH = 2_000
"""Rows of a row group; one group at a time is in memory."""
TYPES = {"string": pa.string(), "int64": pa.int64(), "float64": pa.float64()}


def schema(kinds: Mapping[str, Any]) -> pa.Schema:
    return pa.schema([pa.field(name, _type(kind)) for name, kind in kinds.items()])


def _type(kind: Any) -> pa.DataType:
    if isinstance(kind, dict):
        return pa.struct([pa.field(name, _type(of)) for name, of in kind.items()])
    if isinstance(kind, list):
        return pa.list_(_type(kind[0]))
    return TYPES[kind]


def write_split(domain: Domain, split: str, n: int, path: Path) -> int:
    """Write up to `n` problems of a split to `path` (Parquet). Returns the number of rows."""
    found: Iterator[dict[str, Any]] = (row(domain, p) for p in problems(domain, split, n))
    kinds, written = schema(ROW), 0
    with pq.ParquetWriter(path, kinds, compression="zstd") as file:
        while batch := list(islice(found, BATCH)):
            file.write_table(pa.Table.from_pylist(batch, kinds))
            written += len(batch)
    return written


def card(domain: Domain, options: Mapping[str, Any], rows: Mapping[str, int], example: Mapping[str, Any]) -> str:
    """The dataset card (text of README.md).

    Args:
        domain: the exported domain.
        options: options that the domain was made with.
        rows: number of rows by split.
        example: the row that the card shows.
    """
    front = {
        "pretty_name": f"Ratchet: {domain.name}",
        "tags": ["ratchet", "synthetic", "verifiable"],
        "task_categories": ["text-generation", "question-answering"],
        "size_categories": [next((size for limit, size in SIZES if sum(rows.values()) < limit), "n>1M")],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": split, "path": f"data/{split}.parquet"} for split in rows],
            }
        ],
        "dataset_info": {"config_name": "default", "features": features(ROW)},
    }
    fields = "\n".join(["| field | content |", "|---|---|", *(f"| `{k}` | {v} |" for k, v in FIELDS.items())])
    given = f" with {', '.join(code(f'{k}={v}') for k, v in options.items())}" if options else ""
    lines = [
        f"---\n{yaml.safe_dump(front, sort_keys=False, width=100)}---\n\n# {code(domain.name)}: a domain of Ratchet",
        f"Problems whose answers are checked by running them{given}: {rows['train']:,} to train on, drawn at random"
        f" over depths {domain.depths[0]} to {domain.depths[-1]}, and {rows['dev']:,} held-out ones in `dev`. No"
        " train problem equals or reveals a held-out one. The domain's test set is sealed and not included.",
        fence('from datasets import load_dataset\n\nproblems = load_dataset(FOLDER)["train"]', "python"),
        "`environment/` holds the same domain as an environment for `verifiers`, with its verifier as the reward.",
        "## Fields",
        fields,
        "## Example",
        fence(str(example["messages"][0]["content"])),
        fence(str(example["messages"][1]["content"])),
        fence(str(example["messages"][2]["content"])),
        "## Limits",
        "- The problems are synthetic. Train problems are drawn uniformly, not set by agents.\n"
        "- `problem`, `answer`, `solution` and the last of `messages` reveal the answer. Give a model `prompt`, or"
        " `messages` without the last one.\n"
        "- The export sets no licence; the publisher of the data must choose one.",
        f"Made by `ratchet export-domain {domain.name} --to FOLDER`.",
    ]
    return "\n\n".join(lines) + "\n"
