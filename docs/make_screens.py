"""Draw the screens of `watch` from a finished run: `python docs/make_screens.py runs/quickstart`.

Writes arena.svg, rounds.svg (one round, opened), agent.svg, library.svg and review.svg (the reviewer's desk) beside
this file, or into the folder that is named second.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from arena.watch.app import Watch
from arena.watch.data import open_run

SIZE = (120, 36)
SCREENS = {
    "arena": ["1"],
    "rounds": ["2", "f", "f", "wait", "down", "down", "enter"],
    "agent": ["escape", "3"],
    "library": ["4"],
    "review": ["5", "wait", "down"],
}


async def settle(app: Watch, pilot: Any) -> None:
    """Wait until everything that was asked for has been read and drawn."""
    for _ in range(4):
        while any(not worker.is_finished for worker in app.workers):
            await asyncio.sleep(0.02)
        await pilot.pause(0.05)


async def draw(folder: Path, to: Path) -> None:
    app = Watch(open_run(folder))
    async with app.run_test(size=SIZE) as pilot:
        await settle(app, pilot)
        for name, keys in SCREENS.items():
            for key in keys:
                await (settle(app, pilot) if key == "wait" else pilot.press(key))
            await settle(app, pilot)
            path = to / f"{name}.svg"
            path.write_text(app.export_screenshot(title=f"python run_arena.py watch {folder}"), encoding="utf-8")
            print(f"wrote {path}")


if __name__ == "__main__":
    run = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/quickstart")
    asyncio.run(draw(run, Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).resolve().parent))
