"""What a running arena shows: a live screen on a terminal, plain lines elsewhere, and a summary at the end.

`Progress` is a listener of `arena.loop.play`. It shows only the phases that finished since it was made: of a resumed
run, a generation that was under way has gaps. It never changes the run.

Left out: watching another process's run (`arena.watch.app`). Not guaranteed: the time left, projected from the last
generations.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from arena.config.population import MAIN
from arena.config.schema import Config
from arena.config.shipped import typed_command
from arena.phases.order import LOOP
from arena.report.metrics import alarms, generation
from arena.report.metrics.diversity import Variety, variety
from arena.report.metrics.heldout import rates
from arena.report.metrics.rejections import examples, reasons, rejections
from arena.report.metrics.run_summary import alarm_lines
from arena.report.sections.culture.knowledge import names_sentence
from arena.report.sections.heldout import before_after_table, gain_sentence
from arena.report.sections.summary import models_table
from arena.report.terminal import print_table, print_warnings
from arena.run.store import Store
from arena.run.waiting import Waiting, waiting
from arena.text import compact, count, duration, number, span

SHOWN = 12
"""Generations the live table shows."""
RECENT = 5
"""Generations the time left is projected from."""
MOST_GROUPS = 6
"""Columns of held-out skill; of more depths, the lowest and the highest share a column."""


@dataclass
class Line:
    """One line of the table: the figures of a generation so far; None for phases that were not seen."""

    label: str
    proposed: int | None = None
    valid: int | None = None
    learnable: int | None = None
    difficulty: float | None = None
    varied: Variety | None = None
    rejected: dict[str, int] = field(default_factory=dict)  # by reason
    solve_rate: float | None = None
    heldout: dict[int, float] = field(default_factory=dict)  # pass rate by depth
    posts: int | None = None
    reads: int | None = None
    right_guesses: int | None = None
    guesses: int | None = None
    agreement: float | None = None
    lost: str = ""
    """Names the domains without a valid proposal."""
    tokens: int = 0
    counted: int = 0
    seconds: float = 0.0
    phases: set[str] = field(default_factory=set)

    def add(self, done: dict[str, Any], store: Store, main: str) -> None:
        """Add one finished phase, which `store` holds already. `main`: the domain of which held-out skill is shown."""
        phase, g = done["phase"], done["generation"]
        tokens = done["prompt_tokens"] + done["generated_tokens"]
        self.tokens += tokens + done["trained_tokens"]
        self.counted += tokens + 3 * done["trained_tokens"] if done["counted"] else 0
        self.seconds += done["seconds"]
        self.phases.add(phase)
        if phase == "propose":
            p = generation.proposals(store, g).get(g, generation.Proposals())
            self.proposed, self.valid, self.difficulty = p.proposed, p.valid, p.depth
            none = [f"none of {n} in {domain}" for domain, n in generation.all_rejected(store, g) if p.valid]
            self.lost = f" ({', '.join(none)})" if none else ""
            self.varied = variety(store, main, g).get(g)
            self.rejected = rejections(store, g).get(g, {})
            guessed = generation.guesses(store, g).get(g, generation.Guesses())
            self.guesses, self.right_guesses = guessed.made, guessed.right
        elif phase in ("read", "solve"):
            self.reads = generation.reads(store, g).get(g, 0)
        elif phase == "grade":
            outcomes = generation.outcomes(store, g).get(g, generation.Outcomes())
            self.learnable, self.solve_rate = outcomes.learnable, outcomes.solve_rate
            self.agreement = generation.agreement(store, g).get(g)
        elif phase == "post":
            self.posts = generation.posts(store, g).get(g, 0)
        elif phase in ("baseline", "measure", "final"):
            self.heldout = rates(store, main, g)


def depth_groups(depths: Iterable[int]) -> list[tuple[str, tuple[int, ...]]]:
    """The measured depths in at most `MOST_GROUPS` groups with their names, such as `1-2`, `3`, ... `7-8`."""
    found = sorted(set(depths))
    more = max(0, len(found) - MOST_GROUPS)
    low, high = 1 + more // 2, len(found) - 1 - (more + 1) // 2
    cut = [found[:low], *([d] for d in found[low:high]), found[high:]] if len(found) > 1 else [found]
    return [(span(group), tuple(group)) for group in cut if group]


def _group(p: Line, depths: tuple[int, ...]) -> float | None:
    return _mean([p.heldout[d] for d in depths if d in p.heldout])


def _cell(depths: tuple[int, ...], p: Line) -> str:
    return number(_group(p, depths))


def _parts(*numbers: int | None) -> str:
    return "-" if all(n is None for n in numbers) else "/".join(map(compact, numbers))


def _mean(values: list[Any]) -> float | None:
    return sum(values) / len(values) if values else None


Column = tuple[str, int, Callable[[Line], str]]
"""Name, rank (on a narrow screen those of the highest rank go first), cell."""
BEFORE_SKILL: tuple[Column, ...] = (
    ("gen", 0, lambda p: p.label),
    ("set/valid/learn", 2, lambda p: _parts(p.proposed, p.valid, p.learnable)),
    ("depth", 2, lambda p: number(p.difficulty, 1)),
    ("solve", 2, lambda p: number(p.solve_rate)),
    ("words", 6, lambda p: number(p.varied.first_words, 1) if p.varied else "-"),
    ("alike", 5, lambda p: number(p.varied.share) if p.varied else "-"),
)
AFTER_SKILL: tuple[Column, ...] = (
    ("posts/read", 4, lambda p: _parts(p.posts, p.reads)),
    ("guessed", 8, lambda p: _parts(p.right_guesses, p.guesses)),
    ("graders agree", 8, lambda p: number(p.agreement)),
    ("tokens/s", 7, lambda p: compact(p.tokens / p.seconds) if p.seconds else "-"),
    ("sec", 3, lambda p: number(p.seconds, 1 if p.seconds < 100 else 0)),
)


class Progress:
    """The listener. A context manager, so that the terminal is restored however the run ends.

    `store` holds the run; figures are read from it. `plain` prints one line per finished generation instead of the live
    screen, which is the default without a terminal; `quiet` prints nothing. `compute` is the compute that a resumed run
    had used before, `spent` returns the use of the limits in words, or an empty string.
    """

    def __init__(
        self,
        config: Config,
        console: Console,
        store: Store,
        plain: bool = False,
        quiet: bool = False,
        compute: float = 0.0,
        spent: Callable[[], str] = str,
        folder: Path | None = None,
    ) -> None:
        self.folder = folder or Path(config.run.folder) / config.run.name  # which may have been moved since
        self.config, self.console, self.store, self.quiet = config, console, store, quiet
        self.plain = plain or not console.is_terminal
        self.compute, self.spent = compute, spent
        self.played: list[Line] = []
        self.figures: list[alarms.Figures] | None = None
        self.alarms: list[alarms.Alarm] = []
        self.refused: list[str] = []  # examples of the last generation, if it has no valid proposal
        self.generation, self.phase, self.ended = 0, "", False
        self.started = self.phase_started = time.monotonic()
        self.live: Live | None = None
        self.state = "running"  # or paused, reviewing, stopping
        self.waiting = Waiting()  # posts that wait for approval
        self.told = 0  # posts to decide when that was printed last
        self.who = ""  # which living agents are which model

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Keep the last screen and restore the terminal. May be called again."""
        if self.live:
            self.live.stop()
            self.live = None

    def __call__(self, event: str, data: dict[str, Any]) -> None:
        """Handle an event of `arena.loop.play`."""
        if event == "phase":
            self.generation, self.phase, self.phase_started = data["generation"], data["phase"], time.monotonic()
        elif event == "done":
            self._take(data)
        elif event == "control":
            self.state, self.waiting = data["state"], waiting(self.store)
            if self.plain and not self.quiet and self._worth_telling(data.get("left", 0)):
                self.console.print(Text(control_line(data, self.folder)), soft_wrap=True)
        if self.quiet or self.plain:
            return
        if self.live is None:
            self.live = Live(self, console=self.console, refresh_per_second=4, transient=False)
            self.live.start()
        if event in ("done", "control"):
            self.live.refresh()

    def _worth_telling(self, left: int) -> bool:
        """Whether to print a line: while the run waits for a reviewer, only when half of the posts are decided."""
        if left and self.told and left > self.told // 2:
            return False
        self.told = left
        return True

    def _take(self, data: dict[str, Any]) -> None:
        phase = data["phase"]
        self.waiting = waiting(self.store)
        label = {"birth": "0", "baseline": "0", "final": "end"}.get(phase, str(data["generation"]))
        if not self.played or self.played[-1].label != label:
            self.played.append(Line(label))
        line = self.played[-1]
        line.add(data, self.store, self.config.main_domain)
        if phase in ("birth", "turnover") or not self.who:
            self.who = self._who()
        if data["counted"]:
            self.compute += data["prompt_tokens"] + data["generated_tokens"] + 3 * data["trained_tokens"]
        self.phase, self.ended = "", phase == "final"
        show = self.plain and not self.quiet
        if show and phase in ("baseline", "measure", "final"):
            self.console.print(Text(self.plain_line(line)), soft_wrap=True)
        if phase == "propose":
            none = bool(line.proposed) and not line.valid
            self.refused = [f"  {shown}" for shown in examples(self.store, data["generation"])] if none else []
            if show and none:
                why = f"generation {label}: none of {count(line.proposed or 0, 'proposal')} is valid"
                for text in (f"{why}, {self.rejected_words(line)}; examples:", *self.refused):
                    self.console.print(Text(text), soft_wrap=True)
        if phase == LOOP[-1] and not self.quiet:
            known = {alarm.key for alarm in self.alarms}
            self._update_alarms(data["generation"])
            for alarm in self.alarms:
                if show and alarm.key not in known:
                    self.console.print(Text(f"! {alarm.text}"), soft_wrap=True)

    def _update_alarms(self, g: int) -> None:
        """The alarms that are on after generation `g`."""
        if self.figures is None:  # the first generation that this process finished: all before it are read once
            self.figures = [f for f in alarms.figures(self.store, self.config.main_domain) if f.generation < g]
        self.figures += alarms.figures(self.store, self.config.main_domain, g)
        self.alarms = alarms.at(self.figures)

    def plain_line(self, p: Line) -> str:
        """One generation as one line of words, without control characters."""
        held = ", ".join(f"{name}: {number(_group(p, depths))}" for name, depths in depth_groups(p.heldout) if depths)
        held = f"held-out {held}" if held else "held-out not measured"
        if p.label in ("0", "end"):
            return f"{'before' if p.label == '0' else 'after'}: {held}, {duration(p.seconds)}"
        left = self.time_left()
        parts = [
            f"generation {p.label}/{self.config.generations}: set {compact(p.proposed)}",
            f"valid {compact(p.valid)}{' (NONE)' if p.proposed and not p.valid else ''}{p.lost}",
            f"learnable {compact(p.learnable)}",
            f"depth {number(p.difficulty, 1)}",
            f"solved {number(p.solve_rate)}",
            *([f"alike {number(p.varied.share)}"] if p.varied else []),
            held,
            f"posts {compact(p.posts)}",
            f"reads {compact(p.reads)}",
            *filter(None, [self.rejected_words(p)]),
            duration(p.seconds),
            *filter(None, [self.waiting_words(), self.spent()]),
        ]
        return ", ".join(parts + ([f"about {duration(left)} left"] if left else []))

    def rejected_words(self, p: Line) -> str:
        """Why proposals of a generation were rejected; empty if none was."""
        return f"rejected: {reasons(p.rejected)}" if p.rejected else ""

    def waiting_words(self) -> str:
        """The number of posts that wait for approval; an empty string if none do."""
        return f"{count(self.waiting.posts, 'post')} waiting for approval" if self.waiting.posts else ""

    def time_left(self) -> float | None:
        """Seconds to the run's end, projected from recent generations; None before the first whole generation."""
        whole = [p for p in self.played if p.phases.issuperset(LOOP)][-RECENT:]
        if not whole:
            return None
        mean = sum(p.seconds for p in whole) / len(whole)
        generations = float(self.config.generations - self.generation)
        limit, used = self.config.limits.compute, sum(p.counted for p in whole) / len(whole)
        if limit and used:
            generations = min(generations, max(0.0, (limit - self.compute) / used))
        evaluation = next((p.seconds for p in self.played if p.label == "0"), 0.0)
        current = self.played[-1]
        rest = 0.0 if current.phases.issuperset(LOOP) and not self.phase else max(0.0, mean - current.seconds)
        if self.phase == LOOP[0] or current.label != str(self.generation):
            rest = mean  # the generation has just begun
        return 0.0 if self.ended or self.phase == "final" else generations * mean + rest + evaluation

    # -- the live screen -----------------------------------------------------------------------------------------

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        yield self.header()
        yield self.table(options.max_width)
        for alarm in self.alarms:
            yield Text(f"! {alarm.text}", style="yellow")
        if self.played and (why := self.rejected_words(self.played[-1])):
            yield Text(why, style="dim", no_wrap=True, overflow="ellipsis")
        for line in self.refused:
            yield Text(line, style="dim", no_wrap=True, overflow="ellipsis")
        yield self.phase_line()

    def header(self) -> Text:
        now, left = time.monotonic(), self.time_left()
        parts = [
            f"run {self.config.run.name}",
            f"seed {self.config.seed}",
            f"elapsed {duration(now - self.started)}",
            "finished" if self.ended else f"left {'about ' + duration(left) if left is not None else '?'}",
            f"compute {compact(self.compute)}",
            *filter(None, [self.waiting_words(), self.spent()]),
        ]
        state = {
            "paused": "PAUSED",
            "reviewing": "WAITING FOR REVIEW",
            "stopping": "stopping after this generation",
        }.get(self.state)
        line = Text(state, "bold reverse").append("  ") if state and not self.ended else Text()
        return line.append("  ".join(parts), "bold")

    def table(self, width: int) -> Table:
        """The last generations, with as many columns as `width` has room for."""
        lines = self.played[-SHOWN:]
        groups = depth_groups(d for p in self.played for d in p.heldout)
        skill: list[Column] = [(name, 1, partial(_cell, depths)) for name, depths in groups]
        columns = [*BEFORE_SKILL, *skill, *AFTER_SKILL]
        cells = [[name, *(cell(p) for p in lines)] for name, _, cell in columns]
        widths = [max(map(len, column)) for column in cells]
        kept = list(range(len(columns)))
        for rank in sorted({c[1] for c in columns}, reverse=True):
            if sum(widths[i] + 1 for i in kept) > width and rank:
                kept = [i for i in kept if columns[i][1] < rank]
        gap = 2 if sum(widths[i] + 2 for i in kept) <= width else 1
        table = Table(box=None, padding=(0, gap, 0, 0), pad_edge=False)
        table.caption_justify, table.caption_style = "left", "dim"
        for i in kept:
            table.add_column(cells[i][0], justify="right", no_wrap=True, header_style="dim")
        for row in range(1, len(lines) + 1):
            table.add_row(*(cells[i][row] for i in kept))
        if width >= 60 and groups:
            table.caption = (
                f"{groups[0][0]} to {groups[-1][0]}: held-out pass rate at these depths{self.who}\n"
                "words: effective number of first words; alike: share of problems with the most frequent wording"
            )
        return table

    def _who(self) -> str:
        """In a mixed population, which living agents are which model, after the words before; otherwise empty."""
        gone = {r["name"] for r in self.store.query("SELECT name FROM retirements")}
        by_model: dict[str, list[str]] = {}
        for agent, model in self.store.agent_models().items():
            if agent not in gone:
                by_model.setdefault(model, []).append(agent)
        named = "; ".join(f"{model}: {', '.join(agents)}" for model, agents in sorted(by_model.items()))
        return f" of {MAIN}\n{named}" if named else ""

    def phase_line(self) -> Text:
        """The generation in progress: phases done, the one at work, those to come."""
        if self.ended:
            return Text("the run is finished", style="green")
        if self.state == "paused":
            resume_with = typed_command("control", self.folder, "resume")
            return Text(f"paused; to resume, elsewhere: {resume_with}", style="bold")
        if self.state == "reviewing":
            return Text(self.waiting.line(self.folder), style="bold")
        if not self.phase and not self.played:
            return Text("starting", style="dim")
        if self.phase and self.phase not in LOOP:
            names = {"birth": "the first agents are born", "baseline": "measuring before the first generation"}
            text = names.get(self.phase, "measuring after the last generation")
            return Text(f"{text} ({duration(time.monotonic() - self.phase_started)})", style="bold")
        line = Text(f"{self.generation}/{self.config.generations}  ")
        current = LOOP.index(self.phase) if self.phase else len(LOOP)
        for i, name in enumerate(LOOP):
            shown, style = (f"[{name}]", "bold reverse") if i == current else (name, "green" if i < current else "dim")
            line.append(shown, style).append(" ")
        if self.phase:
            line.append(f" {duration(time.monotonic() - self.phase_started)}")
        line.no_wrap, line.overflow = True, "ellipsis"
        return line


def control_line(data: dict[str, Any], folder: Path) -> str:
    """A ("control", ...) event of the loop as a line."""
    if "forgotten" in data:
        return f"an earlier process was asked to {data['forgotten']}; this one continues"
    at = f"before {data['phase']} of generation {data['generation']}"
    if data["state"] == "reviewing":
        review = typed_command("review", folder)
        return f"WAITING {at}: {count(data['left'], 'post')} to decide; elsewhere: {review}"
    words = {"paused": f"PAUSED {at}", "running": f"resumes {at}", "stopping": "stopping after this generation"}
    return words[data["state"]]


def summary(analysis: dict[str, Any], folder: str | Path, console: Console) -> None:
    """Print the results of the run and the next commands."""
    if table := before_after_table(analysis):
        print_table(console, table, f"Held-out {analysis['domain']}, before and after, 95 % intervals")
        console.print(Text(gain_sentence(analysis)))
    if analysis["names"]:
        console.print(Text(names_sentence(analysis["names"])))
    if found := analysis.get("models"):
        print_table(console, models_table(found), "The models of the population")
    library = analysis["library"]
    kinds = ", ".join(f"{n} {kind.replace('_', ' ')}{'s' if n != 1 else ''}" for kind, n in library["by_kind"].items())
    console.print(Text(f"The library holds {kinds or 'nothing'}."))
    for kind in ("definition", "worked_example"):
        post = library["examples"].get(kind)
        if post:
            title = f"{post['title']}: " if kind == "worked_example" else ""
            console.print(Text(f"  {kind.replace('_', ' ')} by {post['author']}, generation {post['generation']}:"))
            console.print(Text(f"    {title}{post['body']}", style="cyan"))
    print_warnings(console, alarm_lines(analysis))
    console.print(Text(f"\nEverything is in {folder}. Next:"))
    for verb in ("watch", "analyze", "resume", "digest"):
        console.print(Text(f"  {typed_command(verb, folder)}"), soft_wrap=True)
