"""Commands about the program itself: `bench`, `chaos`, `doctor`, `make-seed`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from arena.cli.common import JsonOption


def make_seed(
    folder: Annotated[
        Path | None, typer.Option(help="Folder of the model (default: agents/seed, for long agents/seed_long).")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Training steps (default: the recipe's).")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Random seed of initialisation and data.")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="Torch threads.")] = 2,
    school: Annotated[
        str, typer.Option(help="lists or long (the models that ship with Ratchet), or python.")
    ] = "lists",
    size: Annotated[str, typer.Option(help="For python: tiny, small, 25m or 60m.")] = "tiny",
    device: Annotated[str, typer.Option(help="For python: cpu or cuda.")] = "cpu",
    source: Annotated[
        str, typer.Option("--from", help="Train an adapter for this chat model instead: a name, folder or GGUF file.")
    ] = "",
    domains: Annotated[str, typer.Option(help="For --from: domains, such as word_problems.")] = "word_problems",
    rank: Annotated[int, typer.Option(min=1, help="For --from: rank of the adapter.")] = 8,
    items: Annotated[int, typer.Option(min=1, max=40, help="For --from: problems per measured rate.")] = 40,
) -> None:
    """Train a seed model from scratch, as the one that ships with Ratchet, or one for python_programs. With --from,
    train an adapter that teaches a chat model the roles of a run."""
    if source:
        from arena.tools.seeds.chat_seed import ChatRecipe
        from arena.tools.seeds.chat_seed import make as make_adapter

        if folder is None:
            raise ValueError("an adapter needs a folder of its own: --folder my-adapter")
        lora = ChatRecipe(rank=rank, alpha=2.0 * rank, seed=seed)
        names = [name.strip() for name in domains.split(",") if name.strip()]
        lines = make_adapter(
            source, names, folder, lora if steps is None else replace(lora, steps=steps), threads, items, typer.echo
        )
        for line in lines:
            typer.echo(line)
        return
    if school not in ("lists", "long", "python"):
        raise ValueError(f"school must be lists, long or python, got {school!r}")
    if school == "python":
        from arena.tools.seeds.python_seed import make as make_python

        if folder is None:
            raise ValueError("a Python seed needs a folder of its own: --folder python-seed")
        lines = make_python(size, folder, steps, seed, threads, device, typer.echo)
    else:
        from arena.tools.seeds.list_seed import RECIPES, make

        folder = folder or Path("agents/seed" if school == "lists" else "agents/seed_long")
        recipe = replace(RECIPES[school], seed=seed, steps=steps or RECIPES[school].steps)
        lines = make(recipe, folder, threads, typer.echo)
    for line in lines:
        typer.echo(line)


def bench(
    parts: Annotated[
        list[str] | None,
        typer.Argument(
            help="generate, learn, generation, scaling (default: these four); kernels; objectives; llm; large; watch; "
            "library; sandbox; long; islands."
        ),
    ] = None,
    repeats: Annotated[int, typer.Option(help="Timed turns per side, after a warm-up.")] = 5,
    threads: Annotated[int, typer.Option(help="Threads per side.")] = 1,
    agents: Annotated[str, typer.Option(help="For generation: population sizes, such as 8,32.")] = "8,32",
    quick: Annotated[bool, typer.Option("--quick", help="Small workloads, to check that the benchmark runs.")] = False,
    vllm_python: Annotated[
        Path | None, typer.Option(help="An interpreter with vllm (default: .venv-vllm/bin/python if it exists).")
    ] = None,
    gguf: Annotated[
        Path | None, typer.Option(help="For llm: the model as a GGUF file in F16 or BF16, for llama.cpp.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Save all measurements to this file.")] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Picture of the scaling results (default: beside the JSON file).")
    ] = None,
    profile: Annotated[bool, typer.Option("--profile", help="Profile our side by operation.")] = False,
    shapes: Annotated[
        str | None,
        typer.Option(help="For large: qwen3-0.6b, qwen3-4b, qwen3-8b, miniature (default on a GPU: the first)."),
    ] = None,
    adapters: Annotated[str, typer.Option(help="For large: numbers of adapters, such as 16,64.")] = "16,64",
    generations: Annotated[int | None, typer.Option(min=2, help="For long: generations (default: 500).")] = None,
    retention: Annotated[int, typer.Option(min=0, help="For long: the run's store.retention.")] = 0,
    model: Annotated[str, typer.Option(help="For llm: a model as in model.path.")] = "smollm2",
) -> None:
    """Compare our speed with transformers, PEFT, TRL and vLLM. Both sides run in turns; the results are ratios."""
    from rich.console import Console

    from arena.tools.bench.gpu import Large
    from arena.tools.bench.plans import Options
    from arena.tools.bench.run import bench as run_bench

    counts = agents.split(",")
    if not all(n.strip().isdigit() for n in counts):
        raise ValueError(f"--agents takes numbers such as 8,32, got {agents!r}")
    large = Large.parse(shapes, adapters, repeats)
    sizes = tuple(int(n) for n in counts)
    options = Options(
        repeats,
        threads,
        sizes,
        quick,
        vllm_python,
        large,
        generations=generations,
        retention=retention,
        llm=model,
        gguf=gguf,
    )
    run_bench(parts or [], options, Console(), json_file, plot, profile)


def chaos(
    kills: Annotated[int, typer.Option(min=1, help="Number of kills.")] = 200,
    config: Annotated[Path, typer.Option(help="Config of the run.")] = Path("configs/tiny.yaml"),
    seed: Annotated[int, typer.Option(min=0, help="Random seed for kill times.")] = 0,
    folder: Annotated[Path | None, typer.Option(help="Keep the runs here (default: delete them on success).")] = None,
    as_json: JsonOption = False,
) -> None:
    """Kill and resume a run, and check that nothing is lost. Compares it with an undisturbed run."""
    try:
        from arena.tools.chaos.run import chaos as play_chaos
        from arena.tools.chaos.show import lines, progress
    except ModuleNotFoundError:
        raise ValueError("chaos needs a checkout of the repository; the package does not hold it") from None

    outcome = play_chaos(str(config), kills, seed, folder, progress(kills, lambda line: typer.echo(line, err=True)))
    for line in [json.dumps(outcome.to_json(), indent=1)] if as_json else lines(outcome):
        typer.echo(line)
    raise typer.Exit(0 if outcome.verdict.passed else 1)


def doctor() -> None:
    """Check the installation, and say how to repair it."""
    from arena.tools.doctor import check

    ok = True
    for state, line in check():
        typer.echo(f"{state:<8} {line}")
        ok = ok and state != "wrong"
    raise typer.Exit(0 if ok else 2)
