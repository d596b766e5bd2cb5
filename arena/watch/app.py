"""`watch`: a run in the terminal, while it is played or after; it changes nothing but what a person asks it to.

The application polls the number of the last finished phase from a thread of its own; a tick in which nothing happened
reads one row. Everything else is read when it is looked at.

What is asked of a run (pause, stop, a reviewer's decision) goes through `arena.watch.commands`, the only place that
writes. Left out: starting a run. Not guaranteed: that a run still goes on; the screens only know whether a process has
it open and when it last finished something.
"""

from __future__ import annotations

import gc
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from rich.text import Text
from textual import events, on
from textual.app import App, ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.screen import Screen
from textual.timer import Timer
from textual.widgets import ContentSwitcher, Static
from textual.worker import get_current_worker

from arena.watch import render
from arena.watch.commands import Desk, Standing, standing
from arena.watch.confirm import Confirm
from arena.watch.help import Help
from arena.watch.history import History, Snapshot
from arena.watch.keys import Keys
from arena.watch.models import Run
from arena.watch.queries import Busy, open_run, reading, safe
from arena.watch.screens import AgentPane, ArenaPane, LibraryPane, Pane, ReviewPane, RoundsPane
from arena.watch.screens.rows import Rows
from arena.watch.timeline import Slider
from arena.watch.writer import Writer

PANES = ("arena", "rounds", "agent", "library", "review")
SCREENS = Binding.Group("Screens ", compact=True)
IN_TIME = ("arena", "rounds")
"""The screens that show a generation; the others show all that happened."""
SWITCHING = ("pane", "step", "replay", "live", "to_live", "help", "pause_run", "stop_run")
REPLAY_EVERY = 0.5
"""Seconds that a replay shows each generation."""


WIDE = 180
"""Columns from which the Arena's plots stand beside its table."""


class Took(Message):
    """Something that was asked for has been read."""

    def __init__(self, then: Callable[[Any], None], result: Any) -> None:
        super().__init__()
        self.then, self.result = then, result


class Noted(Message):
    """Why nothing new is shown; an empty text takes it back."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


class Watch(App[None]):
    """The screens of one run."""

    TITLE = "Ratchet"
    settles = False
    """Whether the process is this application's alone, so that what was read at first need not be looked through for
    garbage ever after: with a long run that takes longer than drawing a screen."""
    ENABLE_COMMAND_PALETTE = True
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (WIDE, "-wide")]  # noqa: RUF012
    CSS = """
    #top { height: 2; padding: 0 1; background: $panel; }
    #slider { height: 1; padding: 0 1; }
    #note { height: auto; padding: 0 1; color: $warning; display: none; }
    ContentSwitcher { height: 1fr; }
    Pane { height: 1fr; padding: 0 1; }
    DataTable { height: 1fr; overflow-x: hidden; }
    #alarms { height: auto; max-height: 5; }
    #left { height: auto; }
    #population { height: auto; max-height: 10; }
    #summary, #found { height: 1; }
    #caption, #figures { height: auto; }
    #plots { width: 1fr; height: 1fr; }
    .-wide ArenaPane { layout: horizontal; }
    .-wide #left { width: 134; height: 1fr; padding-right: 2; }
    .-wide #population { max-height: 1fr; }
    .-wide #alarms { max-height: 12; margin-bottom: 1; }
    #story { height: 1fr; }
    #family { height: auto; max-height: 7; border: round $primary; padding: 0; }
    .-wide AgentPane { layout: horizontal; }
    .-wide #family { width: 48; max-height: 1fr; }
    Reader VerticalScroll { height: 1fr; padding: 0 1; }
    Reader Rows { height: auto; max-height: 8; margin: 0 1; }
    Help { align: center middle; }
    #help { width: 80; height: auto; max-height: 100%; border: round $primary; padding: 0 1; background: $surface; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(str(i), f"pane('{name}')", name.capitalize(), group=SCREENS) for i, name in enumerate(PANES, 1)),
        Binding("left_square_bracket", "step(-1)", "Back", show=False),  # drawn as the slider's ends
        Binding("right_square_bracket", "step(1)", "On", show=False),
        Binding("space", "replay", "Replay"),
        Binding("P", "pause_run", "Pause"),
        Binding("X", "stop_run", "Stop"),
        Binding("l", "live", "Live", show=False),  # said where it is of use, in the top line
        Binding("end", "to_live", "Live", show=False, priority=True),
        Binding("question_mark", "help", "Help", key_display="?"),
        Binding("q", "quit", "Quit"),
    ]

    def __init__(self, run: Run, interval: float = 1.0, trouble: Callable[[], str] = str) -> None:
        super().__init__()
        self.animation_level = "none"  # over a slow line every frame is felt
        self.run_, self.interval, self.pace = run, interval, REPLAY_EVERY
        self.history = History(run)
        self.snapshot: Snapshot | None = None
        self.wanted: int | None = None  # the generation to show; None follows the run
        self.replay: Timer | None = None
        self.reading_, self.again = False, False
        self.drawn: object = None
        self.failed = ""  # the group whose last question failed
        self.trouble, self.told = trouble, ""
        self.heard = time.monotonic()
        self.closing = threading.Event()
        self.standing = Standing(held=False, finished=False)
        self.writer = Writer(Desk(run), self.start, self.say, self.tell, self.closing)

    def compose(self) -> ComposeResult:
        yield Static(Text(f"{self.run_.name}: reading"), id="top")
        yield Static(id="note")
        yield Slider(id="slider")
        with ContentSwitcher(initial="arena", id="panes"):
            yield ArenaPane(id="arena")
            yield RoundsPane(id="rounds")
            yield AgentPane(id="agent")
            yield LibraryPane(id="library")
            yield ReviewPane(id="review")
        yield Keys()

    def on_mount(self) -> None:
        self.pane.enter()
        self.poll()
        self.set_interval(self.interval, self.poll)

    def on_unmount(self) -> None:
        self.closing.set()

    @property
    def pane(self) -> Pane:
        switcher = self.screen_stack[0].query_one(ContentSwitcher)
        return switcher.query_one(f"#{switcher.current}", Pane)

    # -- reading, off this thread ----------------------------------------------------------------------------------

    def ask(self, group: str, read: Callable[[sqlite3.Connection], Any], then: Callable[[Any], None]) -> None:
        """Read from the run in a thread, then draw in this one. A newer question of a group replaces an older one."""
        self.run_worker(partial(self._read, group, read, then), group=group, exclusive=True, thread=True)

    def _read(self, group: str, read: Callable[[sqlite3.Connection], Any], then: Callable[[Any], None]) -> None:
        worker = get_current_worker()
        while not self.closing.is_set() and not worker.is_cancelled:
            try:
                with reading(self.run_.database) as db:
                    result = read(db)
            except Busy as busy:
                self.failed = group
                self.post_message(Noted(f"{busy}; trying again"))
                self.closing.wait(0.5)
                continue
            except (sqlite3.DatabaseError, ValueError) as error:  # a damaged row or file: said, and the rest goes on
                self.failed = group
                self.post_message(Noted(f"this cannot be read: {safe(str(error))}"))
                if group != "history":
                    return
                self.closing.wait(self.interval)
                continue
            if self.failed in ("history", group):
                self.failed = ""
                self.post_message(Noted(""))
            if not worker.is_cancelled:
                self.post_message(Took(then, result))
            return

    @on(Took)
    def took(self, message: Took) -> None:
        if self.screen_stack:  # not while the application closes
            message.then(message.result)

    @on(Noted)
    def noted(self, message: Noted) -> None:
        if not self.screen_stack:
            return
        note = self.screen_stack[0].query_one("#note", Static)
        note.update(Text(message.text))
        note.display = bool(message.text)

    def start(self, work: Callable[[], None]) -> None:
        """Run the writer's work in a thread."""
        self.run_worker(work, group="desk", thread=True)

    def say(self, text: str) -> None:
        self.post_message(Noted(text))

    def tell(self, then: Callable[[Any], None], result: Any) -> None:
        self.post_message(Took(then, result))

    def poll(self) -> None:
        """Ask whether anything is new."""
        if self.reading_:
            self.again = True
            return
        self.reading_, self.again = True, False
        wanted = self.wanted

        def look(db: sqlite3.Connection) -> tuple[bool, tuple[object, int | None], Snapshot | None]:
            if self.history.is_of_another_run(db):
                self.history = History(self.run_)
            more = self.history.step(db)
            self.standing = standing(db, self.run_.folder)
            key = (self.history.version, wanted)
            return more, key, None if key == self.drawn else self.history.snapshot(db, wanted)

        self.ask("history", look, self.polled)

        if (words := self.trouble()) and words != self.told:
            self.told = words
            self.notify(safe(words), severity="error", timeout=3600, markup=False)

    def polled(self, result: tuple[bool, tuple[object, int | None], Snapshot | None]) -> None:
        more, key, snapshot = result
        self.reading_ = False
        if snapshot is not None:
            if self.snapshot is None or snapshot.last != self.snapshot.last:
                self.heard = time.monotonic()
            self.snapshot, self.drawn = snapshot, key
            self.pane.show(snapshot)
        self.draw_top()
        if self.settles and not more:
            self.settles = False
            gc.collect()
            gc.freeze()
        if more or (self.again and self.wanted != key[1]):
            self.poll()

    def draw_top(self) -> None:
        if self.snapshot is not None and self.screen_stack:
            top = self.screen_stack[0].query_one("#top", Static)
            quiet, now = time.monotonic() - self.heard, self.standing
            top.update(render.top(self.snapshot, quiet, self.size.width, now.state, now.limit))
            slider = self.screen_stack[0].query_one(Slider)
            slider.shown, slider.latest = self.snapshot.shown, self.snapshot.latest
            slider.state = "replaying" if self.replay else "latest" if self.snapshot.live else "l: latest"

    def on_resize(self, event: events.Resize) -> None:
        self.draw_top()

    # -- keys ------------------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Nothing switches under a screen that lies over these; time is stepped through where a generation is shown."""
        if len(self.screen_stack) > 1 and action in SWITCHING:
            return False
        if action in ("step", "replay", "to_live"):
            return not self.screen_stack or self.pane.id in IN_TIME
        return True

    def action_pane(self, name: str) -> None:
        self.screen_stack[0].query_one(ContentSwitcher).current = name
        self.screen_stack[0].query_one(Slider).display = name in IN_TIME
        if name not in IN_TIME:
            self.pause()
        self.pane.enter()
        self.refresh_bindings()
        if self.snapshot is not None:
            self.pane.show(self.snapshot)

    def action_step(self, by: int) -> None:
        if self.snapshot is not None:
            self.pause()
            self.seek((self.snapshot.latest if self.wanted is None else self.wanted) + by)

    def seek(self, generation: int) -> None:
        """Show a generation; the latest one follows the run."""
        latest = self.snapshot.latest if self.snapshot else 0
        self.wanted = None if generation >= latest else max(0, generation)
        self.poll()

    @on(Slider.Moved)
    def moved(self, message: Slider.Moved) -> None:
        self.pause()
        self.seek(message.generation)

    def action_live(self) -> None:
        self.pause()
        self.wanted = None
        self.poll()

    def action_to_live(self) -> None:
        self.action_live()

    def action_replay(self) -> None:
        """Start the replay, from the beginning if the latest generation is shown; or pause it."""
        if self.replay is not None or self.snapshot is None:
            self.pause()
            return
        self.replay = self.set_interval(self.pace, self.replay_on)
        self.seek(0 if self.wanted is None else self.wanted)

    def replay_on(self) -> None:
        """One generation further, if the one before has been drawn."""
        if self.reading_ or self.replay is None:
            return
        if self.wanted is not None:
            self.seek(self.wanted + 1)
        if self.wanted is None:
            self.pause()

    def pause(self) -> None:
        if self.replay is not None:
            self.replay.stop()
            self.replay = None
            self.draw_top()

    def action_pause_run(self) -> None:
        """Pause the run after the phase at work; or let it go on, if it is paused or to be."""
        self.command("resume" if self.standing.state in ("paused", "pausing") else "pause")

    def action_stop_run(self) -> None:
        if self.standing.state in ("idle", "finished"):
            self.command("stop")  # which says why there is nothing to stop
            return
        if self.standing.state == "stopping":
            self.command("resume")
            return
        question = "Stop the run after this generation? Nothing is lost; `resume` continues it."
        self.push_screen(Confirm(question), lambda yes: self.command("stop") if yes else None)

    def command(self, command: str) -> None:
        self.say("")
        self.writer.put(lambda desk: desk.command(command), lambda _: self.poll())

    def action_help(self) -> None:
        self.push_screen(Help())

    @on(Rows.Chosen, "#population")
    def agent_chosen(self, event: Rows.Chosen) -> None:
        self.query_one(AgentPane).name_shown = event.key
        self.action_pane("agent")

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        yield from super().get_system_commands(screen)
        if len(self.screen_stack) == 1:
            for name in PANES:
                yield SystemCommand(name.capitalize(), f"Show the {name} screen", partial(self.action_pane, name))
            yield SystemCommand("Generation back", "Show the generation before", partial(self.action_step, -1))
            yield SystemCommand("Generation on", "Show the generation after", partial(self.action_step, 1))
            yield SystemCommand("Live", "Follow the run again", self.action_live)
            yield SystemCommand("Pause or go on", "Pause the run after this phase; or go on", self.action_pause_run)
            yield SystemCommand("Stop", "Stop the run after this generation; again: do not", self.action_stop_run)
            if self.pane.id in IN_TIME:
                yield SystemCommand("Replay", "Play the run generation by generation, or pause", self.action_replay)


def watch(folder: Path, trouble: Callable[[], str] = str) -> None:
    """Watch the run in `folder`. ValueError, before anything is drawn, if there is none.

    `trouble` is asked again and again for a line to show, such as that the process that plays has failed.
    """
    app = Watch(open_run(folder), trouble=trouble)
    app.settles = True
    app.run()
    if app.writer.changes:
        print(f"the run's database was locked or gone: the last {len(app.writer.changes)} asked for are not written")
