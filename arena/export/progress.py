"""Terminal output of an export: one progress bar per part, and a summary."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn


class Bars:
    """Progress bars for `export_run`. A context manager, so that the terminal is always restored."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        columns = (TextColumn("{task.description:>10}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self.progress = Progress(*columns, console=console, disable=not console.is_terminal)
        self.tasks: dict[str, TaskID] = {}

    def __call__(self, part: str, done: int, total: int) -> None:
        if part not in self.tasks:
            self.tasks[part] = self.progress.add_task(part, total=total)
        self.progress.update(self.tasks[part], completed=done, total=total)

    def __enter__(self) -> Bars:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()


def summary(manifest: dict[str, Any]) -> list[str]:
    """The summary of an export, in a few lines."""
    lines = []
    if "traces" in manifest:
        lines.append(f"{manifest['traces']:,} rounds and {manifest['completions']:,} verified pairs to train on")
        lines.append(f"{manifest['withheld']:,} rejected proposals were held-out problems: their words are withheld")
    if "tables" in manifest:
        lines.append(f"{len(manifest['tables'])} tables, {sum(manifest['tables'].values()):,} rows")
    if "adapters" in manifest:
        names = manifest["adapters"]
        lines.append(f"{len(names)} adapters" if names else "no adapters: the run has written none")
    if "posts" in manifest:
        lines.append(f"the library, {manifest['posts']:,} posts")
    size = sum(file["bytes"] for file in manifest["files"].values())
    return [*lines, f"{len(manifest['files'])} files, {size / 1e6:,.1f} MB"]
