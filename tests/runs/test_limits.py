"""Whole runs that meet a limit: they stop there, say so, and go on as the same run; where it shows."""

from __future__ import annotations

import io
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

import agents.http_client as transport
from agents.checkpoint import BaseModel
from agents.tokenizer import Tokenizer
from arena.config.schema import PricesSection, load_config
from arena.experiments.cell import play_cell
from arena.loop import play
from arena.report.metrics.run_summary import analyze
from arena.report.sections import costs
from arena.report.source import Source
from arena.report.terminal import print_report
from arena.report.write import build_sections
from arena.run.budget import spent_so_far
from arena.run.estimate import estimate
from arena.run.state import Arena
from arena.run.store import Store
from arena.watch.commands import run_status
from arena.watch.history import History
from arena.watch.live import Progress
from arena.watch.queries import open_run, read_only
from arena.watch.render.top import top
from tests.helpers.openai_server import Json, Reply, SeedModel, Server

PRICES = {"prompt": 0.15, "generated": 0.60}
SMALL = ["generations=1", "rounds.per_agent=4", "rounds.max_tokens=32", "measure.passes=1", "measure.final_per_depth=1"]


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "FIRST_WAIT", 0.01)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


class Remembering:
    """The shipped model as a script; each answer is computed once."""

    def __init__(self, model: SeedModel) -> None:
        self.model, self.known = model, dict[int, Reply]()

    def __call__(self, path: str, body: Json, before: int) -> Reply:
        if path != "/v1/completions":
            return self.model(path, body, before)
        if body["seed"] not in self.known:
            self.known[body["seed"]] = self.model(path, body, before)
        return self.known[body["seed"]]


@pytest.fixture(scope="module")
def model(base: BaseModel, tokenizer: Tokenizer) -> Remembering:
    return Remembering(SeedModel(base, tokenizer))


@pytest.fixture(scope="module")
def host(model: Remembering) -> Iterator[Server]:
    """One server for all runs: where it is is part of what a run stores."""
    with Server(model) as server:
        yield server


@pytest.fixture(scope="module")
def calm(host: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run through a server that no limit stopped."""
    folder = tmp_path_factory.mktemp("served")
    with Arena.create(load_config("configs/tiny.yaml", given_to(folder, "calm", host))) as arena:
        assert play(arena)
    return folder / "calm"


@pytest.fixture
def server(host: Server, calm: Path, model: Remembering) -> Server:
    """That server, counting from nothing."""
    host.script = model
    for counter in (host.asked, host.served, host.usage):
        counter.clear()
    return host


def given_to(folder: Path, name: str, server: Server, *more: str) -> list[str]:
    to = [
        "engine.kind=openai",
        f"engine.openai.url={server.url}",
        "engine.openai.model=seed",
        "engine.openai.retries=1",
    ]
    return [f"run.folder={folder}", f"run.name={name}", *to, "engine.openai.concurrency=4", *SMALL, *more]


def start(folder: Path, server: Server, *more: str) -> Arena:
    return Arena.create(load_config("configs/tiny.yaml", given_to(folder, "limited", server, *more)))


def digest(folder: Path) -> str:
    return Store(folder / "run.db").digest()


# -- runs --------------------------------------------------------------------------------------------------------


def test_repeated_stops_repeat_no_request(calm: Path, server: Server, tmp_path: Path) -> None:
    whole = spent_so_far(Store(calm / "run.db"))
    step = whole.requests // 5 + 1
    folder = tmp_path / "limited"
    arena = start(tmp_path, server, f"limits.requests={step}")
    stops = 0
    while True:
        with arena:
            if play(arena):
                break
            assert arena.budget.stopped.startswith(f"limits.requests ({step * (stops + 1)}) is reached: ")
            stops += 1
            assert sum(server.served.values()) == arena.budget.spent.requests == step * stops
        if stops == 2:  # at its limit it says so and does nothing
            before = digest(folder)
            with Arena.open(folder) as arena:
                assert not play(arena) and "limits.requests" in arena.budget.stopped
            assert digest(folder) == before
        arena = Arena.open(folder, [f"limits.requests={step * (stops + 1)}"])
    assert stops == 4 and set(server.served.values()) == {1} and len(server.served) == whole.requests
    assert server.usage["prompt_tokens"] == whole.prompt and server.usage["completion_tokens"] == whole.generated
    assert digest(folder) == digest(calm)
    assert (folder / "journal.jsonl").read_bytes() == b""
    assert spent_so_far(Store(folder / "run.db")).requests == whole.requests
    assert load_config(folder / "config.yaml").limits.requests == step * 5
    with Arena.open(folder, ["limits.requests=1"]) as arena:
        assert play(arena)  # a finished run is finished, whatever it cost


@pytest.mark.parametrize("name", ["tokens", "money", "seconds"])
def test_each_limit_stops_and_the_run_resumes(name: str, calm: Path, server: Server, tmp_path: Path) -> None:
    whole = spent_so_far(Store(calm / "run.db"))
    prices = PricesSection.model_validate(PRICES)
    most = 0.05 if name == "seconds" else whole.of(name, prices) / 2
    more = [f"limits.{name}={int(most) if name == 'tokens' else most}", "limits.prices={prompt: 0.15, generated: 0.6}"]
    with start(tmp_path, server, *more) as arena:
        assert not play(arena) and arena.budget.stopped.startswith(f"limits.{name} (")
        assert most <= arena.budget.spent.of(name, prices)
        note = arena.store.query("SELECT note FROM control WHERE kind = 'limit' AND taken IS NULL")
        assert note == [{"note": arena.budget.stopped}]
    with Arena.open(tmp_path / "limited", [f"limits.{name}=null"]) as arena:
        assert play(arena) and not arena.store.query("SELECT * FROM control WHERE taken IS NULL")
    assert set(server.served.values()) == {1}
    assert digest(tmp_path / "limited") == digest(calm)


def test_an_engine_in_process_stops_between_phases(tmp_path: Path) -> None:
    given = [f"run.folder={tmp_path}", *SMALL]
    with Arena.create(load_config("configs/tiny.yaml", [*given, "run.name=calm"])) as arena:
        assert play(arena)
    with Arena.create(load_config("configs/tiny.yaml", [*given, "run.name=limited", "limits.requests=1"])) as arena:
        assert not play(arena)
        assert arena.store.finished() == {(0, "birth"), (0, "baseline")}
        assert not (tmp_path / "limited" / "journal.jsonl").exists()
    with Arena.open(tmp_path / "limited", ["limits.requests=null"]) as arena:
        assert play(arena)
    assert digest(tmp_path / "limited") == digest(tmp_path / "calm")


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("seed=3", "is 0 and cannot become 3, because it determines the hidden words and every sample"),
        ("rounds.temperature=0.1", "cannot become 0.1, because it determines what is recorded"),
        ("run.name=other", 'cannot become "other", because a run keeps its name'),
        ("engine.openai.modle=x", "unknown key 'engine.openai.modle'; did you mean 'model'?"),
        ("limits.mony=3", "unknown key 'limits.mony'; did you mean 'money'?"),
        ("limits.money=3", "limits.money is set, but limits.prices.prompt is missing"),
        ("limits.requests=none", "limits.requests"),
        ("limits.requests", "not of the form"),
    ],
)
def test_fixed_keys_are_refused_and_nothing_written(override: str, says: str, calm: Path) -> None:
    before = (calm / "config.yaml").read_bytes()
    with pytest.raises(ValueError) as error:
        Arena.open(calm, [override])
    assert says in str(error.value) and "\n" not in str(error.value)
    assert (calm / "config.yaml").read_bytes() == before


def test_run_may_move_to_another_server(calm: Path, model: Remembering, tmp_path: Path) -> None:
    folder = tmp_path / "moved"
    shutil.copytree(calm, folder)
    with Server(model) as server:
        given = [
            f"engine.openai.url={server.url}/",
            "engine.openai.concurrency=2",
            "limits.prices={prompt: 1, generated: 2}",
        ]
        with Arena.open(folder, given):
            pass
        config = load_config(folder / "config.yaml")
        assert config.engine.openai.url == server.url and config.engine.openai.concurrency == 2
        assert config.limits.prices.known and digest(folder) == digest(calm)
        with pytest.raises(OSError, match="no model server"):
            Arena.open(folder, ["engine.openai.url=http://127.0.0.1:9/v1"])
    assert load_config(folder / "config.yaml") == config  # where nothing is reached, nothing is written


@pytest.mark.slow
def test_sigkill_in_a_batch_loses_no_completion(calm: Path, server: Server, model: Remembering, tmp_path: Path) -> None:
    hangs = threading.Event()

    def script(path: str, body: Json, before: int) -> Reply:
        if "seed" in body and sum(server.served.values()) >= 40:
            hangs.set()
            time.sleep(60)
        return model(path, body, before)

    server.script, folder = script, tmp_path / "limited"
    environment = os.environ | {"NO_PROXY": "127.0.0.1"}
    command = [sys.executable, "run_arena.py", "run", "configs/tiny.yaml", *given_to(tmp_path, "limited", server)]
    process = subprocess.Popen([*command, "--quiet"], env=environment, stdout=subprocess.DEVNULL)
    assert hangs.wait(120)
    time.sleep(0.3)  # what was sent whole is written down by now
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    answered, server.script = set(server.served), model
    assert len(answered) >= 40
    command = [sys.executable, "run_arena.py", "resume", str(folder), "limits.requests=60"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    said = done.stdout.strip().splitlines()[-1]
    assert said.startswith("stopped: limits.requests (60) is reached: 60 requests and ")
    assert said.endswith(f"resume with: {sys.executable} run_arena.py resume {folder} limits.requests=120")
    assert len(server.served) == 60
    with Arena.open(folder, ["limits.requests=null"]) as arena:
        assert play(arena)
    assert answered < set(server.served) and set(server.served.values()) == {1}
    assert digest(folder) == digest(calm)


# -- where it shows ----------------------------------------------------------------------------------------------


def test_estimate_shows_price_and_limits(server: Server, tmp_path: Path) -> None:
    limits = ["limits.prices={prompt: 100, generated: 200}", "limits.requests=60", "limits.money=1000"]
    lines = estimate(load_config("configs/tiny.yaml", given_to(tmp_path, "x", server, *limits)))
    assert any(line.startswith("price: about ") and line.endswith(" USD if so") for line in lines)
    (requests,) = [line for line in lines if line.startswith("limits.requests (60)")]
    assert re.fullmatch(r".* would stop the run after \d\d% of it", requests)
    assert "limits.money (1000) is not met, by this estimate" in lines
    chat = ["prompts.style=chat", "engine.openai.api=chat"]
    told = estimate(load_config("configs/tiny.yaml", given_to(tmp_path, "x", server, *limits, *chat)))
    assert any(line.startswith("price: at most about ") for line in told)
    assert not server.asked


def test_spending_is_shown(calm: Path) -> None:
    config = load_config(calm / "config.yaml", ["limits.prices={prompt: 1000, generated: 2000, currency: EUR}"])
    store = Store(calm / "run.db")
    spent = spent_so_far(store)
    compute = analyze(store, config)["compute"]
    cost = (spent.prompt * 1000 + spent.generated * 2000) / 1e6
    assert compute["money"] == pytest.approx(cost) and compute["requests"] == spent.requests
    assert sum(row["money"] for row in compute["by_phase"]) == pytest.approx(cost)
    assert sum(row["tokens"] for row in compute["by_phase"]) == spent.tokens
    console = Console(file=io.StringIO(), width=100)
    source = Source(calm, store, config, analyze(store, config))
    print_report(console, source, build_sections(source, replay=False))
    said = console.file.getvalue()  # type: ignore[attr-defined]
    told = f"{spent.requests} requests, {cost:,.2f} EUR at the prices of the config"
    assert told in " ".join(said.split())
    (columns,) = [line.split() for line in said.splitlines() if line.split()[:2] == ["phase", "seconds"]]
    assert columns[-1] == "EUR"
    section = costs.section(source)
    assert section.tables[0].columns[-1] == "EUR" and "requests" in section.tables[0].columns
    assert analyze(store, load_config(calm / "config.yaml"))["compute"]["money"] is None
    shown = Progress(config, Console(file=io.StringIO()), store, spent=lambda: "spent 1.00/5 EUR")
    assert "spent 1.00/5 EUR" in shown.header().plain


def test_watcher_sees_the_limit(calm: Path, server: Server, tmp_path: Path) -> None:
    with start(tmp_path, server, "limits.requests=1") as arena:
        assert not play(arena)
    with read_only(tmp_path / "limited" / "run.db") as db:
        now = run_status(db, tmp_path / "limited")
        assert now.state == "idle" and now.limit is not None and now.limit.startswith("limits.requests (1) is reached")
        snapshot = History(open_run(tmp_path / "limited")).snapshot(db, None)
    assert f"stopped: {now.limit}" in top(snapshot, 0.0, 200, now.state, now.limit).plain


def test_experiment_cell_at_a_limit_is_unfinished(tmp_path: Path) -> None:
    config = load_config("configs/tiny.yaml", [f"run.folder={tmp_path}", *SMALL, "limits.requests=1"])
    spec = {"arm": "a", "seed": 0, "final": False, "config": config.model_dump(mode="json")}
    with pytest.raises(ValueError, match=r"tiny stopped before its end: limits\.requests \(1\) is reached"):
        play_cell(spec)
    assert not (tmp_path / "tiny" / "cell.json").exists()
