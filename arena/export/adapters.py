"""Copies the agents' adapters as PEFT folders; each is checked against the digest stored in the run.

Left out: optimizer states. Not guaranteed: that the adapters of a generation still exist; a run keeps those of every
tenth generation and of the last two.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from agents.peft_folder import record_base
from arena.export.traces import Tell
from arena.run.agents import FILES, there
from arena.run.paths import inside
from arena.run.store import Row, Store


def chosen(store: Store, run: Path, which: str) -> list[Row]:
    """The checkpoints that `which` names: `latest`, `all`, or the number of a generation.

    Raises:
        ValueError: if the generation has no adapters; names those that have.
    """
    found = there(store, run)
    if which == "all":
        return [row for rows in found.values() for row in rows]
    if which == "latest":
        return found[max(found)] if found else []
    if not which.isdecimal() or int(which) not in found:
        have = f"there are those of generation {', '.join(map(str, found))}" if found else "there are none"
        raise ValueError(f"no adapters of generation {which!r} in {run}; {have} (or say latest, or all)")
    return found[int(which)]


def write_adapters(rows: list[Row], run: Path, folder: Path, tell: Tell, base: tuple[str, str] = ("", "")) -> int:
    """Copy the adapters to `folder`/gNNNN/<agent>, with a record of their base model.

    Args:
        rows: rows of the table `checkpoints`.
        run: the run folder.
        folder: the folder to write to.
        tell: gets the number of adapters copied and their total.
        base: name and digest of the base model, as the run recorded them; an empty digest is not written.

    Raises:
        ValueError: weights differ from those the run wrote.
    """
    for at, row in enumerate(rows, start=1):
        source = inside(run, row["path"])
        sha = hashlib.sha256((source / FILES[1]).read_bytes()).hexdigest()
        if sha != row["sha256"]:
            raise ValueError(f"{source / FILES[1]} is not what the run wrote: SHA-256 {sha}, stored {row['sha256']}")
        target = inside(folder, f"g{row['generation']:04d}/{row['name']}")
        target.mkdir(parents=True)
        for name in FILES:
            shutil.copyfile(source / name, target / name)
        if base[1]:
            record_base(target, *base)
        tell(at, len(rows))
    return len(rows)
