"""What a running arena shows, told made-up phases."""

import io
from collections import Counter

import pytest
from rich.console import Console

from arena.config.schema import make_config
from arena.phases.order import LOOP
from arena.run.store import Store
from arena.watch.live import Progress, depth_groups, summary

CONFIG = make_config({"run": {"name": "shown"}, "generations": 4, "population": {"agents": 3}})


@pytest.fixture
def progress_of(tmp_path):
    """A function that makes the listener, with a store of its own."""
    stores = []

    def make(config, console, **options):
        stores.append(Store(tmp_path / f"{len(stores)}.db", create=True))
        return Progress(config, console, stores[-1], **options)

    yield make
    for store in stores:
        store.close()


IDS = Counter()


def fresh():
    IDS["row"] += 1
    return {"id": f"id{IDS['row']}"}


def records(phase, g):
    evaluations = [
        {"generation": g, "domain": "list_programs", "mode": mode, "depth": depth, "correct": int(depth < 5), "k": 1}
        for depth in range(1, 9)
        for mode in ("greedy", "pass")
    ]
    full = [e | {"mode": "full"} for e in evaluations if e["mode"] == "greedy"]
    made = {
        "propose": {
            "problems": [{"valid": 1, "depth": 3}, {"valid": 1, "depth": 4}, {"valid": 0, "depth": None}],
            "guesses": [{"correct": 1}, {"correct": 0}],
        },
        "grade": {
            "outcomes": [{"learnable": 1, "solve_rate": 0.5}, {"learnable": 0, "solve_rate": None}],
            "grades": [{"agrees": 1}, {"agrees": None}],
        },
        "post": {"posts": [dict.fromkeys(("kind", "author", "title", "body", "cites", "about", "public_key"), "")]},
        "measure": {"evaluations": evaluations},
        "baseline": {"evaluations": full},
        "final": {"evaluations": full},
    }.get(phase, {})
    read = {"phase": phase, "agent": "ada", "request": "r", "post": "p", "propensity": 1.0}
    return made | {"reads": [read] * 7 if phase in ("solve", "sleep") else []}


def stored(table, row, g):
    row = {"generation": g, **row}
    if table in ("reads", "evaluations", "grades", "guesses", "posts"):
        row |= fresh()
    if table in ("problems", "outcomes"):
        row |= {"round": fresh()["id"]}
    return row | ({"seq": IDS["row"], "signature": ""} if table == "posts" else {})


def tell(progress, g, phase, seconds=1.0):
    progress("phase", {"generation": g, "phase": phase})
    tokens = {"prompt_tokens": 100, "generated_tokens": 50, "trained_tokens": 10 if phase == "sleep" else 0}
    counted = int(phase not in ("baseline", "measure", "final"))
    row = {"generation": g, "phase": phase, **tokens, "counted": counted, "seconds": seconds}
    made = records(phase, g)
    with progress.store.transaction():
        progress.store.insert({table: [stored(table, r, g) for r in rows] for table, rows in made.items()})
    progress("done", row | {"records": made})


def play(progress, first=1, last=4, start=0):
    """A run, or the rest of one from phase `start` of generation `first` on."""
    if (first, start) == (1, 0):
        tell(progress, 0, "birth")
        tell(progress, 0, "baseline")
    for g in range(first, last + 1):
        for phase in LOOP[start if g == first else 0 :]:
            tell(progress, g, phase)
    if last == 4:
        tell(progress, 4, "final")


def screen(width, terminal=False):
    return Console(width=width, file=io.StringIO(), force_terminal=terminal, color_system=None, legacy_windows=False)


def shown(progress, width):
    console = screen(width)
    console.print(progress)
    return console.file.getvalue()


def test_plain_mode_prints_one_line_a_generation(progress_of):
    """Plain mode prints one line per generation, without control characters."""
    console = screen(80)
    with progress_of(CONFIG, console, plain=True) as progress:
        play(progress)
    lines = console.file.getvalue().splitlines()
    assert [line.split(":")[0] for line in lines] == ["before", *(f"generation {g}/4" for g in range(1, 5)), "after"]
    assert "set 3, valid 2, learnable 1, depth 3.5, solved 0.50" in lines[1]
    assert "1-2: 1.00, 3: 1.00, 4: 1.00, 5: 0.00, 6: 0.00, 7-8: 0.00, posts 1, reads 7" in lines[1]
    assert all(line.isprintable() for line in lines)


def test_no_terminal_means_plain_lines(progress_of):
    """Without a terminal the lines are plain by default."""
    assert progress_of(CONFIG, screen(80)).plain
    assert not progress_of(CONFIG, screen(80, terminal=True)).plain


@pytest.mark.parametrize("terminal", [False, True])
def test_quiet_mode_prints_nothing(terminal, progress_of):
    console = screen(80, terminal)
    with progress_of(CONFIG, console, quiet=True) as progress:
        play(progress)
    assert console.file.getvalue() == ""


@pytest.mark.parametrize("width", [20, 40, 60, 80, 100, 132, 200])
def test_the_screen_fits_any_width(width, progress_of):
    progress = progress_of(CONFIG, screen(width), quiet=True)
    play(progress, last=2)
    progress("phase", {"generation": 3, "phase": "solve"})
    assert max(map(len, shown(progress, width).splitlines())) <= width


def test_columns_depend_on_width(progress_of):
    """80 columns hold the essential columns, 200 hold all."""
    progress = progress_of(CONFIG, screen(80), quiet=True)
    play(progress, last=2)
    progress("phase", {"generation": 3, "phase": "solve"})
    narrow, wide = shown(progress, 80), shown(progress, 200)
    for part in ("run shown", "seed 0", "3/2/1", "7-8", "posts/read", "[solve]", "3/4"):
        assert part in narrow
    assert "graders agree" not in narrow
    for part in ("graders agree", "tokens/s", "guessed", "1/2"):
        assert part in wide


def test_the_table_keeps_the_last_generations(progress_of):
    config = CONFIG.model_copy(update={"generations": 30})
    progress = progress_of(config, screen(80), quiet=True)
    play(progress, last=30)
    assert progress.table(80).row_count == 12


def test_resumed_generation_has_gaps(progress_of):
    """A run resumed within a generation is shown with gaps."""
    console = screen(80, terminal=True)
    with progress_of(CONFIG, console, compute=1000.0) as progress:
        play(progress, first=2, start=4)  # posts, sleep, ... of generation 2
        assert progress.compute == 1000 + 3 * 150 + 30 + 2 * (7 * 150 + 30)
    lines = shown(progress, 80).splitlines()
    assert lines[2].split()[:4] == ["2", "-", "-", "-"]
    assert lines[3].split()[:2] == ["3", "3/2/1"]


def test_resumed_before_final_is_shown(progress_of):
    """A run resumed before its final evaluation is shown."""
    console = screen(80)
    with progress_of(CONFIG, console) as progress:
        tell(progress, 4, "final")
    assert console.file.getvalue().startswith("after: held-out 1-2: 1.00")


def test_time_left_is_projected_from_whole_generations(progress_of):
    progress = progress_of(CONFIG, screen(80), quiet=True)
    assert progress.time_left() is None
    play(progress, last=1)
    assert progress.time_left() == pytest.approx(3 * 8 + 2)  # three generations, and the evaluation as before
    progress("phase", {"generation": 2, "phase": "read"})
    assert progress.time_left() == pytest.approx(3 * 8 + 2)
    tell(progress, 2, "read")
    assert progress.time_left() == pytest.approx(3 * 8 + 2 - 1)


def test_a_compute_limit_shortens_the_time_left(progress_of):
    config = CONFIG.model_copy(update={"limits": CONFIG.limits.model_copy(update={"compute": 2 * 1080.0 + 150})})
    progress = progress_of(config, screen(80), quiet=True)
    play(progress, last=1)
    assert progress.time_left() == pytest.approx(8 + 2)


def test_the_terminal_is_given_back_when_a_run_fails(progress_of):
    console = screen(80, terminal=True)
    with pytest.raises(OSError, match="disk"), progress_of(CONFIG, console) as progress:
        tell(progress, 0, "birth")
        assert progress.live is not None
        raise OSError("disk full")
    assert progress.live is None
    assert console.file.getvalue().rstrip().endswith("\x1b[?25h")  # the cursor is visible again


def test_a_pause_and_a_stop_are_said(progress_of):
    console = screen(80)
    with progress_of(CONFIG, console, plain=True) as progress:
        progress("control", {"state": "running", "forgotten": "pause"})
        for state in ("paused", "running", "stopping"):
            progress("control", {"state": state, "generation": 2, "phase": "solve"})
    assert console.file.getvalue().splitlines() == [
        "an earlier process was asked to pause; this one continues",
        "PAUSED before solve of generation 2",
        "resumes before solve of generation 2",
        "stopping after this generation",
    ]


@pytest.mark.parametrize("width", [40, 80])
def test_the_live_screen_shows_a_pause_and_a_stop(width, progress_of):
    progress = progress_of(CONFIG, screen(width), quiet=True)
    play(progress, last=2)
    progress("control", {"state": "paused", "generation": 3, "phase": "read"})
    shown_ = shown(progress, width)
    assert shown_.startswith("PAUSED") and "control runs/shown resume" in " ".join(shown_.split())
    progress("control", {"state": "stopping", "generation": 3, "phase": "read"})
    assert shown(progress, width).startswith("stopping after this generation")
    progress("control", {"state": "running", "generation": 3, "phase": "read"})
    assert shown(progress, width).startswith("run shown")


def analysis(**changes):
    mean = {"mean": 0.5, "low": 0.4, "high": 0.6, "n": 9}
    entry = {"depth": 3, "mode": "full", "pass_at_1": 0.5, "low": 0.4, "high": 0.6, "pass_at_k": 0.75, "k": 8, "n": 9}
    example = {"title": "rev [red] | 1 2", "body": "rev 2 1 answer 2 1", "author": "ada", "generation": 3, "reads": 2}
    return {
        "domain": "list_programs",
        "finished": True,
        "heldout": [entry | {"generation": 0}, entry | {"generation": 4}],
        "heldout_before_after": {"depths": [3], "before": mean, "after": mean, "gain": mean},
        "names": None,
        "library": {"by_kind": {"definition": 1, "worked_example": 2}, "examples": {"worked_example": example}},
        "warnings": ["Something is odd."],
        "alarms": [],
        "models": [],
    } | changes


@pytest.mark.parametrize("width", [80, 200])
def test_summary_shows_results_and_next_commands(width):
    """The summary shows the results of a run and the next commands."""
    console = screen(width)
    summary(analysis(), "runs/shown", console)
    text = console.file.getvalue()
    for part in (
        "0.50 [0.40, 0.60]",
        "Gain at depths 3: +0.50 [+0.40, +0.60]",
        "1 definition, 2 worked examples",
        "rev [red] | 1 2: rev 2 1",
        "Something is odd.",
        "ratchet watch runs/shown",
        "ratchet analyze runs/shown",
        "ratchet digest runs/shown",
    ):
        assert part in text
    assert max(map(len, text.splitlines())) <= width


def test_the_summary_of_an_empty_run_does_not_fail():
    nothing = {"depths": [], "before": None, "after": None, "gain": None}
    console = screen(80)
    summary(
        analysis(heldout=[], heldout_before_after=nothing, library={"by_kind": {}, "examples": {}}, warnings=[]),
        "runs/shown",
        console,
    )
    assert "The library holds nothing." in console.file.getvalue()


def test_columns_follow_the_measured_depths():
    """Depth 0 has a column; of more than six depths the lowest and the highest share one."""
    names = lambda depths: [name for name, _ in depth_groups(depths)]  # noqa: E731
    assert names(range(4)) == ["0", "1", "2", "3"]
    assert names(range(1, 9)) == ["1-2", "3", "4", "5", "6", "7-8"]
    assert names(range(9)) == ["0-1", "2", "3", "4", "5", "6-8"]
    assert names([3]) == ["3"] and names([]) == []
