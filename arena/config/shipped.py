"""Files that ship with the package: the program's folder and the seed model."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The folder that holds the packages `arena`, `agents`, `culture` and `curricula`."""
SEED_FOLDER = ROOT / "agents" / "seed"
"""The seed model, in Hugging Face format."""
