"""The command `library`, which queries a run's library and its signed log."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from arena.cli.common import RunArg, open_to_read, reads_run


def verify_proof(
    file: Annotated[Path, typer.Argument(help="A file with a proof, as `library RUN proof ITEM` prints it.")],
    key: Annotated[str, typer.Option(help="The run's public key, if you know it: 64 hex digits.")] = "",
    head: Annotated[
        str, typer.Option(help="A head that you kept: its root of 64 hex digits, or the last line of `library verify`.")
    ] = "",
) -> None:
    """Check a proof from a run's library. Needs neither the run nor its database. Exit status 0: it holds, 1: not."""
    from arena.run.proof import check_proof, describe, known_head, read_proof
    from arena.text import visible

    known = known_head(key.strip(), head.strip())
    proof = read_proof(file)
    problems = check_proof(proof, known)
    for problem in problems:
        typer.echo(visible(f"wrong    {problem}"))
    if problems:
        raise typer.Exit(1)
    signed = f"signed with the key {proof['head']['public_key']}"
    typer.echo(visible(f"ok       {describe(proof)}"))
    typer.echo(f"ok       {signed}{', which you gave' if known.key else ''}")
    if not known.key and not known.root:
        typer.echo("note     anybody can sign a log with their own key: compare the key (--key) or a root (--head)")


@reads_run
def library(
    folder: RunArg,
    action: Annotated[str, typer.Argument(help="search, show, tree, export, verify or proof.")],
    words: Annotated[
        list[str] | None, typer.Argument(help="Search words, or a post's name, title or id; see docs/library.md.")
    ] = None,
    kind: Annotated[str | None, typer.Option(help="For search: one kind of post, such as definition.")] = None,
    generation: Annotated[int | None, typer.Option(min=0, help="For search: posts up to this generation.")] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="For search: most posts. For tree: most lines in each direction.")
    ] = None,
    to: Annotated[Path | None, typer.Option(help="For export: file to write (default: library.md of the run).")] = None,
) -> None:
    """Search, show, export or verify a run's library."""
    from arena.export.library.cli import Asked
    from arena.export.library.cli import library as ask

    store, config = open_to_read(folder)
    raise typer.Exit(ask(action, Asked(folder, store, config, " ".join(words or ()), kind, generation, limit, to)))
