"""Whole runs without learning: through a server that holds the shipped model, and in process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import agents.http_client as transport
from agents.checkpoint import BaseModel
from agents.tokenizer import Tokenizer
from arena.config.schema import Config, load_config, make_config, notices
from arena.loop import play
from arena.report.metrics.run_summary import analyze
from arena.run.state import Arena
from arena.run.store import Store
from tests.helpers.crashes import Crash
from tests.helpers.openai_server import Json, Reply, SeedModel, Server

TINY = ["generations=2", "turnover.every=1", "rounds.max_tokens=48", "measure.passes=1", "measure.final_per_depth=2"]


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "FIRST_WAIT", 0.01)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture(scope="module")
def model(base: BaseModel, tokenizer: Tokenizer) -> SeedModel:
    return SeedModel(base, tokenizer)


def overrides(folder: Path, name: str, server: Server) -> list[str]:
    to = [
        "engine.kind=openai",
        f"engine.openai.url={server.url}",
        "engine.openai.model=seed",
        "engine.openai.retries=2",
    ]
    return [f"run.folder={folder}", f"run.name={name}", *to, *TINY]


def served(folder: Path, name: str, server: Server) -> Config:
    return load_config("configs/tiny.yaml", overrides(folder, name, server))


def digest(folder: Path) -> str:
    return Store(folder / "run.db").digest()


def elsewhere(config: Path, url: str) -> None:
    """The server has moved."""
    config.write_text("\n".join(f"    url: {url}" if " url: " in x else x for x in config.read_text().splitlines()))


@pytest.mark.slow
def test_server_run_is_complete_and_counted_once(model: SeedModel, tmp_path: Path) -> None:
    with Server(model) as server, Arena.create(served(tmp_path, "calm", server)) as arena:
        play(arena)
        store, found = arena.store, analyze(arena.store, arena.config)
        assert arena.models.learner is None and not (tmp_path / "calm" / "adapters").exists()
        counted = store.query("SELECT SUM(prompt_tokens) AS p, SUM(generated_tokens) AS g FROM phases")
        assert counted == [{"p": server.usage["prompt_tokens"], "g": server.usage["completion_tokens"]}]
        assert set(server.served.values()) == {1} and len(server.served) > 250
        assert store.query("SELECT COUNT(*) AS n FROM attempts WHERE logprob IS NOT NULL") == [{"n": 0}]
        assert store.query("SELECT COUNT(*) AS n FROM attempts WHERE correct")[0]["n"] > 0
        assert store.query("SELECT COUNT(*) AS n FROM posts")[0]["n"] > 0
        born = store.query("SELECT inherited FROM agents WHERE born > 0")
        assert born == [{"inherited": "nothing"}] and found["finished"]
        kept = {"engine": "openai", "base model": "seed", "base": server.url}
        assert kept.items() <= store.meta().items()

        halting = served(tmp_path, "halting", server)
        stops = 0

        def crash_after_one_phase(event: str, data: dict[str, object]) -> None:
            nonlocal stops
            if event == "done":
                stops += 1
                raise Crash

        other = Arena.create(halting)
        while True:
            try:
                play(other, crash_after_one_phase)
                break
            except Crash:
                other.close()
                other = Arena.open(tmp_path / "halting")
        other.close()
        assert stops == 2 + 8 * 2 + 1
        assert digest(tmp_path / "halting") == digest(tmp_path / "calm")
        with Server(model) as moved, Server(model, models=("another",)) as wrong:
            elsewhere(tmp_path / "halting" / "config.yaml", moved.url)
            with Arena.open(tmp_path / "halting") as other:
                play(other)
            elsewhere(tmp_path / "halting" / "config.yaml", wrong.url)
            with pytest.raises(ValueError, match="serves no model 'seed'; it serves another") as refused:
                Arena.open(tmp_path / "halting")
            elsewhere(tmp_path / "halting" / "config.yaml", server.url)
            Arena.open(tmp_path / "halting").close()  # not left locked, though the error is still held
            del refused
        assert digest(tmp_path / "halting") == digest(tmp_path / "calm")


@pytest.mark.slow
def test_run_resumes_after_a_server_failure(model: SeedModel, tmp_path: Path) -> None:
    asked, healthy = 0, False

    def dies(path: str, body: Json, before: int) -> Reply:
        nonlocal asked
        asked += 1
        if asked > 250 and not healthy:
            return Reply({"error": {"message": "out of memory"}}, 500)
        return model(path, body, before)

    with Server(dies) as server:
        with Arena.create(served(tmp_path, "broken", server)) as arena:
            says = r"failed 3 times, at last with status 500 \(out of memory\); \d+ of this batch's \d+ completions"
            with pytest.raises(OSError, match=says):
                play(arena)
            finished = arena.store.finished()
            assert (0, "baseline") in finished and (0, "final") not in finished
        healthy = True
        with Arena.open(tmp_path / "broken") as arena:
            play(arena)
        with Arena.create(served(tmp_path, "calm", server)) as arena:
            play(arena)
    assert digest(tmp_path / "broken") == digest(tmp_path / "calm")


@pytest.mark.slow
def test_sigkill_in_a_batch_loses_nothing(model: SeedModel, tmp_path: Path) -> None:
    with Server(model) as server:
        environment = os.environ | {"NO_PROXY": "127.0.0.1"}
        arguments = ["configs/tiny.yaml", *overrides(tmp_path, "killed", server), "--quiet"]
        process = subprocess.Popen([sys.executable, "run_arena.py", "run", *arguments], env=environment)
        before = 0
        for stop_after in (60, 150):
            until = time.monotonic() + 120
            while server.paths["/v1/completions"] - before < stop_after:
                assert time.monotonic() < until and process.poll() is None
                time.sleep(0.01)
            os.kill(process.pid, signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
            before = server.paths["/v1/completions"]
            command = [sys.executable, "run_arena.py", "resume", str(tmp_path / "killed"), "--quiet"]
            process = subprocess.Popen(command, env=environment)
        assert process.wait(timeout=240) == 0
        with Arena.create(served(tmp_path, "calm", server)) as arena:
            play(arena)
    assert digest(tmp_path / "killed") == digest(tmp_path / "calm")


@pytest.mark.slow
def test_the_command_line_says_that_nothing_is_learned(tmp_path: Path) -> None:
    with Server(lambda p, b, n: Reply({}, 404)) as server:
        command = [sys.executable, "run_arena.py", "run", "configs/tiny.yaml", *overrides(tmp_path, "x", server)]
        dry = subprocess.run([*command, "--dry-run"], capture_output=True, text=True)
        assert dry.returncode == 0 and "enabled: false" in dry.stdout
        assert "# note: sleep.enabled is false (a server's model cannot be trained)" in dry.stdout
        assert "requests, about" in dry.stdout and not server.paths  # nothing is asked of a server that may cost money
    gone = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"NO_PROXY": "127.0.0.1"})
    assert gone.returncode == 2 and len(gone.stderr.strip().splitlines()) == 1
    assert server.url in gone.stderr and "is it running" in gone.stderr and not any(tmp_path.iterdir())


def test_remote_model_disables_training() -> None:
    server = {"kind": "openai", "openai": {"model": "m"}}
    config = make_config({"engine": server, "sleep": {"rank": 4}})
    assert not config.sleep.enabled and config.sleep.rank == 4
    assert "sleep.enabled" in notices(config)[0] and "turnover.inherit" in notices(config)[1]
    assert len(notices(make_config({"engine": server}, ["turnover.every=0"]))) == 1
    assert notices(make_config({})) == [] and make_config({}).sleep.enabled
    for on in ("true", "yes", "1"):
        with pytest.raises(ValueError, match=r"sleep\.enabled is true, but engine\.kind is openai"):
            make_config({"engine": server}, [f"sleep.enabled={on}"])


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ('engine.openai.model=""', "needs engine.openai.model"),
        ("engine.openai.modl=x", "unknown key 'engine.openai.modl'; did you mean 'model'?"),
        ("engine.openai.url=localhost:8000", "engine.openai.url: 'localhost:8000' is none, expected"),
        ("engine.openai.url=http://me:pw@localhost/v1", "no user, password"),
        ("engine.openai.url=http://localhost/v1?key=s", "no user, password"),
        ("engine.openai.api_key_env=sk-123", "engine.openai.api_key_env: expected the name of an environment variable"),
        ("engine.openai.api=chats", "did you mean 'chat'"),
        ("engine.openai.extra={stream: true}", "stream cannot be set here"),
        ("engine.openai.concurrency=0", "engine.openai.concurrency"),
    ],
)
def test_a_wrong_option_of_the_server_is_named(override: str, says: str) -> None:
    with pytest.raises(ValueError) as error:
        load_config("configs/openai.yaml", [override])
    assert says in str(error.value) and "\n" not in str(error.value)
    assert "sk-123" not in str(error.value) and "pw" not in str(error.value)  # a key in the wrong place is not repeated


def test_no_sleep_uses_the_base_model(tmp_path: Path) -> None:
    def config(name: str) -> Config:
        return load_config(
            "configs/tiny.yaml", [f"run.folder={tmp_path}", f"run.name={name}", "sleep.enabled=false", *TINY]
        )

    with Arena.create(config("calm")) as arena:
        play(arena)
        assert arena.models.learner is None and not (tmp_path / "calm" / "adapters").exists()
        assert not arena.store.query("SELECT * FROM sleeps") and not arena.store.query("SELECT * FROM checkpoints")
        assert analyze(arena.store, arena.config)["finished"]
        sql = (
            "SELECT problem, correct FROM evaluations WHERE mode = 'full' AND reading IS NULL AND id LIKE ? ORDER BY id"
        )
        ends = [arena.store.query(sql, [f"%/{place}/%"]) for place in ("before", "after")]
        assert ends[0] == ends[1]
    assert notices(config("x"))[0].startswith("sleep.enabled is false (as configured)")
    with pytest.raises(Crash):
        crash_in_generation_two(Arena.create(config("halting")))
    with Arena.open(tmp_path / "halting") as arena:
        play(arena)
    assert digest(tmp_path / "halting") == digest(tmp_path / "calm")


def crash_in_generation_two(arena: Arena) -> None:
    def crash(event: str, data: dict[str, object]) -> None:
        if event == "phase" and (data["generation"], data["phase"]) == (2, "turnover"):
            raise Crash

    with arena:
        play(arena, crash)
