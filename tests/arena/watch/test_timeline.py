"""Moving through the generations of a run: the timeline by mouse and keys, the replay, and the command palette."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from arena.watch.app import Watch
from arena.watch.screens import Reader
from arena.watch.timeline import LABEL, Timeline
from tests.helpers.screens import SIZES, copy, press, screen, settle, use

NEVER = 1e6
"""Seconds between replay steps, so that only the test makes steps."""


@pytest.mark.parametrize("size", SIZES)
def test_timeline_keys(undisturbed: Path, size: tuple[int, int]) -> None:
    async def play(app: Watch, pilot: Any) -> None:
        timeline = app.query_one(Timeline)
        assert "generation [ 0 ─" in screen(app) and "● 3 ]  latest" in screen(app)
        await press(app, pilot, "left")
        assert app.wanted is None  # the table has the focus
        timeline.focus()
        assert "generation 2 of 3" in await press(app, pilot, "left") and "l: latest" in screen(app)
        assert "(●)" in screen(app)  # the focus is visible without colour
        assert "generation 1 of 3" in await press(app, pilot, "left")
        assert "generation 0 of 3" in await press(app, pilot, "home", "left", "left")
        assert "generation 1 of 3" in await press(app, pilot, "right")
        await press(app, pilot, "right", "right", "right")
        assert app.wanted is None and "latest" in screen(app)
        assert "generation [" in await press(app, pilot, "2")
        for key in "345":
            assert "generation [" in await press(app, pilot, key)

    use(undisturbed, play, size)


@pytest.mark.parametrize("size", SIZES)
def test_timeline_mouse(undisturbed: Path, size: tuple[int, int]) -> None:
    async def play(app: Watch, pilot: Any) -> None:
        timeline = app.query_one(Timeline)
        begin, length = timeline.track
        left = 1  # its padding

        async def seen() -> int | None:
            await settle(app, pilot)
            return app.wanted

        assert await pilot.click(Timeline, offset=(left + begin, 0)) and await seen() == 0
        assert await pilot.click(Timeline, offset=(left + begin + length - 1, 0)) and await seen() is None
        await pilot.mouse_down(Timeline, offset=(left + begin + length // 3, 0))
        assert await seen() == 1
        await pilot.hover(Timeline, offset=(left + begin + 2 * length // 3, 0))
        assert await seen() == 2
        await pilot.mouse_up(Timeline, offset=(left + begin + 2 * length // 3, 0))
        await pilot.hover(Timeline, offset=(left + begin, 0))
        assert await seen() == 2  # the button was released
        assert await pilot.click(Timeline, offset=(left, 0)) and await seen() == 0  # left of the track is its beginning
        assert len(LABEL) < begin

    use(undisturbed, play, size)


def test_replay_runs_to_the_end(undisturbed: Path) -> None:
    async def play(app: Watch, pilot: Any) -> None:
        app.replay_interval = NEVER

        async def on() -> str:
            app.replay_step()
            await settle(app, pilot)
            return screen(app)

        assert "generation 0 of 3" in await press(app, pilot, "space") and "replaying" in screen(app)
        assert "generation 1 of 3" in await on() and "generation 2 of 3" in await on()
        await on()
        assert app.wanted is None and app.replay is None and "● 3 ]  latest" in screen(app)
        await press(app, pilot, "space")
        await on()
        assert "replaying" not in await press(app, pilot, "space") and app.wanted == 1  # paused at the same generation
        assert "replaying" in await press(app, pilot, "space") and app.wanted == 1  # and continued from there
        await press(app, pilot, "right_square_bracket")
        assert app.replay is None and app.wanted == 2
        await press(app, pilot, "space", "2")
        assert app.replay is not None and "generation 2: 15 set" in screen(app)
        await press(app, pilot, "3")
        assert app.replay is not None and app.wanted == 2  # on every screen
        await press(app, pilot, "space")
        assert app.replay is None

    use(undisturbed, play)


def test_replay_of_an_empty_run_ends(empty: Path) -> None:
    async def play(app: Watch, pilot: Any) -> None:
        app.replay_interval = NEVER
        await press(app, pilot, "space")
        app.replay_step()
        await settle(app, pilot)
        assert app.replay is None and app.wanted is None

    use(empty, play)


@pytest.mark.parametrize("size", SIZES)
def test_footer_and_help_name_replay(undisturbed: Path, size: tuple[int, int]) -> None:
    async def play(app: Watch, pilot: Any) -> None:
        for key in "12345":
            last = (await press(app, pilot, key)).splitlines()[-1]
            assert "space" in last and "? Help" in last and "q Quit" in last
        assert "space Replay" in await press(app, pilot, "1")
        shown = await press(app, pilot, "question_mark")
        assert "space" in shown and "replay the run by generation" in shown

    use(undisturbed, play, size)


def test_palette_has_every_key(undisturbed: Path) -> None:
    """Each command has a help line and its key; it acts as the key does, on the screen that it belongs to."""

    async def play(app: Watch, pilot: Any) -> None:
        commands = {c.title: c for c in app.get_system_commands(app.screen_stack[0])}
        own = {"Arena", "Rounds", "Agent", "Library", "Review", "Previous generation", "Next generation", "Live"}
        own |= {"Replay", "Pause", "Stop", "Help", "Rounds: Filter", "Agent: Next", "Agent: Prev", "Library: Find"}
        own |= {"Library: Kind", "Library: Useful", *(f"Review: {n}" for n in ("Accept", "Reject", "Skip", "Undo"))}
        assert own | {"Review: Note"} <= set(commands)
        assert commands["Rounds: Filter"].help == "Show all, valid, learnable or disputed problems (key: f)"
        assert commands["Previous generation"].help == "Go back one generation (key: [)"
        await pilot.press("ctrl+p")
        await pilot.press(*"filter")
        await settle(app, pilot)
        assert "Rounds: Filter" in screen(app)  # found while the palette lies over the screens
        await press(app, pilot, "escape", "escape")
        await commands["Rounds: Filter"].callback()
        await settle(app, pilot)
        assert app.pane.id == "rounds" and "valid shown" in screen(app)
        await commands["Previous generation"].callback()
        await settle(app, pilot)
        assert app.wanted == 2
        await commands["Replay"].callback()
        await settle(app, pilot)
        assert app.replay is not None and "replaying" in screen(app)
        await press(app, pilot, "space", "enter")
        assert isinstance(app.screen, Reader)
        assert "Back" in {c.title for c in app.get_system_commands(app.screen)}

    use(undisturbed, play, SIZES[1])


def test_palette_decides_only_what_is_seen(stopped: Path, tmp_path: Path) -> None:
    folder = copy(stopped, tmp_path / "copy")

    async def play(app: Watch, pilot: Any) -> None:
        accept = {c.title: c.callback for c in app.get_system_commands(app.screen)}["Review: Accept"]
        await accept()
        await settle(app, pilot)
        assert app.pane.id == "review" and "0 decided" in screen(app)
        await accept()
        await settle(app, pilot)
        assert "1 decided" in screen(app)

    use(folder, play)
