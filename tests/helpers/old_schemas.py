"""Runs as earlier versions wrote them."""

from __future__ import annotations

import sqlite3
from pathlib import Path


def downgrade(database: Path, version: str = "1") -> None:
    """Take out of a file what schema versions after `version` added."""
    with sqlite3.connect(database) as db:
        db.execute("ALTER TABLE phases DROP COLUMN requests")
        db.execute("ALTER TABLE outcomes DROP COLUMN doubt")
        db.execute("UPDATE meta SET value = ? WHERE key = 'schema_version'", [version])
        if version == "3":
            return
        for table in ("removals", "withheld", "knowledge", "ratchet", "leaves", "heads", "collapse"):
            db.execute(f"DROP TABLE {table}")
        for column in ("applies", "supersedes"):
            db.execute(f"ALTER TABLE posts DROP COLUMN {column}")
            db.execute(f"ALTER TABLE waiting DROP COLUMN {column}")
        db.execute("ALTER TABLE agents DROP COLUMN place")
        if version == "1":
            for table in ("control", "waiting", "receipts", "labels"):
                db.execute(f"DROP TABLE {table}")
            db.execute("ALTER TABLE refusals DROP COLUMN note")
