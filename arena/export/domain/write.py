"""`export-domain`: write a domain as one folder with a dataset, its card and an environment package.

The folder is written under a temporary name and renamed at the end, so it is complete or absent.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from arena.config.bounded_yaml import yaml_data
from arena.export.atomic_folder import MADE_BY, MANIFEST, refuse, replace, sums
from arena.export.domain.dataset import card, write_split
from arena.export.domain.environment import package_name, write_environment
from arena.export.domain.rows import problems, row
from curricula.registry import make_domain

PLAIN = (str, int, float, bool)


def read_options(given: Sequence[str]) -> dict[str, Any]:
    """Parse options of a domain such as `world=3`. Raises ValueError for a word of another form."""
    found: dict[str, Any] = {}
    for word in given:
        key, sign, text = word.partition("=")
        try:
            value = yaml_data(text) if sign and key.isidentifier() else None
        except ValueError:
            value = None
        items = value if isinstance(value, list) else [value]
        if not items or not all(isinstance(item, PLAIN) for item in items):
            raise ValueError(f"--options {word!r} is not of the form name=value (value: a number, a word or a list)")
        found[key] = value
    return found


def export_domain(name: str, options: Mapping[str, Any], to: Path, n: int) -> list[str]:
    """Write a domain with up to `n` train problems to the folder `to`, replacing an earlier export.

    Returns:
        Lines for the user that say what was written.

    Raises:
        ValueError: for an unknown domain or option, or if `to` exists and is not an export. Nothing is written.
    """
    domain = make_domain(name, **options)
    refuse(to)
    partial = to.with_name(f".{to.name}.new")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        (partial / "data").mkdir(parents=True)
        most = {"train": n, "dev": 10**9}
        rows = {
            split: write_split(domain, split, k, partial / "data" / f"{split}.parquet") for split, k in most.items()
        }
        example = row(domain, next(problems(domain, "train", 1)))
        (partial / "README.md").write_text(card(domain, options, rows, example), encoding="utf-8", newline="\n")
        write_environment(name, options, partial / "environment")
        manifest = {"made_by": MADE_BY, "domain": name, "options": dict(options), "rows": rows, "files": sums(partial)}
        (partial / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8", newline="\n")
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    replace(partial, to)
    fewer = f", all there are of {n:,}" if rows["train"] < n else ""
    return [
        f"dataset: {rows['train']:,} problems in train{fewer}, {rows['dev']:,} in dev",
        f"environment: {package_name(name)}, in {to / 'environment'}",
        f"wrote {to}",
    ]
