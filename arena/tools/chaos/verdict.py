"""Compares a killed run with the undisturbed one: anything lost, doubled or damaged."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, field, fields
from pathlib import Path

from arena.run.ledger import verify
from arena.run.paths import inside
from arena.run.store import Store


@dataclass
class Verdict:
    """Counts of faults, each of which must be 0, and one sentence for each fault."""

    differences: int = 0
    posts_lost: int = 0
    phases_lost: int = 0
    attempts_twice: int = 0
    log_broken: int = 0
    files_wrong: int = 0
    said: list[str] = field(default_factory=list)

    def __add__(self, other: Verdict) -> Verdict:
        return Verdict(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    @property
    def passed(self) -> bool:
        return not any(getattr(self, f.name) for f in fields(self))


def judge(calm: Path, killed: Path, reported: Collection[str], phases_lost: int = 0) -> Verdict:
    """Compare a finished run with the undisturbed one. `reported`: ids of posts that players reported as stored."""
    expected, found = Store(calm / "run.db"), Store(killed / "run.db")
    try:
        verdict = Verdict(phases_lost=phases_lost)
        if found.digest() != expected.digest():
            verdict.differences = 1
            verdict.said.append(f"{killed}: digest {found.digest()[:12]}, undisturbed {expected.digest()[:12]}")
        lost = (posts(expected) | set(reported)) - posts(found)
        verdict.posts_lost = len(lost)
        verdict.attempts_twice = attempts_twice(found, expected)
        broken = verify(found)
        damage = [row[0] for row in found.db.conn.execute("PRAGMA integrity_check(20)") if row[0] != "ok"]
        verdict.log_broken = len(broken) + len(damage)
        wrong = files_wrong(found, killed, adapters(calm))
        verdict.files_wrong = len(wrong)
        verdict.said += [
            f"{killed}: {line}" for line in [*(f"post {p} is lost" for p in sorted(lost)), *broken, *damage]
        ]
        verdict.said += [f"{killed}: {line}" for line in wrong]
        return verdict
    finally:
        expected.close()
        found.close()


def posts(store: Store) -> set[str]:
    return {row[0] for row in store.db.conn.execute("SELECT id FROM posts")}


def attempts_twice(found: Store, expected: Store) -> int:
    """Attempts stored twice, plus completions that phases counted beyond those of the undisturbed run."""
    place = "generation || '/' || round || '/' || agent || '/' || seat || '/' || number"
    rows = found.query(f"SELECT COUNT(*) - COUNT(DISTINCT {place}) AS n FROM attempts")[0]["n"]
    counts = [s.query("SELECT TOTAL(requests) AS n FROM phases")[0]["n"] for s in (found, expected)]
    return int(rows) + max(0, int(counts[0] - counts[1]))


def adapters(folder: Path) -> set[str]:
    """The adapter files of a run, relative to its folder."""
    return {str(p.relative_to(folder)) for p in (folder / "adapters").rglob("*") if p.is_file()}


def files_wrong(store: Store, folder: Path, expected: set[str]) -> list[str]:
    """Adapter files that are missing, superfluous or different from their row, and temporary files left over."""
    found = adapters(folder)
    wrong = [f"{name} is missing" for name in sorted(expected - found)]
    wrong += [f"{name} is superfluous" for name in sorted(found - expected)]
    for row in store.query("SELECT path, sha256 FROM checkpoints"):
        path = inside(folder, row["path"])
        file = path / "adapter_model.safetensors" if path.is_dir() else path
        if file.is_file() and hashlib.sha256(file.read_bytes()).hexdigest() != row["sha256"]:
            wrong.append(f"{file.relative_to(folder)} differs from its row")
    left = [p for p in folder.rglob(".*") if p.name != ".lock" and str(p.relative_to(folder)) not in found]
    return wrong + [f"{p.relative_to(folder)} was left over" for p in sorted(left)]
