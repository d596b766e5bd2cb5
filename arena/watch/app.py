"""`watch`: the terminal application that shows a run while it is played or afterwards.

A worker thread polls the number of the last finished phase; a poll that finds nothing new reads one row. Everything
else is read when a screen that needs it is shown. Commands and review decisions are written through
`arena.watch.commands`, the only module of this package that writes to a run.

Left out: starting a run (`arena.watch.launch`). Not guaranteed: that a run is making progress; the screens know only
whether a process has it open and when its last phase finished.
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
from textual.widgets import ContentSwitcher, Input, Static
from textual.worker import get_current_worker

from arena.run.faults import is_for_user, lines
from arena.run.integrity import cause
from arena.watch import queries, render
from arena.watch.commands import RunControl, RunStatus, run_status
from arena.watch.confirm import Confirm
from arena.watch.help import Help
from arena.watch.history import History, Snapshot
from arena.watch.keys import Keys
from arena.watch.models import Run
from arena.watch.palette import commands
from arena.watch.queries import Busy, open_run, read_only, safe
from arena.watch.screens import AgentPane, ArenaPane, LibraryPane, Pane, ReviewPane, RoundsPane
from arena.watch.screens.rows import Rows
from arena.watch.terminal import VANISHED, ending_with_terminal
from arena.watch.timeline import Timeline
from arena.watch.writer import Writer

PANES = ("arena", "rounds", "agent", "library", "review")
SCREENS, RUN = Binding.Group("Screens ", compact=True), Binding.Group("Run", compact=True)
MAIN_SCREEN_ACTIONS = ("pane", "step", "replay", "live", "to_live", "help", "pause_run", "stop_run")
"""Actions that are disabled while another screen lies over the main one."""
REPLAY_INTERVAL = 0.5
"""Seconds for which a replay shows each generation."""


WIDE = 180
"""Minimum width, in columns, at which the Arena screen places its plots beside its table."""


class ReadDone(Message):
    """A read has finished: call `then` with its result."""

    def __init__(self, then: Callable[[Any], None], result: Any) -> None:
        super().__init__()
        self.then, self.result = then, result


class NoteChanged(Message):
    """Show a line of text under the top lines; an empty text hides it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


class Watch(App[None]):
    """The terminal application: five screens over one run.

    Args:
        run: the run to show.
        interval: seconds between two polls.
        error_line: called at every poll; a new non-empty result is shown as an error.
    """

    TITLE = "Ratchet"
    freezes_gc = False
    """Whether to call `gc.freeze` after the first full read, so that collections do not scan what was read then; for a
    long run that takes longer than drawing a screen. Only for a process that runs nothing but this application."""
    ENABLE_COMMAND_PALETTE = True
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (WIDE, "-wide")]  # noqa: RUF012
    CSS = """
    #top { height: 2; padding: 0 1; background: $panel; }
    #timeline { height: 1; padding: 0 1; }
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
        *(
            Binding(
                str(i),
                f"pane('{name}')",
                name.capitalize(),
                group=SCREENS,
                tooltip=f"Show the {name.capitalize()} screen",
            )
            for i, name in enumerate(PANES, 1)
        ),
        # the next two are drawn as the ends of the timeline
        Binding("left_square_bracket", "step(-1)", "Previous generation", show=False, tooltip="Go back one generation"),
        Binding("right_square_bracket", "step(1)", "Next generation", show=False, tooltip="Go forward one generation"),
        Binding("space", "replay", "Replay", group=RUN, tooltip="Show the run generation by generation, or pause"),
        Binding("P", "pause_run", "Pause", group=RUN, tooltip="Pause the run after this phase, or resume it"),
        Binding("X", "stop_run", "Stop", group=RUN, tooltip="Stop the run after this generation, or cancel the stop"),
        # named in the top line when it applies
        Binding("l", "live", "Live", show=False, tooltip="Show the latest generation and follow the run"),
        Binding("end", "to_live", "Live", show=False, priority=True),
        Binding("question_mark", "help", "Help", key_display="?", tooltip="Explain all keys, columns and marks"),
        Binding("q", "quit", "Quit"),
    ]

    def __init__(self, run: Run, interval: float = 1.0, error_line: Callable[[], str] = str) -> None:
        super().__init__()
        self.animation_level = "none"  # animation is slow over a remote connection
        self.run_, self.interval, self.replay_interval = run, interval, REPLAY_INTERVAL
        self.history = History(run)
        self.snapshot: Snapshot | None = None
        self.wanted: int | None = None  # the generation to show; None: the latest
        self.replay: Timer | None = None
        self.polling, self.poll_again = False, False
        self.drawn_key: object = None
        self.failed_group = ""  # the group whose last read failed
        self.error_line, self.shown_error = error_line, ""
        self.last_change = time.monotonic()
        self.closing = threading.Event()
        self.run_status = RunStatus(open=False, finished=False)
        self.writer = Writer(RunControl(run), self.start_thread, self.show_note, self.call_back, self.closing)

    def compose(self) -> ComposeResult:
        yield Static(Text(f"{self.run_.name}: reading"), id="top")
        yield Static(id="note")
        yield Timeline(id="timeline")
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

    def fetch(self, group: str, read: Callable[[sqlite3.Connection], Any], then: Callable[[Any], None]) -> None:
        """Call `read` in a worker thread, then `then` with its result in this thread. The database is as of the
        shown generation.

        A newer call with the same `group` cancels an older one. A locked or missing database is tried again, and an
        unreadable row is reported in the note line; neither ends the application.
        """
        at = None if group == "history" else self.wanted
        self.run_worker(partial(self._read, group, read, then, at), group=group, exclusive=True, thread=True)

    def _read(
        self,
        group: str,
        read: Callable[[sqlite3.Connection], Any],
        then: Callable[[Any], None],
        at: int | None,
    ) -> None:
        worker = get_current_worker()
        while not self.closing.is_set() and not worker.is_cancelled:
            try:
                with read_only(self.run_.database, at) as db:
                    result = read(db)
            except Busy as busy:
                self.failed_group = group
                self.post_message(NoteChanged(f"{busy}; trying again"))
                self.closing.wait(0.5)
                continue
            except Exception as error:  # affects this read only
                self.failed_group = group
                self.post_message(NoteChanged(safe(self.why_failed(error))))
                if group != "history":
                    return
                self.closing.wait(self.interval)
                continue
            if self.failed_group in ("history", group):
                self.failed_group = ""
                self.post_message(NoteChanged(""))
            if not worker.is_cancelled:
                self.post_message(ReadDone(then, result))
            return

    def why_failed(self, error: Exception) -> str:
        """Why a part of the run cannot be read: its damage, or a fault of the program, whose traceback is kept."""
        why = cause(error, [self.run_.folder])
        if is_for_user(why) or why is not error:
            return f"cannot read this part of the run: {why}"
        return " ".join(lines([("reading the run for the screens", error)]))

    @on(ReadDone)
    def read_done(self, message: ReadDone) -> None:
        if self.screen_stack:  # not while the application closes
            message.then(message.result)

    @on(NoteChanged)
    def note_changed(self, message: NoteChanged) -> None:
        if not self.screen_stack:
            return
        note = self.screen_stack[0].query_one("#note", Static)
        note.update(Text(message.text))
        note.display = bool(message.text)

    def start_thread(self, work: Callable[[], None]) -> None:
        self.run_worker(work, group="writer", thread=True)

    def show_note(self, text: str) -> None:
        self.post_message(NoteChanged(text))

    def call_back(self, then: Callable[[Any], None], result: Any) -> None:
        self.post_message(ReadDone(then, result))

    def poll(self) -> None:
        """Read what is new, and the error line."""
        if self.polling:
            self.poll_again = True
            return
        self.polling, self.poll_again = True, False
        wanted = self.wanted

        def look(db: sqlite3.Connection) -> tuple[bool, tuple[object, int | None], Snapshot | None]:
            if self.history.is_of_another_run(db):
                self.history = History(self.run_)
            more = self.history.step(db)
            self.run_status = run_status(db, self.run_.folder)
            key = ((self.history.version, queries.posts_waiting(db)), wanted)
            return more, key, None if key == self.drawn_key else self.history.snapshot(db, wanted)

        self.fetch("history", look, self.poll_done)

        if (text := self.error_line()) and text != self.shown_error:
            self.shown_error = text
            self.notify(safe(text), severity="error", timeout=3600, markup=False)

    def poll_done(self, result: tuple[bool, tuple[object, int | None], Snapshot | None]) -> None:
        more, key, snapshot = result
        self.polling = False
        if snapshot is not None:
            if self.snapshot is None or snapshot.last != self.snapshot.last:
                self.last_change = time.monotonic()
            self.snapshot, self.drawn_key = snapshot, key
            self.pane.show(snapshot)
        self.draw_top()
        if self.freezes_gc and not more:
            self.freezes_gc = False
            gc.collect()
            gc.freeze()
        if more or (self.poll_again and self.wanted != key[1]):
            self.poll()

    def draw_top(self) -> None:
        if self.snapshot is not None and self.screen_stack:
            top = self.screen_stack[0].query_one("#top", Static)
            quiet, now = time.monotonic() - self.last_change, self.run_status
            top.update(render.top(self.snapshot, quiet, self.size.width, now.state, now.limit))
            timeline = self.screen_stack[0].query_one(Timeline)
            timeline.shown, timeline.latest = self.snapshot.shown, self.snapshot.latest
            timeline.state = "replaying" if self.replay else "latest" if self.snapshot.live else "l: latest"

    def on_resize(self, event: events.Resize) -> None:
        self.draw_top()

    # -- keys ------------------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Disable the main screen's keys under another screen, and `end` where it moves the cursor of a text."""
        if len(self.screen_stack) > 1 and action in MAIN_SCREEN_ACTIONS:
            return False
        return not (action == "to_live" and isinstance(self.focused, Input))

    def action_pane(self, name: str) -> None:
        self.screen_stack[0].query_one(ContentSwitcher).current = name
        self.pane.enter()
        self.refresh_bindings()
        if self.snapshot is not None:
            self.pane.show(self.snapshot)

    def action_step(self, by: int) -> None:
        if self.snapshot is not None:
            self.pause()
            self.seek((self.snapshot.latest if self.wanted is None else self.wanted) + by)

    def seek(self, generation: int) -> None:
        """Show a generation. At the latest generation the screens follow the run again."""
        latest = self.snapshot.latest if self.snapshot else 0
        self.wanted = None if generation >= latest else max(0, generation)
        self.poll()

    @on(Timeline.Moved)
    def moved(self, message: Timeline.Moved) -> None:
        self.pause()
        self.seek(message.generation)

    def action_live(self) -> None:
        self.pause()
        self.wanted = None
        self.poll()

    def action_to_live(self) -> None:
        self.action_live()

    def action_replay(self) -> None:
        """Start a replay, from generation 0 if the latest one is shown; pause it if one is running."""
        if self.replay is not None or self.snapshot is None:
            self.pause()
            return
        self.replay = self.set_interval(self.replay_interval, self.replay_step)
        self.seek(0 if self.wanted is None else self.wanted)

    def replay_step(self) -> None:
        """Show the next generation, once the current one has been drawn."""
        if self.polling or self.replay is None:
            return
        if self.wanted is not None:
            self.seek(self.wanted + 1)
        if self.wanted is None:
            self.pause()

    def pause(self) -> None:
        """Pause the replay."""
        if self.replay is not None:
            self.replay.stop()
            self.replay = None
            self.draw_top()

    def action_pause_run(self) -> None:
        """Pause the run after the current phase, or resume it if it is paused or about to pause."""
        self.command("resume" if self.run_status.state in ("paused", "pausing") else "pause")

    def action_stop_run(self) -> None:
        """Stop the run after the current generation, once confirmed; cancel a requested stop."""
        if self.run_status.state in ("idle", "finished"):
            self.command("stop")  # raises the error that says why
            return
        if self.run_status.state == "stopping":
            self.command("resume")
            return
        question = "Stop the run after this generation? Nothing is lost: `resume` continues it."
        self.push_screen(Confirm(question), lambda yes: self.command("stop") if yes else None)

    def command(self, command: str) -> None:
        self.show_note("")
        self.writer.put(lambda control: control.command(command), lambda _: self.poll())

    def action_help(self) -> None:
        self.push_screen(Help())

    @on(Rows.Selected, "#population")
    def agent_chosen(self, event: Rows.Selected) -> None:
        self.query_one(AgentPane).name_shown = event.key
        self.action_pane("agent")

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        yield from super().get_system_commands(screen)
        if screen is not self.screen_stack[0]:
            yield from commands(self, screen, partial(self.run_action, default_namespace=screen))
            return
        yield from commands(self, self, self.run_action)
        for pane in screen.query(Pane):
            yield from commands(self, pane, partial(self.act_on, pane), (pane.id or "").capitalize())

    async def act_on(self, pane: Pane, action: str) -> None:
        """Perform an action of a screen, which is shown first. A decision needs an item that was already in view."""
        if self.pane is not pane:
            self.action_pane(pane.id or PANES[0])
            if action.startswith("decide"):
                return
        await self.run_action(action, pane)


def watch(folder: Path, error_line: Callable[[], str] = str) -> None:
    """Show the run in `folder` until the user quits.

    Args:
        folder: the run's folder.
        error_line: called at every poll for an error to show, for example that the run's process has failed.

    Raises:
        ValueError: before anything is drawn, if there is no readable run in `folder`.
    """
    app = Watch(open_run(folder), error_line=error_line)
    app.freezes_gc = True
    with ending_with_terminal(partial(app.call_from_thread, app.exit)) as vanished:
        app.run()
    if vanished.is_set():
        raise SystemExit(VANISHED)
    if app.writer.changes:
        print(f"the run's database is locked or missing: the last {len(app.writer.changes)} requests were not written")
