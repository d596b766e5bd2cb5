"""Runs without some of their adapters: each command says what is missing, and refuses what needs it."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from arena.config.schema import load_config
from arena.evals.participants import select_participants
from arena.evals.play.run_agents import open_agents
from arena.export.adapters import chosen, write_adapters
from arena.export.library.cli import Asked, library
from arena.loop import play
from arena.report.metrics.run_summary import analyze
from arena.report.sections import provenance, tournament
from arena.report.source import Source
from arena.run.adapters import FILES, StoredAdapters, kept_generations, missing_states, stored_adapters
from arena.run.retention import prune_folder
from arena.run.state import Arena
from arena.run.store import Store


@pytest.fixture
def run(undisturbed: Path, tmp_path: Path) -> Path:
    """A copy of configs/tiny.yaml after three generations; retention has removed the adapters of the first."""
    return Path(shutil.copytree(undisturbed, tmp_path / "run"))


def stored(run: Path) -> StoredAdapters:
    return stored_adapters(run, Store(run / "run.db"), load_config(run / "config.yaml"))


def verify(run: Path) -> tuple[int, str]:
    """Exit status and output of `library RUN verify`."""
    console = Console(file=io.StringIO(), width=200)
    status = library("verify", Asked(run, Store(run / "run.db"), load_config(run / "config.yaml"), ""), console)
    return status, console.file.getvalue()  # type: ignore[attr-defined]


def damage(run: Path, what: str) -> None:
    """Remove all adapters, those of the last generation, or one file of the first agent of it; or make it a pointer."""
    agent = run / stored(run).recorded[3][0]["path"]
    if what in ("all", "last"):
        shutil.rmtree(run / "adapters" / ("" if what == "all" else "g0003"))
    elif what == "pointer":
        (agent / FILES[1]).write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n")
    elif what == "changed":
        (agent / FILES[1]).write_bytes(b"x")
    else:
        (agent / what).unlink()


def test_whole_run_lacks_nothing(run: Path) -> None:
    found = stored(run)
    assert set(found.recorded) == {1, 2, 3} and found.kept == {2, 3} == set(found.there)
    assert not found.missing and not found.lost() and not missing_states(run, Store(run / "run.db"))
    with pytest.raises(ValueError, match=r"retention removed adapters/g0001/.*; there are those of generation 2, 3$"):
        found.check(found.find(1))
    with pytest.raises(ValueError, match=r"no adapters of generation 9 .*wrote none then; there are those of"):
        found.find(9)


CASES = [
    ("all", r"3 files are missing \(adapters/g0003/.*: copy .* there are none"),
    ("last", r"3 files are missing \(adapters/g0003/.*: copy .* there are those of generation 2"),
    (FILES[0], r"1 file is missing \(adapters/g0003/[a-z]+\): copy .* there are those of generation 2"),
    (FILES[1], r"1 file is missing \(adapters/g0003/[a-z]+\): copy .* there are those of generation 2"),
    ("pointer", r"adapter_model.safetensors is a Git LFS pointer"),
    ("changed", r"adapter_model.safetensors is not what the run wrote"),
]


@pytest.mark.parametrize(("what", "says"), CASES)
def test_what_needs_adapters_is_refused(run: Path, what: str, says: str) -> None:
    damage(run, what)
    store, config = Store(run / "run.db"), load_config(run / "config.yaml")
    for which in ("latest", "3", "all"):
        with pytest.raises(ValueError, match=says if which != "all" or what in ("pointer", "changed") else "missing"):
            write_adapters(chosen(store, config, run, which), run, run.parent / which, lambda done, total: None)
    with pytest.raises(ValueError, match=says):
        select_participants(store, config, run, "all", None, library=False)
    with pytest.raises(ValueError, match=says):
        open_agents(run, store, config, 3, None)


@pytest.mark.parametrize("what", ["all", "last", FILES[0], FILES[1], "pointer", "changed"])
def test_verify_and_report_say_it(run: Path, what: str) -> None:
    damage(run, what)
    store, config = Store(run / "run.db"), load_config(run / "config.yaml")
    status, out = verify(run)
    assert status == 2 and ("do not have the SHA-256" if what in ("pointer", "changed") else "missing") in out
    if what in ("pointer", "changed"):
        return
    sentence = stored(run).lost()
    source = Source(run, store, config, analyze(store, config))
    for section in (provenance, tournament):
        text = " ".join(section.section(source).missing)
        assert sentence[1:] in text, section


def test_what_does_not_need_them_goes_on(run: Path) -> None:
    damage(run, "last")
    store, config = Store(run / "run.db"), load_config(run / "config.yaml")
    assert select_participants(store, config, run, "all", 2, library=False).generation == 2
    assert {r["generation"] for r in chosen(store, config, run, "2")} == {2}
    one = stored(run).recorded[2][0]
    (run / one["path"] / FILES[1]).unlink()
    found = select_participants(store, config, run, stored(run).recorded[2][1]["name"], 2, False)
    assert any("adapters are missing: 1 of 3 of generation 2, 3 of 3 of generation 3" in text for text in found.said)


def test_verify_notes_what_resuming_needs(run: Path) -> None:
    (run / "adapters" / "g0003" / "learner.safetensors").unlink()
    status, out = verify(run)
    assert status == 0 and "note     adapters/g0003/learner.safetensors is missing; to resume" in out


def test_resume_names_the_missing_state(run: Path) -> None:
    shutil.rmtree(run / "adapters")
    with pytest.raises(ValueError, match=r"cannot go on, because adapters/g0003/learner.safetensors is missing: copy"):
        Arena.open(run, ["generations=4"])
    with Store(run / "run.db").transaction():
        pass  # the refused extension left no lock
    assert (3, "final") in Store(run / "run.db").finished()


def test_untrained_run_lacks_nothing(tmp_path: Path) -> None:
    given = [f"run.folder={tmp_path}", "generations=1", "sleep.enabled=false", "measure.final_per_depth=1"]
    with Arena.create(load_config("configs/tiny.yaml", given)) as arena:
        assert play(arena)
        found = stored_adapters(arena.folder, arena.store, arena.config)
        assert (found.recorded, found.find(), found.missing, found.lost()) == ({}, [], [], "")
        selection = select_participants(arena.store, arena.config, arena.folder, "best", None, library=False)
        assert [p.group for p in selection.players] == ["model"]
    assert verify(tmp_path / "tiny")[0] == 0


def test_kept_generations_are_what_pruning_leaves(tmp_path: Path) -> None:
    for every, most in ((10, 0), (3, 2), (0, 0), (1, 4), (2, 1)):
        store = load_config("configs/tiny.yaml", [f"store.adapters={every}", f"store.most_adapters={most}"]).store
        folder = tmp_path / f"{every}-{most}"
        for g in range(1, 31):
            (folder / "adapters" / f"g{g:04d}").mkdir(parents=True)
            prune_folder(folder, g, store)
            left = {int(p.name[1:]) for p in (folder / "adapters").iterdir()}
            assert left == kept_generations(g, [(0, every)], [(0, most)]), (every, most, g)


def test_changed_retention_is_remembered(run: Path) -> None:
    """A run that kept fewer adapters before is not said to have lost them."""
    assert play_on(run, "store.adapters=0", "generations=4")
    assert play_on(run, "store.adapters=1", "generations=5")
    found = stored(run)
    assert found.kept == {3, 4, 5} == set(found.there) and not found.missing
    assert verify(run)[0] == 0
    shutil.rmtree(run / "adapters" / "g0003")
    assert "3 of 3 of generation 3; there are those of generation 4, 5" in stored(run).lost()


def play_on(run: Path, *overrides: str) -> bool:
    with Arena.open(run, overrides) as arena:
        return play(arena)
