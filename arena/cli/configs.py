"""The command `configs`, which lists the files that ship with the program."""

from __future__ import annotations

import typer

from arena.config.shipped import shipped_configs, typed_command


def configs() -> None:
    """List the shipped configs, experiments and test sets."""
    for title, folder, suffix in (
        (typed_command("run", "NAME"), "", ".yaml"),
        (typed_command("experiment", "NAME"), "experiments", ".yaml"),
        (typed_command("eval", "RUN", "NAME"), "eval", ".jsonl"),
    ):
        found = shipped_configs(folder, suffix)
        width = max((len(name) for name, _ in found), default=0)
        typer.echo(title)
        for name, line in found:
            typer.echo(f"  {name:<{width}}  {line}".rstrip())
