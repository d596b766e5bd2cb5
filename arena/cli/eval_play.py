"""Commands that put a run's agents to the test: `eval` on a user's own sets, `play` against a person."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from arena.cli.common import JsonOption, RunArg, open_to_read, reads_run


@reads_run
def evaluate(
    folder: RunArg,
    sets: Annotated[list[Path], typer.Argument(help="Files of items, or shipped sets such as arithmetic.")],
    agents: Annotated[str, typer.Option(help="best, all, a number, or names separated by commas.")] = "best",
    generation: Annotated[int | None, typer.Option(min=0, help="Generation to evaluate (default: last).")] = None,
    k: Annotated[int, typer.Option(min=1, help="Samples per item, for pass@k.")] = 8,
    limit: Annotated[int | None, typer.Option(min=1, help="Most items of a set, evenly spaced.")] = None,
    temperature: Annotated[
        float | None, typer.Option(min=0.0, help="Sampling temperature (default: the run's).")
    ] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Tokens per answer (default: the run's).")] = None,
    use_library: Annotated[bool, typer.Option("--library", help="Evaluate again with retrieved posts.")] = False,
    as_json: JsonOption = False,
    out: Annotated[Path | None, typer.Option(help="Folder to write (default: eval in the run folder).")] = None,
) -> None:
    """Evaluate a run's agents on your own sets of items. The base model is evaluated beside them."""
    from arena.evals.display import Bar, conclude
    from arena.evals.run_eval import Wanted, examine

    wanted = Wanted(agents, generation, k, limit, temperature, max_tokens, use_library)
    with Bar() as bar:
        results = examine(folder, sets, wanted, lambda text: typer.echo(f"note: {text}", err=as_json), bar)
    conclude(results, out or folder / "eval", as_json)


@reads_run
def play_seat(
    folder: RunArg,
    domain: Annotated[str | None, typer.Option(help="One of the run's domains (default: the main one).")] = None,
    rounds: Annotated[int, typer.Option(min=1, max=100, help="Problems to solve, and then to set.")] = 3,
    agents: Annotated[int, typer.Option(min=2, max=64, help="Most agents to play against.")] = 4,
    seed: Annotated[int, typer.Option(min=0, help="Random seed for the problems.")] = 0,
) -> None:
    """Play against a run's agents. You solve problems that they set, set problems for them, and see the score."""
    from arena.evals.play.person import play_person
    from arena.evals.play.terminal import Terminal

    store, config = open_to_read(folder)
    try:
        play_person(folder, store, config, domain, rounds, agents, seed, Terminal())
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
