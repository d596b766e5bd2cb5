"""Export a run into one folder: traces, tables, adapters, the library as a book, and a dataset card.

The folder is written under a temporary name and renamed when it is complete. Two exports of one run are equal byte for
byte. A run that is being played can be exported; the export holds what had finished when it began.

Left out: private keys, the learner's state. Not guaranteed: a complete folder under its name if the machine crashes
while an export replaces an earlier one; one of the two then has a name that starts with a dot.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from arena.config.schema import Config, nearest
from arena.export.adapters import chosen, write_adapters
from arena.export.atomic_folder import MADE_BY, MANIFEST, refuse, replace, sums
from arena.export.card import ExportContents, card, tables_card
from arena.export.heldout_guard import Guard, check
from arena.export.library_book import write_book
from arena.export.tables import write_tables
from arena.export.traces import write_traces
from arena.run.agents import voice_of_run
from arena.run.retention import thinned_until
from arena.run.state import make_domains
from arena.run.store import Store

PARTS = ("traces", "tables", "adapters", "library", "card")

Progress = Callable[[str, int, int], None]
"""Called with the name of a part, the number of rows done, and their total."""


def parts_of(only: str) -> tuple[str, ...]:
    """The parts named by a text such as `traces,card`; all parts if it is empty. Raises ValueError for unknown ones."""
    names = [name.strip() for name in only.split(",") if name.strip()]
    for name in names:
        if name not in PARTS:
            near = nearest(name, PARTS) or f"; expected some of {','.join(PARTS)}"
            raise ValueError(f"--only names the unknown part {name!r}{near}")
    return tuple(p for p in PARTS if p in names) or PARTS


def export_run(
    store: Store, config: Config, run: Path, to: Path, parts: Sequence[str], adapters: str, tell: Progress
) -> dict[str, Any]:
    """Export the run in folder `run` to the folder `to`. Returns the manifest.

    Raises:
        ValueError: and writes nothing, if `to` exists and is not an export, if `adapters` names a generation without
            adapters, or if a held-out problem was played.
    """
    if run.resolve().is_relative_to(to.resolve()):
        raise ValueError(f"{to} contains the run itself: export to another folder")
    refuse(to)
    partial = to.with_name(f".{to.name}.new")
    with _snapshot(store):
        rows = chosen(store, config, run, adapters) if "adapters" in parts else []
        domains = make_domains(config)
        withheld = check(store, Guard(domains.values()))
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        try:
            made = _write(store, config, run, partial, parts, rows, domains, withheld, tell)
            manifest = _manifest(partial, made)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
    replace(partial, to)
    return manifest


def _write(
    store: Store,
    config: Config,
    run: Path,
    folder: Path,
    parts: Sequence[str],
    rows: list[Any],
    domains: dict[str, Any],
    withheld: frozenset[str],
    tell: Progress,
) -> ExportContents:
    def told(part: str) -> Callable[[int, int], None]:
        return lambda done, total: tell(part, done, total)

    lines = tables = agents = posts = None
    voice = voice_of_run(config, store)
    if "traces" in parts:
        lines = write_traces(store, domains, withheld, folder, told("traces"), voice)
    if "tables" in parts:
        tables = write_tables(store, withheld, folder / "tables", told("tables"))
    if "adapters" in parts:
        base = (config.model.path, store.meta().get("base model", ""))
        write_adapters(rows, run, folder / "adapters", told("adapters"), base)
        agents = [f"adapters/g{r['generation']:04d}/{r['name']}" for r in rows]
    if "library" in parts:
        posts = write_book(store, config.run.name, folder / "library", told("library"))
    finished = sum(phase == "measure" for _, phase in store.finished())
    meta = {k: v for k, v in sorted(store.meta().items()) if k not in ("schema_version", "seed", "base")}
    played = (finished, config.generations)
    made = ExportContents(
        config.run.name,
        store.digest(),
        config,
        meta,
        played,
        len(withheld),
        lines,
        tables,
        agents,
        posts,
        thinned_until(store),
        store.agent_models(),
    )
    if "card" in parts:
        (folder / "README.md").write_text(card(made), encoding="utf-8", newline="\n")
        if tables is not None:
            (folder / "tables" / "README.md").write_text(tables_card(made), encoding="utf-8", newline="\n")
    return made


def _manifest(folder: Path, made: ExportContents) -> dict[str, Any]:
    """Write and return the manifest: what the folder holds, with the digest of every file."""
    manifest = {
        "made_by": MADE_BY,
        "run": made.run,
        "digest": made.digest,
        "generations": made.played[0],
        "withheld": made.withheld,
        **(made.lines or {}),
        **({"tables": dict(made.tables)} if made.tables is not None else {}),
        **({"adapters": list(made.adapters)} if made.adapters is not None else {}),
        **({"posts": made.posts} if made.posts is not None else {}),
        "files": sums(folder),
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8", newline="\n")
    return manifest


@contextmanager
def _snapshot(store: Store) -> Iterator[None]:
    """Keep one read transaction open, so that writes of another process are not seen."""
    store.db.execute("BEGIN")
    try:
        yield
    finally:
        store.db.execute("ROLLBACK")
