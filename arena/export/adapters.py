"""Copies the agents' adapters as PEFT folders; each is checked against the digest stored in the run.

Left out: optimizer states, and adapters that the run's retention has removed.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from agents.peft_folder import record_base
from arena.config.schema import Config
from arena.export.traces import Tell
from arena.run.adapters import FILES, stored_adapters
from arena.run.agents import checked_path
from arena.run.paths import inside
from arena.run.store import Row, Store

HINT = "choose one with --adapters, or leave adapters out with --only traces,tables,library,card"


def chosen(store: Store, config: Config, run: Path, which: str) -> list[Row]:
    """The checkpoints that `which` names: `latest`, `all` that retention has left, or the number of a generation.

    Empty if nobody was trained.

    Raises:
        ValueError: if the generation has no adapters, or if files are missing; names the generations that are there.
    """
    stored = stored_adapters(run, store, config)
    if which == "all":
        stored.check(stored.missing, HINT)
        return [row for rows in stored.there.values() for row in rows]
    if which != "latest" and not which.isdecimal():
        raise ValueError(f"--adapters is latest, all or the number of a generation, got {which!r}")
    if which != "latest" and not stored.recorded:
        raise ValueError(f"no adapters of generation {which} in {run}: the run has trained nobody")
    rows = stored.find(None if which == "latest" else int(which))
    stored.check(rows, HINT)
    return rows


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
        source = inside(run, checked_path(run, row))
        target = inside(folder, f"g{row['generation']:04d}/{row['name']}")
        target.mkdir(parents=True)
        for name in FILES:
            shutil.copyfile(source / name, target / name)
        if base[1]:
            record_base(target, *base)
        tell(at, len(rows))
    return len(rows)
