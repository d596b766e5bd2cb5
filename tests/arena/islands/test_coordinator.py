"""Several islands as one run: whoever dies, the records are those of the undisturbed one."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

import arena.islands.coordinator as federation
from arena.islands.coordinator import federate
from arena.islands.merge import Union
from arena.islands.replica import Replica
from arena.islands.workers import InlineWorkers, Lost
from arena.run.ledger import verify
from arena.run.store import Store
from tests.helpers.island_runs import Dead, Mortal, config_of, digest, play

TWO = ("cluster.islands=2", "cluster.every=1", "generations=3", "cluster.posts=24", "rounds.per_agent=6")


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two islands for three generations, with an exchange in the second."""
    folder = tmp_path_factory.mktemp("islands") / "calm"
    play(folder, *TWO)
    return folder


def store_of(folder: Path) -> Store:
    return Store(folder / "run.db")


@pytest.mark.slow
def test_one_island_is_the_run_in_process(undisturbed: Path, tmp_path: Path) -> None:
    from arena.config.schema import load_config

    folder = tmp_path / "one"
    config = load_config("configs/tiny.yaml", [f"run.folder={tmp_path}", "run.name=one", "cluster.address=inline"])
    assert federate(config, folder, InlineWorkers())
    assert digest(folder) == digest(undisturbed) == digest(folder / "islands" / "0")
    assert (folder / "adapters" / "g0003").is_dir()
    assert verify(store_of(folder)) == []


def test_combined_run_has_all_islands_rows(calm: Path) -> None:
    union = store_of(calm)
    islands = [store_of(calm / "islands" / str(i)) for i in range(2)]
    for table in (
        "rounds",
        "problems",
        "attempts",
        "outcomes",
        "agents",
        "evaluations",
        "reads",
        "sleeps",
        "migrations",
    ):
        count = f"SELECT COUNT(*) AS n FROM {table}"
        assert union.query(count)[0]["n"] == sum(s.query(count)[0]["n"] for s in islands), table
    posts = [{r["id"] for r in s.query("SELECT id FROM posts")} for s in islands]
    assert {r["id"] for r in union.query("SELECT id FROM posts")} == posts[0] | posts[1]
    tokens = "SELECT SUM(prompt_tokens + generated_tokens + trained_tokens) AS n FROM phases"
    assert union.query(tokens)[0]["n"] == sum(s.query(tokens)[0]["n"] for s in islands)
    assert [verify(s) for s in (union, *islands)] == [[], [], []]
    assert union.query("SELECT COUNT(*) AS n FROM island_heads")[0]["n"] == 2 * 4
    for row in union.query("SELECT path FROM checkpoints WHERE generation = 3"):
        assert (calm / row["path"]).exists()


def test_migrants_arrive_and_are_read(calm: Path) -> None:
    union = store_of(calm)
    assert not union.query("SELECT 1 FROM migrations WHERE NOT taken")
    for island in range(2):
        came = union.query("SELECT * FROM migrations WHERE direction = 'in' AND island = ?", [island])
        assert {r["kind"] for r in came} == {"post", "agent"} and {r["generation"] for r in came} == {2}
        assert {r["origin"] for r in came} == {1 - island}
        read = union.query(
            "SELECT r.phase, r.generation FROM reads r JOIN agents a ON a.name = r.agent"
            " JOIN migrations m ON m.subject = r.post WHERE a.number % 2 = ? AND m.direction = 'in' AND m.island = ?",
            [island, island],
        )
        assert {"sleep", "propose"} <= {r["phase"] for r in read}
        assert all(r["generation"] >= 2 + (r["phase"] != "sleep") for r in read)  # shown from the generation after


def test_migrant_newborn_speaks_as_its_parent(calm: Path) -> None:
    from safetensors.torch import load_file

    from agents.adapters import AdapterLayout, Adapters
    from agents.engine import Request
    from agents.engine_torch import TorchEngine
    from agents.untrusted_adapter import read_adapter
    from arena.config.schema import load_config
    from arena.run.state import load_base

    union, config = store_of(calm), load_config(calm / "config.yaml")
    moved = union.query("SELECT * FROM migrations WHERE kind = 'agent' AND direction = 'in' AND generation = 2")
    row = next(r for r in moved if r["island"] == 1)
    born = union.query("SELECT * FROM agents WHERE name = ?", [row["newborn"]])[0]
    assert (born["inherited"], json.loads(born["parents"]), born["born"]) == ("migration", [row["subject"]], 2)
    assert union.query("SELECT number FROM agents WHERE name = ?", [row["subject"]])[0]["number"] % 2 == 0
    base, tokenizer = load_base(config)
    layout = AdapterLayout(base.config, config.sleep.rank, config.sleep.alpha)
    found = store_of(calm / "islands" / "1").query("SELECT * FROM agents ORDER BY number")
    gone = {r["name"] for r in union.query("SELECT name FROM retirements WHERE generation <= 2")}
    names = [r["name"] for r in found if r["born"] <= 2 and r["name"] not in gone]
    # the state after the turnover of generation 2; and what the parent acted with after generation 1
    state = load_file(calm / "islands/1/adapters/g0002/born.safetensors")
    weights = state["acting"][names.index(row["newborn"])]
    parcel = Replica(calm / "islands" / "0", 0, 2).sent(1)
    assert parcel is not None
    parent = read_adapter(layout, next(a.adapter for a in parcel.agents if a.name == row["subject"]))
    assert (weights == parent).all() and weights.abs().sum() > 0
    engine = TorchEngine(base, tokenizer, 8)
    import torch

    engine.set_adapters(Adapters(base, layout, ["child", "parent"], torch.stack([weights, parent])))
    said = engine.generate([Request("k", "solve rev inc | 3 1 4 think", who, 40, 0.8) for who in ("child", "parent")])
    assert said[0].text == said[1].text and said[0].text
    spoke = "SELECT COUNT(*) AS n FROM attempts WHERE agent = ? AND generation = 3"
    assert union.query(spoke, [row["newborn"]])[0]["n"]


@pytest.mark.slow
def test_readers_accept_the_combined_run(calm: Path, tmp_path: Path) -> None:
    from arena.cli.app import app

    folder = tmp_path / "calm"
    shutil.copytree(calm, folder, symlinks=True)
    for command in (
        ["analyze", str(folder), "--no-plots"],
        ["library", str(folder), "verify"],
        ["library", str(folder), "search", "rev"],
        ["export", str(folder)],
        ["digest", str(folder)],
    ):
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 0, (command, done.output, done.exception)
    assert (folder / "export" / "adapters").is_dir()
    from arena.watch.queries import open_run

    assert open_run(folder)


@pytest.mark.slow
def test_lost_islands_change_nothing(calm: Path, tmp_path: Path) -> None:
    deaths = {(0, 0): "middle", (1, 1): "before", (0, 2): "after", (1, 3): "middle", (0, 4): "after"}
    workers = play(tmp_path / "stormy", *TWO, deaths=deaths)
    assert len(workers.died) == 5 and digest(tmp_path / "stormy") == digest(calm)
    assert verify(store_of(tmp_path / "stormy")) == []


@pytest.mark.slow
def test_coordinator_killed_at_every_step(calm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a result in hand, with files and no rows, between replica and union, inside the union's transaction."""
    died, folder = set[tuple[str, int, int]](), tmp_path / "headless"

    def once(where: str, island: int, generation: int) -> None:
        if (where, island, generation) not in died and generation in (0, 2):
            died.add((where, island, generation))
            raise Dead

    apply, write, mark, seal = Replica.apply, Union.write, federation.Replica._open, Union._merge_meta

    def applied(self: Replica, result) -> bool:
        once("result", self.index, result.generation)
        done = apply(self, result)
        once("replica", self.index, result.generation)
        return done

    def opened(self: Replica) -> Store:
        once("files", self.index, self.generation + 1)
        return mark(self)

    def merged(self: Union, rows) -> None:
        once("inside", 0, self.written + 1)
        seal(self, rows)

    def written(self: Union, generation: int, replicas):
        found = write(self, generation, replicas)
        once("union", 0, generation)
        return found

    monkeypatch.setattr(Replica, "apply", applied)
    monkeypatch.setattr(Replica, "_open", opened)
    monkeypatch.setattr(Union, "_merge_meta", merged)
    monkeypatch.setattr(Union, "write", written)
    workers = tmp_path / "workers"
    for _ in range(60):
        try:
            assert federate(config_of(folder, *TWO), folder, InlineWorkers(workers))
            break
        except Dead:
            continue
    assert {w for w, _, _ in died} == {"result", "files", "replica", "inside", "union"} and len(died) == 16
    assert digest(folder) == digest(calm) and verify(store_of(folder)) == []


@pytest.mark.slow
def test_island_lost_for_good_does_not_end_the_run(tmp_path: Path) -> None:
    folder, told = tmp_path / "poorer", list[tuple[str, int]]()
    config = config_of(folder, "cluster.islands=3", "cluster.every=1", "generations=3", "cluster.restarts=1")

    class Cursed(Mortal):
        def wait(self) -> tuple[int, bytes] | Lost:
            if self.queue[0][:2] == (1, 2):
                self.end(1)
                return Lost(1, "no such luck")
            return super().wait()

    def listen(event: str, data: dict) -> None:
        if event == "island":
            told.append((data["state"], data["island"]))

    assert federate(config, folder, Cursed({}), listen)
    assert told == [("lost", 1), ("started", 1), ("lost", 1), ("given up", 1)]
    union = store_of(folder)
    assert union.query("SELECT * FROM lost_islands") == [{"island": 1, "generation": 2, "reason": "no such luck"}]
    played = union.query(
        "SELECT DISTINCT a.number % 3 AS i, r.generation AS g FROM rounds r JOIN agents a ON a.name = r.author"
    )
    assert {(r["i"], r["g"]) for r in played} == {(i, g) for i in range(3) for g in (1, 2, 3) if (i, g) != (1, 2)} - {
        (1, 3)
    }
    assert verify(union) == [] and (3, "final") in union.finished()
    assert federate(config, folder, InlineWorkers())  # it is over, and stays so


@pytest.mark.slow
def test_compute_limit_is_independent_of_speed(tmp_path: Path) -> None:
    found = []
    for name, deaths in (("even", {}), ("odd", {(1, 1): "middle"})):
        play(tmp_path / name, *TWO, "limits.compute=14000", deaths=deaths)
        found.append(digest(tmp_path / name))
        finished = store_of(tmp_path / name).finished()
        assert (3, "measure") not in finished and any(phase == "final" for _, phase in finished)
    assert found[0] == found[1]


def test_no_island_left_is_one_line(tmp_path: Path) -> None:
    config = config_of(tmp_path / "none", "cluster.restarts=0")
    with pytest.raises(
        OSError, match="no island is left: island 0 was lost 1 times, at last: died before generation 0"
    ):
        federate(config, tmp_path / "none", Mortal({(0, 0): "before"}))


@pytest.mark.slow
def test_coordinator_applies_stop_and_limits(calm: Path, tmp_path: Path) -> None:
    folder = tmp_path / "stopped"
    asked = []

    def stop(event: str, data: dict) -> None:
        if event == "done" and data["phase"] == "measure" and data["generation"] == 1 and not asked:
            asked.append(1)
            store = store_of(folder)
            with store.transaction():
                store.insert({"control": [{"kind": "stop"}]})
            store.close()

    assert not federate(config_of(folder, *TWO), folder, InlineWorkers(), stop)
    assert 1 <= Union(folder, config_of(folder, *TWO), store_of(folder)).written <= 2
    limited = config_of(folder, *TWO, "limits.requests=1")
    told = []
    assert not federate(limited, folder, InlineWorkers(), lambda event, data: told.append(event))
    assert "limit" in told
    assert federate(config_of(folder, *TWO), folder, InlineWorkers())
    assert digest(folder) == digest(calm)


@pytest.mark.slow
def test_sigterm_stores_finished_generations(tmp_path: Path) -> None:
    """Exit status 0, and resumed it is the undisturbed run."""
    named = [
        f"run.folder={tmp_path}",
        "cluster.address=inline",
        "cluster.islands=2",
        "generations=2",
        "measure.passes=1",
    ]
    start = [sys.executable, "run_arena.py", "run", "configs/tiny.yaml", *named, "--quiet"]
    player = subprocess.Popen([*start, "run.name=left"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 120
    while not (tmp_path / "left" / "islands" / "0" / "run.db").exists():
        assert player.poll() is None and time.monotonic() < until
        time.sleep(0.05)
    player.send_signal(signal.SIGTERM)
    said, _ = player.communicate(timeout=120)
    assert player.returncode == 0 and "stopped by SIGTERM, all finished phases are stored" in said
    with closing(Store(tmp_path / "left" / "run.db")) as store:
        assert not any(phase == "final" for _, phase in store.finished())
    resumed = [sys.executable, "run_arena.py", "resume", str(tmp_path / "left"), "--quiet"]
    for command in (resumed, [*start, "run.name=calm"]):
        subprocess.run(command, check=True, capture_output=True, timeout=200)
    left, calm = (Store(tmp_path / name / "run.db").digest() for name in ("left", "calm"))
    assert left == calm
