"""Draw the screens of `watch` from a finished run: `python docs/make_screens.py runs/quickstart`.

Writes one SVG per screen beside this file, or into the folder given as second argument: arena.svg, rounds.svg (an
opened round whose grader disagreed), agent.svg, library.svg (the most useful posts), post.svg (the first of them,
opened) and review.svg. A new screen is one entry in SCREENS. `--size 200x50` draws them larger than in docs/tour.md.
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import Any

from arena.watch.app import Watch
from arena.watch.queries import open_run

SIZE = (120, 36)
# Keys that lead from the previous screen to this one.
SCREENS = {
    "arena": ["1"],
    "rounds": ["2", "f", "f", "f", "enter"],
    "agent": ["escape", "3"],
    "library": ["4", "u"],
    "post": ["enter"],
    "review": ["escape", "5", "down"],
}


async def settle(app: Watch, pilot: Any) -> None:
    """Wait until all workers have finished and the screen is drawn."""
    for _ in range(4):
        while any(not worker.is_finished for worker in app.workers):
            await asyncio.sleep(0.02)
        await pilot.pause(0.05)


async def draw(folder: Path, to: Path, size: tuple[int, int]) -> None:
    app = Watch(open_run(folder))
    async with app.run_test(size=size) as pilot:
        await settle(app, pilot)
        for name, keys in SCREENS.items():
            for key in keys:
                await pilot.press(key)
                await settle(app, pilot)
            path = to / f"{name}.svg"
            title = f"ratchet watch runs/{folder.name}"
            path.write_text(app.export_screenshot(title=title), encoding="utf-8")
            print(f"wrote {path}")


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("run", nargs="?", type=Path, default=Path("runs/quickstart"))
    arguments.add_argument("to", nargs="?", type=Path, default=Path(__file__).resolve().parent)
    arguments.add_argument("--size", default="x".join(map(str, SIZE)), help="Columns and lines, such as 200x50.")
    given = arguments.parse_args()
    columns, lines = (int(n) for n in given.size.split("x"))
    asyncio.run(draw(given.run, given.to, (columns, lines)))
