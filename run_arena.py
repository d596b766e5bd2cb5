"""The command line of Ratchet: launch an arena, go on with it, and see what came out.

Thin on purpose: each command reads its arguments, calls one function of the arena, and turns a user's mistake into one
line. Exit status: 0 done, or stopped as asked (SIGTERM asks too) or at a limit; 1 a check found a fault; 2 a mistake
that the message names; 130 interrupted, 143 terminated within a phase (the run can be resumed).
"""

from __future__ import annotations

import functools
import json
import os
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NoReturn

try:
    import typer
except ModuleNotFoundError as missing:
    sys.exit(
        f"error: {missing.name} is not installed for {sys.executable}: run `make install`, then use .venv/bin/python"
    )

LONGEST_LINE = 2000
app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Ratchet: self-play and culture in populations of language-model agents.",
)

ConfigArg = Annotated[Path, typer.Argument(help="A config file, such as configs/quickstart.yaml.")]
RunArg = Annotated[Path, typer.Argument(help="A run folder, such as runs/quickstart.")]
OverridesArg = Annotated[list[str] | None, typer.Argument(help="Overrides such as seed=1 run.name=mine.")]
WatchOption = Annotated[bool, typer.Option("--watch", help="Play in a process of its own and watch it.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Plain lines instead of a live display.")]


def reads_a_run(command: Callable[..., None]) -> Callable[..., None]:
    """A command that reads run folders: a damaged one is told in one line."""

    @functools.wraps(command)
    def told(**given: Any) -> None:
        from arena.run.integrity import explained

        with explained(given.get("folders") or [given["folder"]], playing=command.__name__ == "resume"):
            command(**given)

    return told


@app.command()
def run(
    config: ConfigArg,
    overrides: OverridesArg = None,
    quiet: QuietOption = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the resolved config and estimates only.")] = False,
    watch: WatchOption = False,
) -> None:
    """Launch an arena from a config and play it to its end."""
    from arena.config.schema import load_config, notices
    from arena.experiments.runner import check_split

    loaded = load_config(config, overrides or [])
    check_split(loaded)
    if dry_run:
        from arena.run.estimate import estimate

        typer.echo(loaded.to_yaml())
        for line in notices(loaded):
            typer.echo(f"# note: {line}")
        from arena.islands.cli import plan

        for line in [*estimate(loaded), *plan(loaded)]:
            typer.echo(f"# {line}")
        return
    if watch:
        folder = Path(loaded.run.folder) / loaded.run.name
        if (folder / "run.db").exists():
            raise ValueError(f"{folder} already holds a run: resume it, or give run.name another value")
        _launch(["run", str(config), *(overrides or [])], folder)
    from arena.run.state import Arena
    from arena.watch.sinks.registry import load_sinks

    load_sinks(loaded.sinks)  # what is not installed is told before a folder is made
    if loaded.cluster.clustered:
        from arena.islands.cli import begin

        new = begin(loaded)
        for line in notices(loaded):
            typer.echo(f"note: {line}")
        _play_islands(loaded, new, quiet)
        return
    arena = Arena.create(loaded)
    for line in notices(loaded):
        typer.echo(f"note: {line}")
    _play(arena, quiet)


@app.command()
@reads_a_run
def resume(
    folder: RunArg,
    overrides: Annotated[
        list[str] | None,
        typer.Argument(help="Overrides of limits.*, store.* and of where the server is, such as limits.money=10."),
    ] = None,
    quiet: QuietOption = False,
    watch: WatchOption = False,
) -> None:
    """Go on with a run after its last finished phase."""
    from arena.run.reconfigure import amended

    if watch:
        _read(folder)[0].close()
        amended(folder, overrides or [])
        _launch(["resume", str(folder), *(overrides or [])], folder)
    from arena.experiments.runner import check_split
    from arena.run.state import Arena

    if (folder / "run.db").is_file() and amended(folder, overrides or []).cluster.clustered:
        from arena.islands.cli import reopen

        config = reopen(folder, overrides or [])
        check_split(config)
        _play_islands(config, folder, quiet)
        return
    arena = Arena.open(folder, overrides or [])
    check_split(arena.config)
    _play(arena, quiet)


@app.command()
@reads_a_run
def watch(folder: RunArg) -> None:
    """Look into a run on the terminal, while it is played or after; changes nothing."""
    from arena.watch.app import watch as watch_run

    watch_run(folder)


@app.command()
@reads_a_run
def control(
    folder: RunArg,
    command: Annotated[str, typer.Argument(help="pause (after this phase), resume, or stop (after this generation).")],
) -> None:
    """Pause, resume or stop a run that another process is playing."""
    from arena.watch.commands import Desk
    from arena.watch.queries import Busy, open_run

    try:
        typer.echo(f"{folder}: {Desk(open_run(folder)).command(command)}")
    except Busy as busy:
        raise OSError(f"{busy}; try again") from None


@app.command()
@reads_a_run
def analyze(
    folders: Annotated[list[Path], typer.Argument(help="A run folder; or several to compare, the baseline's first.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
    plots: Annotated[bool, typer.Option(help="Write report/index.html, its figures and their data.")] = True,
    out: Annotated[Path | None, typer.Option(help="Where a comparison is written; comparison if left out.")] = None,
) -> None:
    """What happened in a run, as tables here and a page in its folder; of several runs, a comparison by config."""
    if len(folders) > 1:
        _compare(folders, as_json, plots, out or Path("comparison"))
        return
    (folder,) = folders
    if out is not None:
        raise ValueError(f"--out is for a comparison of several runs; what is known of one is in {folder / 'report'}")
    from arena.report.metrics.run_summary import analyze as analyze_store

    store, config = _read(folder)
    analysis = analyze_store(store, config)
    written: list[Path] = []
    if plots:
        from arena.report.source import Source
        from arena.report.write import write_report

        written = write_report(Source(folder, store, config, analysis))
    if as_json:
        typer.echo(json.dumps(analysis, indent=1))
        return
    from rich.console import Console

    from arena.report.tables import print_report

    print_report(Console(), analysis)
    if written:
        typer.echo(f"wrote {written[0]}, to be opened in a browser; {len(written) - 1} files of figures lie beside it")


@app.command()
@reads_a_run
def export(
    folder: RunArg,
    to: Annotated[Path | None, typer.Option(help="Where to write; the run's own folder export if left out.")] = None,
    only: Annotated[str, typer.Option(help="Some of traces,tables,adapters,library,card; all if left out.")] = "",
    adapters: Annotated[str, typer.Option(help="Of which generation: latest, all, or a number.")] = "latest",
) -> None:
    """Write a run's traces, tables, adapters and library for others to use, with a dataset card."""
    from arena.export.export import export_run, parts_of
    from arena.export.progress import Bars, summary

    parts, target = parts_of(only), to or folder / "export"
    store, config = _read(folder)
    with Bars() as bars:
        manifest = export_run(store, config, folder, target, parts, adapters, bars)
    for line in summary(manifest):
        typer.echo(line)
    typer.echo(f"wrote {target}")


@app.command("eval")
@reads_a_run
def evaluate(
    folder: RunArg,
    sets: Annotated[list[Path], typer.Argument(help="Your sets, such as configs/eval/arithmetic.jsonl.")],
    agents: Annotated[str, typer.Option(help="best, all, a number, or names with commas between.")] = "best",
    generation: Annotated[int | None, typer.Option(min=0, help="As of which; the last one if left out.")] = None,
    k: Annotated[int, typer.Option(min=1, help="Samples an item, for pass@k.")] = 8,
    limit: Annotated[int | None, typer.Option(min=1, help="Items of a set at most, evenly spaced.")] = None,
    temperature: Annotated[float | None, typer.Option(min=0.0, help="Of the samples; the run's if left out.")] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Of an answer; the run's if left out.")] = None,
    use_library: Annotated[bool, typer.Option("--library", help="Ask again, with what the library tells.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
    out: Annotated[Path | None, typer.Option(help="Where to write; the run's own folder eval if left out.")] = None,
) -> None:
    """Ask a run's agents, beside the base model, what you bring: does what they learned hold elsewhere?"""
    from arena.evals.display import Bar, conclude
    from arena.evals.run_eval import Wanted, examine

    wanted = Wanted(agents, generation, k, limit, temperature, max_tokens, use_library)
    with Bar() as bar:
        results = examine(folder, sets, wanted, lambda text: typer.echo(f"note: {text}", err=as_json), bar)
    conclude(results, out or folder / "eval", as_json)


@app.command()
@reads_a_run
def library(
    folder: RunArg,
    action: Annotated[str, typer.Argument(help="search, show, tree, export, verify or proof.")],
    words: Annotated[
        list[str] | None, typer.Argument(help="What to search for; a definition's name, a title or an id.")
    ] = None,
    kind: Annotated[str | None, typer.Option(help="For search: one kind of post, such as definition.")] = None,
    generation: Annotated[int | None, typer.Option(min=0, help="For search: the library as of a generation.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Posts of a search; lines of a tree, each way.")] = None,
    to: Annotated[Path | None, typer.Option(help="For export: a file; library.md of the run if left out.")] = None,
) -> None:
    """Ask a run's library: search it, show a post, what builds on what; export it; verify its signed log, or prove."""
    from arena.export.library.cli import Asked
    from arena.export.library.cli import library as ask

    store, config = _read(folder)
    raise typer.Exit(ask(action, Asked(folder, store, config, " ".join(words or ()), kind, generation, limit, to)))


@app.command()
def experiment(
    file: Annotated[Path, typer.Argument(help="An experiment file, such as configs/experiments/first_look.yaml.")],
    final: Annotated[
        bool, typer.Option("--final", help="The sealed test set and final seeds; once per claim.")
    ] = False,
    processes: Annotated[int, typer.Option(min=1, help="Cells that run side by side.")] = os.cpu_count() or 1,
    folder: Annotated[Path, typer.Option(help="Where experiments lie.")] = Path("experiments"),
) -> None:
    """Arms x seeds at equal compute: the way every claim is made."""
    from arena.experiments.runner import run_experiment

    raise typer.Exit(run_experiment(file, final=final, processes=processes, folder=folder))


@app.command("make-seed")
def make_seed(
    folder: Annotated[
        Path | None, typer.Option(help="Where the model is written; agents/seed for the school lists.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Training steps; the recipe's own number if left out.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    threads: Annotated[int, typer.Option(min=1)] = 2,
    school: Annotated[str, typer.Option(help="lists (the model that ships with Ratchet) or python.")] = "lists",
    size: Annotated[str, typer.Option(help="For python: tiny, small, 25m or 60m.")] = "tiny",
    device: Annotated[str, typer.Option(help="For python: cpu or cuda.")] = "cpu",
) -> None:
    """Train a seed model from scratch: the one that ships with Ratchet, or one for python_programs."""
    if school not in ("lists", "python"):
        raise ValueError(f"school must be lists or python, got {school!r}")
    if school == "python":
        from arena.tools.seeds.python_seed import make as make_python

        if folder is None:
            raise ValueError("name a folder of your own for a Python seed: --folder python-seed")
        lines = make_python(size, folder, steps, seed, threads, device, typer.echo)
    else:
        from arena.tools.seeds.list_seed import Recipe, make

        recipe = Recipe(seed=seed) if steps is None else Recipe(seed=seed, steps=steps)
        lines = make(recipe, folder or Path("agents/seed"), threads, typer.echo)
    for line in lines:
        typer.echo(line)


@app.command()
def bench(
    parts: Annotated[
        list[str] | None,
        typer.Argument(
            help="generate, learn, generation, scaling: all if none is named; large; watch; library; sandbox; long; "
            "islands."
        ),
    ] = None,
    repeats: Annotated[int, typer.Option(help="Timed turns a side, after a warm-up.")] = 5,
    threads: Annotated[int, typer.Option(help="Threads of every side.")] = 1,
    agents: Annotated[str, typer.Option(help="Sizes of population for generation, such as 8,32.")] = "8,32",
    quick: Annotated[bool, typer.Option("--quick", help="Small work: does it run, not how fast.")] = False,
    vllm_python: Annotated[
        Path | None, typer.Option(help="An interpreter with vllm; .venv-vllm/bin/python if it is there.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Save everything measured to this file.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Picture of scaling; beside the JSON file if left out.")] = None,
    profile: Annotated[bool, typer.Option("--profile", help="Where our side's time goes, by operation.")] = False,
    shapes: Annotated[
        str | None, typer.Option(help="For large: qwen3-0.6b, qwen3-4b, qwen3-8b, miniature; the first on a GPU.")
    ] = None,
    adapters: Annotated[str, typer.Option(help="For large: numbers of adapters, such as 16,64.")] = "16,64",
    generations: Annotated[int | None, typer.Option(min=2, help="For long: how many; 500 if left out.")] = None,
    retention: Annotated[int, typer.Option(min=0, help="For long: the run's store.retention.")] = 0,
) -> None:
    """Our engine and learner beside transformers, PEFT, TRL and vLLM, in turns, as ratios."""
    from rich.console import Console

    from arena.tools.bench.gpu import Large
    from arena.tools.bench.plans import Options
    from arena.tools.bench.run import bench as run_bench

    counts = agents.split(",")
    if not all(n.strip().isdigit() for n in counts):
        raise ValueError(f"--agents takes numbers such as 8,32, got {agents!r}")
    large = Large.parse(shapes, adapters, repeats)
    sizes = tuple(int(n) for n in counts)
    options = Options(repeats, threads, sizes, quick, vllm_python, large, generations=generations, retention=retention)
    run_bench(parts or [], options, Console(), json_file, plot, profile)


@app.command("play")
@reads_a_run
def play_seat(
    folder: RunArg,
    domain: Annotated[str | None, typer.Option(help="One of the run's domains; its main one if left out.")] = None,
    rounds: Annotated[int, typer.Option(min=1, max=100, help="Problems to solve, and then to set.")] = 3,
    agents: Annotated[int, typer.Option(min=2, max=64, help="Most agents to play against.")] = 4,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, other problems.")] = 0,
) -> None:
    """Take a seat: solve what a run's agents set, set problems for them, and see the score."""
    from arena.evals.play.person import play_person
    from arena.evals.play.terminal import Terminal

    store, config = _read(folder)
    try:
        play_person(folder, store, config, domain, rounds, agents, seed, Terminal())
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


@app.command("export-domain")
def export_domain(
    name: Annotated[str, typer.Argument(help="A domain, such as list_programs.")],
    to: Annotated[Path, typer.Option(help="The folder to write.")],
    n: Annotated[int, typer.Option("--n", min=1, max=1_000_000, help="Problems to train on.")] = 500,
    options: Annotated[list[str] | None, typer.Option(help="An option of the domain, such as world=3.")] = None,
) -> None:
    """Write a domain as a Hugging Face dataset and as a verifiers environment, without its sealed test set."""
    from arena.export.domain.write import export_domain as write
    from arena.export.domain.write import read_options

    for line in write(name, read_options(options or []), to, n):
        typer.echo(line)


@app.command()
@reads_a_run
def digest(folder: RunArg) -> None:
    """A hash of everything a run stored but telemetry, keys and signatures: equal digests, same run."""
    store, _ = _read(folder)
    typer.echo(store.digest())


@app.command()
def chaos(
    kills: Annotated[int, typer.Option(min=1, help="How often to kill.")] = 200,
    config: Annotated[Path, typer.Option(help="What is played.")] = Path("configs/tiny.yaml"),
    seed: Annotated[int, typer.Option(min=0, help="Of the moments.")] = 0,
    folder: Annotated[Path | None, typer.Option(help="Keep the runs here; else they go if all is well.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Kill a run at random moments of every phase, go on with it, and compare it with one that nothing disturbed."""
    from arena.tools.chaos.run import chaos as play_chaos
    from arena.tools.chaos.show import lines, progress

    outcome = play_chaos(str(config), kills, seed, folder, progress(kills, lambda line: typer.echo(line, err=True)))
    for line in [json.dumps(outcome.to_json(), indent=1)] if as_json else lines(outcome):
        typer.echo(line)
    raise typer.Exit(0 if outcome.verdict.well else 1)


@app.command()
def doctor() -> None:
    """Check the install, and say what is missing and how to get it."""
    from arena.tools.doctor import check

    ok = True
    for state, line in check():
        typer.echo(f"{state:<8} {line}")
        ok = ok and state != "wrong"
    raise typer.Exit(0 if ok else 2)


def _play(arena: Any, quiet: bool) -> None:
    from rich.console import Console

    from arena.loop import play
    from arena.report.metrics.run_summary import analyze as analyze_store
    from arena.run.signals import CUT_SHORT, CutShort, Leaving, Left
    from arena.watch.live import Progress, summary
    from arena.watch.sinks.listener import Sinks, both

    console, on = Console(), f"go on with: python run_arena.py resume {arena.folder}"
    with arena:
        spent, folder = arena.budget.line, arena.folder
        progress = Progress(
            arena.config, console, arena.store, quiet, compute=arena.store.compute(), spent=spent, folder=folder
        )
        try:
            with (
                progress,
                Sinks(arena, lambda line: typer.echo(f"note: {line}", err=True)) as sinks,
                Leaving() as leaving,
            ):
                ended = play(arena, both(progress, sinks, leaving))
        except Left:
            typer.echo(f"stopped by SIGTERM, everything played is stored; {on}")
            return
        except KeyboardInterrupt as stopped:
            cut = isinstance(stopped, CutShort)
            typer.echo(
                f"stopped{' by SIGTERM within a phase, which will be played again' if cut else ''}; {on}", err=True
            )
            raise typer.Exit(CUT_SHORT if cut else 130) from None
        except (OSError, sqlite3.DatabaseError) as error:
            raise OSError(f"{error}; nothing stored is lost, {on}") from None
        if arena.budget.stopped:
            typer.echo(
                f"stopped: {arena.budget.stopped}; go on with: "
                f"python run_arena.py resume {arena.folder} {arena.budget.higher()}"
            )
            return
        if not ended:
            typer.echo(f"stopped, as asked; {on}")
            return
        summary(analyze_store(arena.store, arena.config), arena.folder, console)


def _play_islands(config: Any, folder: Path, quiet: bool) -> None:
    from arena.islands.cli import play_islands
    from arena.run.signals import CUT_SHORT, CutShort

    try:
        play_islands(config, folder, quiet, typer.echo, lambda line: typer.echo(line, err=True))
    except KeyboardInterrupt as stopped:
        cut = isinstance(stopped, CutShort)
        within = " by SIGTERM within a generation, which goes on after its last finished phase" if cut else ""
        typer.echo(f"stopped{within}; go on with: python run_arena.py resume {folder}", err=True)
        raise typer.Exit(CUT_SHORT if cut else 130) from None
    except OSError as error:
        raise OSError(f"{error}; nothing stored is lost, go on with: run_arena.py resume {folder}") from None


def _compare(folders: list[Path], as_json: bool, page: bool, out: Path) -> None:
    from arena.report.comparison.compare import compare, distinct
    from arena.report.comparison.sections import print_sections, sections
    from arena.report.metrics.run_summary import analyze as analyze_store
    from arena.report.source import Source

    distinct(folders)
    opened = [(folder, *_read(folder)) for folder in folders]
    comparison = compare([Source(f, store, config, analyze_store(store, config)) for f, store, config in opened])
    made, written = sections(comparison), list[Path]()
    if page:
        from arena.report.comparison.write import write_comparison

        written = write_comparison(comparison, made, out)
    if as_json:
        typer.echo(json.dumps(comparison, indent=1))
        return
    from rich.console import Console

    print_sections(Console(), made)
    if written:
        typer.echo(f"wrote {written[0]}, to be opened in a browser; {len(written) - 1} files lie beside it")


def _launch(command: list[str], folder: Path) -> NoReturn:
    """Play in a process of its own, watch it from here, and exit as it does."""
    from arena.watch.app import watch as watch_run
    from arena.watch.launch import launch

    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ValueError("--watch needs a terminal; without one, leave it out, or run and watch apart")
    raise typer.Exit(launch(command, folder, watch_run, sys.stdout, sys.stderr))


def _read(folder: Path) -> Any:
    """(store, config) of a run folder, for reading."""
    from arena.config.schema import load_config
    from arena.run.paths import check_folder
    from arena.run.store import Store

    if not folder.is_dir():
        raise ValueError(f"no run folder at {folder}{_nearest_folder(folder)}")
    check_folder(folder)
    return Store(folder / "run.db"), load_config(folder / "config.yaml")


def _nearest_folder(folder: Path) -> str:
    from arena.config.schema import nearest

    return nearest(folder.name, [p.name for p in folder.parent.glob("*") if p.is_dir()])


def one_line(error: Exception) -> str:
    """An error's words as one line that steers no terminal, whatever it repeats of what somebody wrote."""
    text = str(error) or type(error).__name__
    shown = "".join(c if c.isprintable() else " " for c in text[:LONGEST_LINE])
    return " ".join(shown.split()) + (" ..." if len(text) > LONGEST_LINE else "")


def main() -> None:
    """The entry point: a user's mistake is one line on standard error, never a traceback."""
    try:
        app()
    except (ValueError, OSError) as error:
        if os.environ.get("RATCHET_TRACEBACK"):
            raise
        typer.echo(f"error: {one_line(error)}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
