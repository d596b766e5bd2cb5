"""The command `review`: list what waits for a person's decision, and decide without the screens."""

from __future__ import annotations

from typing import Annotated

import typer

from arena.cli.common import RunArg, reads_run


@reads_run
def review(
    folder: RunArg,
    decision: Annotated[str | None, typer.Argument(help="accept, reject or undo (default: list the queue).")] = None,
    subjects: Annotated[
        list[str] | None,
        typer.Argument(help="Ids from the list, or their first characters; all: all waiting posts."),
    ] = None,
    note: Annotated[str, typer.Option(help="Reason, stored with the decisions.")] = "",
) -> None:
    """List the review queue, or decide on its items. The run carries out decisions before its next generation."""
    from arena.watch.queries import Busy
    from arena.watch.review_list import decide, listed_queue, undo

    try:
        if decision is None:
            found = listed_queue(folder)
        elif decision == "undo" and not subjects:
            found = [undo(folder)]
        else:
            found = [decide(folder, decision, subjects or [], note)]
    except Busy as busy:
        raise OSError(f"{busy}; try again") from None
    for line in found:
        typer.echo(line)
