"""A machine that islands are played on: what must be equal on all of them, and the folder an island has there.

Left out: Ray (`arena.islands.ray_workers`), and what an island is (`arena.islands.island`).
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import shutil
import tempfile
from pathlib import Path
from typing import TextIO

from arena.config.schema import Config
from arena.config.shipped import ROOT
from arena.run.state import versions

PREFIX = "ratchet-island-"


class TemporaryHome:
    """A folder of this node's own for one island, which holds private keys: mode 0700, and gone with its process.

    A process that was killed leaves it behind; the next one on that node sweeps it away.
    """

    def __init__(self, index: int) -> None:
        sweep(Path(tempfile.gettempdir()))
        self.path = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{index}-"))
        made = self.path / ".new"
        self._lock: TextIO = open(made, "w")  # noqa: SIM115  as long as the process lives
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        made.rename(self.path / ".held")  # nobody sees it unheld

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)


def sweep(folder: Path) -> list[Path]:
    """Remove the islands' folders whose process is gone; which they were."""
    gone = []
    for home in sorted(folder.glob(f"{PREFIX}*")):
        try:
            with open(home / ".held", "r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(home)
                gone.append(home)
        except OSError:  # held; another user's; just being made; or being swept by a neighbour
            continue
    return gone


def fingerprint(config: Config) -> dict[str, str]:
    """What must be equal on the head and on every node."""
    return {"Ratchet": source_digest(), "ray": importlib.metadata.version("ray")} | versions(config)


def source_digest() -> str:
    """16 hex digits of the SHA-256 over Ratchet's own program files, by name."""
    found = hashlib.sha256()
    for folder in ("agents", "arena", "culture", "curricula"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            found.update(f"{path.relative_to(ROOT).as_posix()} {content}\n".encode())
    return found.hexdigest()[:16]


def differences(head: dict[str, str], node: dict[str, str]) -> str:
    """What differs, by name; empty where nothing does. Where the head has no GPU, its nodes may have one."""
    keys = sorted({*head, *node} - ({"device"} if head.get("device") == "cpu" else set()))
    return ", ".join(
        f"{key} is {node.get(key, 'missing')}, here {head.get(key, 'missing')}"
        for key in keys
        if head.get(key) != node.get(key)
    )
