"""A machine that runs islands: the versions that must be equal on all machines, and an island's temporary folder.

Left out: Ray (`arena.islands.ray_workers`) and the island itself (`arena.islands.island`).
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
    """A folder on this node for one island. It holds private keys: mode 0700, removed with its process.

    The folder of a killed process is removed by the next one on that node.
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
    """Remove the folders of islands whose process has ended; the removed paths."""
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
    """Versions that must be equal on the coordinator and on every node."""
    return {"Ratchet": source_digest(), "ray": importlib.metadata.version("ray")} | versions(config)


def source_digest() -> str:
    """First 16 hex digits of the SHA-256 over Ratchet's own source files, by name."""
    found = hashlib.sha256()
    for folder in ("agents", "arena", "culture", "curricula"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            found.update(f"{path.relative_to(ROOT).as_posix()} {content}\n".encode())
    return found.hexdigest()[:16]


def differences(head: dict[str, str], node: dict[str, str]) -> str:
    """The differing versions by name, or an empty string. Nodes may have a GPU if the coordinator has none."""
    keys = sorted({*head, *node} - ({"device"} if head.get("device") == "cpu" else set()))
    return ", ".join(
        f"{key} is {node.get(key, 'missing')}, here {head.get(key, 'missing')}"
        for key in keys
        if head.get(key) != node.get(key)
    )
