"""One long run in its own process, which reports its resources after each generation, as a line of JSON.

Memory is the resident set of the process, from /proc (Linux only). Left out: the memory of sandbox processes; their
number is counted.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PAGE = os.sysconf("SC_PAGE_SIZE")


def resources(run: Path) -> dict[str, int]:
    """Resources of this process and of its run folder: bytes and counts."""
    here = Path("/proc/self")
    database = [run / name for name in ("run.db", "run.db-wal")]
    return {
        "rss": int((here / "statm").read_text().split()[1]) * PAGE,
        "files": len(os.listdir(here / "fd")),
        "threads": len(os.listdir(here / "task")),
        "children": sum(len((task / "children").read_text().split()) for task in (here / "task").iterdir()),
        "database": database[0].stat().st_size,
        "log": database[1].stat().st_size if database[1].exists() else 0,
        "adapters": sum(p.stat().st_size for p in (run / "adapters").rglob("*") if p.is_file()),
    }


def main(arguments: Sequence[str]) -> None:
    """Play a run to its end; `arguments` are a config file and overrides."""
    from arena.config.schema import load_config
    from arena.loop import play
    from arena.run.state import Arena

    began, wall = time.process_time(), time.perf_counter()
    with Arena.create(load_config(arguments[0], arguments[1:])) as arena:

        def listen(event: str, data: dict[str, Any]) -> None:
            nonlocal began, wall
            if event == "phase" and data["phase"] in ("read", "final"):  # the generation before is stored and pruned
                spent = {"seconds": time.process_time() - began, "wall": time.perf_counter() - wall}
                grown = {"seen": len(arena.state.seen), "bank": len(arena.state.bank.entries)}
                at = data["generation"] - (data["phase"] == "read")
                print(json.dumps({"generation": at, **spent, **grown, **resources(arena.folder)}), flush=True)
                began, wall = time.process_time(), time.perf_counter()  # without the time of the measurement

        play(arena, listen)


if __name__ == "__main__":
    main(sys.argv[1:])
