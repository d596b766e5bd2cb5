"""Commands about configs: `configs` lists the files that ship with the program, `config-help` explains keys."""

from __future__ import annotations

from typing import Annotated

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


def config_help(
    key: Annotated[str | None, typer.Argument(help="A key or section, such as sleep.rank or sleep.")] = None,
) -> None:
    """Explain config keys: type, default, range and meaning."""
    from arena.config.reference import lines

    for line in lines(key):
        typer.echo(line)
