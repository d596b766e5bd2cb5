"""Sinks: what they are told, what a resumed run tells, and that none of it touches the run."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tensorboardX.proto.event_pb2 import Event

from arena.config.schema import make_config, read_yaml
from arena.config.shipped import ROOT
from arena.loop import play
from arena.run.state import Arena
from arena.run.store import Store
from arena.watch.sinks.listener import Sinks, both
from arena.watch.sinks.registry import load_sinks
from arena.watch.sinks.scalars import scalars


class Stop(Exception):
    pass


def stop_after(generation: int, phase: str):
    def listen(event: str, data: dict[str, Any]) -> None:
        if (event, data["generation"], data["phase"]) == ("done", generation, phase):
            raise Stop

    return listen


def tiny(folder: Path, *overrides: str):
    return make_config(read_yaml("configs/tiny.yaml", "config"), [f"run.folder={folder}", *overrides])


def events(folder: Path) -> list[Event]:
    """All events of a TensorBoard folder, in the order of its files; each record is length, CRC, data, CRC."""
    found = []
    for file in sorted(folder.glob("events.out.tfevents.*")):
        data, at = file.read_bytes(), 0
        while at < len(data):
            length = int.from_bytes(data[at : at + 8], "little")
            found.append(Event.FromString(data[at + 12 : at + 12 + length]))
            at += 12 + length + 4
    return found


def points(folder: Path) -> list[tuple[str, int, float]]:
    return [
        (v.tag, e.step, v.simple_value) for e in events(folder) for v in e.summary.value if not v.HasField("tensor")
    ]


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with TensorBoard, stopped in the middle of a generation and resumed."""
    folder = tmp_path_factory.mktemp("sinks")
    warned: list[str] = []
    config = tiny(folder, "run.name=cut", "sinks=[tensorboard]")
    with Arena.create(config) as arena, Sinks(arena, warned.append) as sinks, pytest.raises(Stop):
        play(arena, both(sinks, stop_after(2, "solve")))
    with Arena.open(folder / "cut") as arena, Sinks(arena, warned.append) as sinks:
        play(arena, sinks)
    assert not warned
    return folder / "cut"


def test_sinks_do_not_change_the_digest(interrupted: Path, undisturbed: Path):
    """A run with sinks, interrupted or not, has the digest of one without."""
    assert Store(interrupted / "run.db").digest() == Store(undisturbed / "run.db").digest()


def test_each_figure_is_sent_once(interrupted: Path):
    """TensorBoard gets each figure once per generation, also after an interruption."""
    told = Counter((tag, step) for tag, step, _ in points(interrupted / "tensorboard"))
    assert set(told.values()) == {1}
    assert len(list((interrupted / "tensorboard").iterdir())) == 2
    steps = {tag: [s for t, s in told if t == tag] for tag, _ in told}
    assert steps["setting/proposed"] == steps["setting/learnable"] == steps["sleep/loss"] == [1, 2, 3]
    assert steps["heldout/list_programs/depth_3"] == [0, 1, 2, 3]
    assert steps["heldout_full/list_programs/depth_3"] == steps["pass_at_2/list_programs/depth_3"] == [0, 3]
    assert {"heldout/hidden_words/depth_1", "heldout/hidden_words/without_reading/depth_1"} <= set(steps)
    assert {"reward/setter", "reward/solver", "grading/agreement", "library/worked_example"} <= set(steps)


def test_tensorboard_matches_the_store(interrupted: Path):
    """TensorBoard holds the figures of the store."""
    store = Store(interrupted / "run.db")
    told = {(tag, step): value for tag, step, value in points(interrupted / "tensorboard")}
    assert told["compute/units", 3] == pytest.approx(store.compute())
    assert told["library/posts", 3] == store.query("SELECT COUNT(*) AS n FROM posts")[0]["n"]
    for g in (1, 2, 3):
        learnable = store.query("SELECT SUM(learnable) AS n FROM outcomes WHERE generation = ?", [g])[0]["n"]
        assert told["setting/learnable", g] == learnable
        tokens = "SELECT SUM(prompt_tokens + generated_tokens + trained_tokens) AS n FROM phases"
        n = store.query(f"{tokens} WHERE generation = ? AND phase != 'final'", [g])[0]["n"]
        speed = told["speed/tokens_per_second", g] * told["speed/seconds", g]
        assert speed == pytest.approx(n, rel=1e-5)  # of the whole generation, the one that was cut in two as well
    share = "SELECT AVG(correct) AS x FROM evaluations WHERE id LIKE 'g0003/during%' AND domain = 'list_programs'"
    assert told["heldout/list_programs/depth_5", 3] == pytest.approx(store.query(f"{share} AND depth = 5")[0]["x"])
    assert told["population/agents", 2] == told["population/agents", 0] == 3


def test_tensorboard_texts_are_fenced(interrupted: Path):
    """TensorBoard shows the config and text of agents as plain text."""
    shown = {
        v.tag: v.tensor.string_val[0].decode()
        for e in events(interrupted / "tensorboard")
        for v in e.summary.value
        if v.HasField("tensor")
    }
    assert "generations: 3" in shown["config/text_summary"]
    assert re.fullmatch(r"```text\n.* \| .*\nby \w+\n\n.*\n```", shown["example/text_summary"], flags=re.S)


def test_fence_in_agent_text_is_harmless(tmp_path: Path):
    """A code fence in text of an agent does not end the code block."""
    sink = load_sinks(["tensorboard"])["tensorboard"](tmp_path)
    sink.text(1, "example", "a\n```\n<script>alert(1)</script>\u202e")
    sink.close()
    (value,) = [v for e in events(tmp_path) for v in e.summary.value]
    assert value.tensor.string_val[0].decode() == "````text\na\n```\n<script>alert(1)</script>\\u202e\n````"


def test_event_files_do_not_overwrite(tmp_path: Path):
    """Two event files opened within one second do not overwrite each other."""
    for step in (1, 2, 3):
        sink = load_sinks(["tensorboard"])["tensorboard"](tmp_path)
        sink.scalars(step, {"x": step})
        sink.close()
    assert points(tmp_path) == [("x", 1, 1.0), ("x", 2, 2.0), ("x", 3, 3.0)]


def test_the_sink_of_the_documentation_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    page = (ROOT / "docs" / "sinks.md").read_text(encoding="utf-8")
    (source,) = re.findall(r"```python\n(.*?)```", page, flags=re.S)
    (tmp_path / "sink_of_the_docs.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    config = tiny(tmp_path, "sinks=[sink_of_the_docs:JsonLines]", "generations=1")
    with Arena.create(config) as arena, Sinks(arena, pytest.fail) as sinks:
        play(arena, sinks)
    written = (tmp_path / "tiny" / "sink_of_the_docs.JsonLines" / "scalars.jsonl").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in written.splitlines()]
    assert {line["generation"] for line in lines} == {0, 1}
    assert any("heldout/list_programs/mean_3_6" in line for line in lines)


@pytest.mark.parametrize("when", ["open", "scalars", "text", "close"])
def test_failing_sink_is_reported_once(when: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A sink that fails is reported once, and the run continues."""
    (tmp_path / "bad_sink.py").write_text(
        f"class Bad:\n    def __init__(self, folder): self.calls = 0; self.act('open')\n"
        f"    def act(self, what):\n        if what == {when!r}: raise OSError('no space left')\n"
        "    def scalars(self, g, values): self.act('scalars')\n    def text(self, g, name, text): self.act('text')\n"
        "    def close(self): self.act('close')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "bad_sink", raising=False)
    warned: list[str] = []
    config = tiny(tmp_path, "sinks=[bad_sink:Bad]", "generations=1")
    with Arena.create(config) as arena, Sinks(arena, warned.append) as sinks:
        play(arena, sinks)
        assert arena.store.query("SELECT COUNT(*) AS n FROM phases WHERE phase = 'final'")[0]["n"] == 1
    assert warned == ["the sink 'bad_sink.Bad' failed and is turned off: OSError: no space left"]


def test_unknown_sink_names_the_nearest(tmp_path: Path):
    """An unknown sink is refused; the error names the nearest known one."""
    with pytest.raises(ValueError, match="unknown sink 'tensorbord'; did you mean 'tensorboard'"):
        tiny(tmp_path, "sinks=[tensorbord]")


@pytest.mark.slow
def test_missing_package_is_named_early(tmp_path: Path):
    """A missing package is named before the run folder is made."""
    (tmp_path / "tensorboardX").mkdir()
    (tmp_path / "tensorboardX" / "__init__.py").write_text("raise ModuleNotFoundError(name='tensorboardX')\n")
    runs = tmp_path / "runs"
    command = [sys.executable, str(ROOT / "run_arena.py"), "run", "configs/tiny.yaml", f"run.folder={runs}"]
    done = subprocess.run(
        [*command, "sinks=[tensorboard]"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin"},
        timeout=120,
    )
    assert done.returncode == 2 and "pip install .[tensorboard]" in done.stderr, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1 and not runs.exists()


def test_figures_over_nothing_are_left_out(undisturbed: Path):
    store = Store(undisturbed / "run.db")
    nothing = {"problems": [], "guesses": [], "outcomes": [], "grades": [], "rewards": [], "sleeps": [], "posts": []}
    for phase in ("propose", "grade", "sleep"):
        done = {"phase": phase, "generation": 9, "records": nothing}
        assert set(scalars(store, done).values()) <= {0.0}
    assert "sleep/loss" not in scalars(store, {"phase": "sleep", "generation": 9, "records": nothing})


def test_no_generations_sends_figures_once(tmp_path: Path):
    """A run of no generations sends its measurement once."""
    with Arena.create(tiny(tmp_path, "sinks=[tensorboard]", "generations=0")) as arena, Sinks(arena, pytest.fail) as s:
        play(arena, s)
    told = Counter((tag, step) for tag, step, _ in points(tmp_path / "tiny" / "tensorboard"))
    assert set(told.values()) == {1} and ("heldout_full/list_programs/depth_3", 0) in told
