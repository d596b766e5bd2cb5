"""Survival of all of culture at once: a run with every phase of it switched on, killed anywhere, is the undisturbed
one."""

from __future__ import annotations

from pathlib import Path

import pytest

from arena.loop import play
from arena.run.ledger import verify
from arena.run.state import Arena
from arena.run.store import Store
from tests.helpers.crashes import die_inside_every_transaction, play_through
from tests.helpers.culture_runs import EVERYTHING, begin

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run with everything switched on that nothing disturbed."""
    folder = tmp_path_factory.mktemp("everything")
    with begin(folder, "calm", *EVERYTHING) as arena:
        play(arena)
    return folder / "calm"


def digest(folder: Path) -> str:
    return Store(folder / "run.db").digest()


def count(folder: Path, sql: str) -> int:
    return int(Store(folder / "run.db").query(f"SELECT COUNT(*) AS n FROM {sql}")[0]["n"])


def test_every_enabled_phase_writes_rows(calm: Path) -> None:
    """Or the tests below hold nothing."""
    for kind in ("definition", "worked_example", "failure", "question", "review", "book"):
        assert count(calm, f"posts WHERE kind = '{kind}'"), kind
    for state in ("compiled", "forgotten"):
        assert count(calm, f"removals WHERE state = '{state}'"), state
    for table in ("withheld", "collapse", "knowledge WHERE recalled", "ratchet WHERE mind = 'schooled'"):
        assert count(calm, table), table
    assert count(calm, "agents WHERE inherited = 'both'") == 9
    assert count(calm, "checkpoints WHERE name = 'commons'") == 2
    assert count(calm, "retirements") == 9
    assert Store(calm / "run.db").query("SELECT DISTINCT generation AS g FROM ratchet WHERE mind = 'newborn'") == [
        {"g": g} for g in (2, 4, 6, 8)
    ]


def test_killed_inside_every_transaction(calm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So it is opened again after every phase, too."""
    died = die_inside_every_transaction(monkeypatch)
    found = play_through(begin(tmp_path, "dying", *EVERYTHING))
    assert len(died) == 2 + 8 * 8 + 1
    assert found == digest(calm)


def test_closed_and_opened_between_generations(calm: Path, tmp_path: Path) -> None:
    def stop(event: str, data: dict[str, object]) -> None:
        if event == "done" and data["phase"] == "read":
            arena.store.insert({"control": [{"kind": "stop"}]})

    arena = begin(tmp_path, "resting", *EVERYTHING)
    for _ in range(8):
        assert not play(arena, stop)
        arena.close()
        arena = Arena.open(tmp_path / "resting")
    assert play(arena)
    arena.close()
    assert digest(tmp_path / "resting") == digest(calm)


OTHERS = {
    "a ring that goes to school alone": (
        "library.network=ring", "turnover.policy=age", "turnover.inherit=library", "sleep.memory=replace",
        "library.forget=decay", "library.half_life=1", "library.lasts=2", "rounds.recall=true", "sleep.lore=8",
    ),
    "islands, one mean of all, and a school of the library": (
        "library.network=islands", "turnover.policy=age", "turnover.life=2", "turnover.inherit=weights",
        "turnover.crossing=average", "turnover.consolidate=2", "turnover.consolidate_from=library",
        "sleep.memory=budget", "sleep.memory_size=4", "library.forget=budget", "library.index=20",
    ),
    "tournaments without reading, in another world": (
        "library.reading=false", "library.content=another_world", "turnover.every=1", "turnover.inherit=both",
        "turnover.crossing=mutation", "rounds.recall=true", "sleep.lore=8", "rounds.guesser=program",
    ),
    "nobody learns": ("sleep.enabled=false", "turnover.policy=age", "turnover.inherit=both", "library.forget=books"),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_other_cultures_killed_in_transactions(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = ["generations=5", "domains.list_programs.share=0.5", "domains.hidden_words.share=0.5",
             "rounds.guesser=search", "library.withhold=0.3", *OTHERS[name]]  # fmt: skip
    with begin(tmp_path, "calm", *given) as arena:
        play(arena)
    die_inside_every_transaction(monkeypatch)
    found = play_through(begin(tmp_path, "dying", *given))
    assert found == digest(tmp_path / "calm")


def test_pruning_keeps_what_resuming_needs(calm: Path) -> None:
    """The adapter of each big sleep, and of the last two generations the learner's state after sleep and turnover."""
    held = {str(p.relative_to(calm / "adapters")) for p in (calm / "adapters").rglob("*.safetensors")}
    assert {p.split("/")[0] for p in held} == {"g0007", "g0008", "commons-g0003", "commons-g0006"}
    assert {"g0007/learner.safetensors", "g0008/learner.safetensors"} <= held


def test_library_and_log_verify(calm: Path) -> None:
    with Arena.open(calm) as arena:
        assert arena.state.library.verify() == []
        assert verify(arena.store) == []
        assert arena.store.query("SELECT * FROM refusals") == []  # what the arena writes itself is let in
