"""Limits of requests, tokens, money and time: where they stop a run, and that nothing paid for is lost."""

from __future__ import annotations

import io
import json
import math
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
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai_server import Json, Reply, SeedModel, Server, completion
from rich.console import Console

import agents.server as transport
from agents.checkpoint import BaseModel
from agents.engine import Completion, Halted, Request
from agents.engine_openai import OpenAIEngine, seed_of
from agents.engine_openai import Server as Settings
from agents.tokenizer import Tokenizer
from arena.budget import Budget, Spent, price, spent_so_far
from arena.config import LimitsSection, PricesSection, load_config, make_config
from arena.estimate import estimate
from arena.journal import Entry, Journal
from arena.loop import play
from arena.report.analysis import analyze
from arena.report.sections import costs
from arena.report.source import Source
from arena.report.tables import print_report
from arena.state import Arena
from arena.store import Store
from arena.watch.data import open_run, reading
from arena.watch.desk import standing
from arena.watch.history import History
from arena.watch.progress import Progress
from arena.watch.texts.top import top

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


def echo(path: str, body: dict[str, Any], before: int) -> Reply:
    return Reply(completion(body["prompt"])) if "prompt" in body and "seed" in body else Reply({}, 404)


def metered(server: Server, limits: dict[str, Any], journal: Journal | None = None, **settings: Any) -> OpenAIEngine:
    made = OpenAIEngine(Settings(**{"url": server.url, "model": "seed", "retries": 1, "concurrency": 4} | settings))
    budget = Budget(LimitsSection.model_validate(limits), journal=journal)
    budget.begin(1, "solve")
    made.set_meter(budget)
    return made


def requests(n: int) -> list[Request]:
    return [Request(f"key {i}", f"prompt {i}", None, 20) for i in range(n)]


# -- arithmetic --------------------------------------------------------------------------------------------------


def test_money_is_tokens_at_their_price_a_million() -> None:
    prices = PricesSection.model_validate(PRICES)
    assert price(prices, 6_000_000, 2_000_000) == pytest.approx(0.9 + 1.2)
    assert price(PricesSection(), 1, 1) is None
    limits = LimitsSection.model_validate({"money": 5, "prices": PRICES})
    budget = Budget(limits, Spent(1234, 7_000_000, 6_600_000, 61.0))
    assert budget.why() == ("limits.money (5 USD) is reached: 5.01 USD for 1,234 requests and 13.6 M tokens in 61 s")
    assert budget.higher() == "limits.money=10.02" and budget.line() == "spent 5.01/5 USD"
    both = Budget(LimitsSection(requests=1000, tokens=20_000_000, seconds=60), budget.stored)
    assert both.why().startswith("limits.requests (1,000) and limits.seconds (60 s) are reached: 1,234 requests and")
    assert both.higher() == "limits.requests=2468 limits.seconds=122"


@given(
    st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), max_size=60),
    st.sampled_from(["requests", "tokens", "money"]),
    st.integers(1, 20_000),
)
def test_a_meter_admits_until_a_limit_is_met_and_no_longer(costs: list[tuple[int, int]], name: str, most: int) -> None:
    limit = most / 1e6 if name == "money" else most
    budget = Budget(LimitsSection.model_validate({name: limit, "prices": {"prompt": 1, "generated": 2}}))
    made = 0
    for prompt, generated in costs:
        if not budget.admits(0):
            break
        made += 1
        budget.keep("", Completion(str(made), "", "stop", prompt, generated, 0.0))
    taken = costs[:made]
    weights = {"requests": (0, 0), "tokens": (1, 1), "money": (1, 2)}[name]
    used = [
        made if name == "requests" else sum(p * weights[0] + g * weights[1] for p, g in taken[:n])
        for n in range(made + 1)
    ]
    assert budget.spent == Spent(made, sum(p for p, _ in taken), sum(g for _, g in taken))
    if name != "requests":
        assert all(u < most for u in used[:-1])
    assert made == len(costs) or used[-1] >= most
    assert bool(budget.reached()) == (used[-1] >= most)


def test_time_runs_while_a_phase_is_played_and_what_was_interrupted_counts() -> None:
    now = [100.0]
    budget = Budget(LimitsSection(seconds=10), Spent(seconds=3), clock=lambda: now[0])
    now[0] = 200.0
    assert budget.admits(0) and budget.seconds_left() == 7  # nothing is played
    budget.begin(1, "read")
    now[0] = 204.0
    assert budget.interrupt() == 4.0 and budget.seconds_left() == 3
    budget.begin(1, "read")
    now[0] = 207.0
    assert budget.reached() == ["seconds"] and not budget.admits(0) and budget.seconds_left() == 0
    budget.end({"requests": 2, "prompt_tokens": 3, "generated_tokens": 4}, 3.0)
    assert budget.spent == Spent(2, 3, 4, 10.0)
    with pytest.raises(Halted, match=r"limits\.seconds \(10 s\) is reached: 2 requests and 7 tokens in 10 s"):
        budget.check()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["limits.money=5"], "limits.money is set, but limits.prices.prompt is missing"),
        (["limits.prices.generated=5"], "limits.prices.prompt is missing, the price of a million prompt tokens"),
        (["limits.prices={prompt: 1}"], "limits.prices.generated is missing"),
        (["limits.request=5"], "unknown key 'limits.request'; did you mean 'requests'?"),
        (["limits.prices.promt=5"], "unknown key 'limits.prices.promt'; did you mean 'prompt'?"),
        (["limits.requests=0"], "limits.requests"),
        (["limits.prices.prompt=-1"], "limits.prices.prompt"),
    ],
)
def test_a_wrong_limit_is_named(given: list[str], says: str) -> None:
    with pytest.raises(ValueError) as error:
        make_config({}, given)
    assert says in str(error.value) and "\n" not in str(error.value)


# -- a batch -----------------------------------------------------------------------------------------------------


def test_no_more_requests_are_sent_than_may_be() -> None:
    with Server(echo) as server:
        made = metered(server, {"requests": 10})
        with pytest.raises(Halted, match=r"limits\.requests \(10\) is reached: 10 requests and 80 tokens"):
            made.generate(requests(30))
        assert sum(server.served.values()) == 10
        with pytest.raises(Halted):
            made.generate([Request("other", "p")])
        assert sum(server.served.values()) == 10
        exact = metered(server, {"requests": 10})
        assert len(exact.generate(requests(10))) == 10  # the last one is not one too many


@pytest.mark.parametrize("limits", [{"tokens": 40}, {"money": 40 / 1e6, "prices": {"prompt": 1, "generated": 1}}])
def test_a_limit_is_passed_by_what_is_under_way_at_most(limits: dict[str, Any]) -> None:
    with Server(lambda p, b, n: Reply(echo(p, b, n).body, delay=0.02)) as server:
        with pytest.raises(Halted, match=r"is reached"):
            metered(server, limits).generate(requests(40))
        assert 5 <= sum(server.served.values()) <= 5 + 3  # 8 tokens each; 4 at a time


def test_a_limit_of_time_waits_for_what_is_under_way_and_for_no_further_try() -> None:
    def script(path: str, body: dict[str, Any], before: int) -> Reply:
        if body.get("prompt") == "prompt 0":
            return Reply({}, 503, {"retry-after": "30"})
        return Reply(echo(path, body, before).body, delay=0.1)

    with Server(script) as server:
        began = time.monotonic()
        with pytest.raises(Halted, match=r"limits\.seconds \(0\.3 s\) is reached"):
            metered(server, {"seconds": 0.3}).generate(requests(100))
        assert time.monotonic() - began < 5
        assert server.asked[seed_of("key 0")] == 1


def test_what_is_under_way_when_a_request_fails_is_kept(tmp_path: Path) -> None:
    def script(path: str, body: dict[str, Any], before: int) -> Reply:
        if body.get("prompt") == "prompt 0":
            return Reply({"error": {"message": "too long"}}, 400)
        return Reply(echo(path, body, before).body, delay=0.2)

    with Server(script) as server:
        made = metered(server, {}, Journal(tmp_path / "journal.jsonl"))
        with pytest.raises(ValueError, match="too long"):
            made.generate(requests(20))
        assert sum(server.served.values()) == 3
    assert len(Journal(tmp_path / "journal.jsonl").entries) == 3


# -- the journal -------------------------------------------------------------------------------------------------


def entry(i: int, phase: str = "solve", logprob: float = math.nan) -> Entry:
    return Entry(1, phase, f"d{i}", Completion(f"k{i}", f"text\u2028{i}\n\N{SNOWMAN}", "stop", i, 2 * i, logprob))


def test_a_journal_gives_back_what_it_was_given_for_the_same_key_and_digest(tmp_path: Path) -> None:
    file = tmp_path / "journal.jsonl"
    first = Journal(file)
    for e in (entry(1), entry(2, logprob=-0.1 - 0.2), entry(3, "propose")):
        first.keep(e)
    again = Journal(file, {(1, "propose")})
    assert again.found("k2", "d2") == entry(2, logprob=-0.1 - 0.2).completion
    found = again.found("k1", "d1")
    assert found is not None and found.text == entry(1).completion.text and math.isnan(found.logprob)
    assert again.found("k1", "other") is None and again.found("k3", "d3") is None  # another prompt; counted elsewhere


def test_a_line_cut_short_is_dropped_and_another_damaged_one_is_named(tmp_path: Path) -> None:
    file = tmp_path / "journal.jsonl"
    lines = [entry(i).to_line() for i in range(3)]
    for cut in (lines[2][:-1], lines[2][:30], "{", "\x00\x00"):
        file.write_text("".join(lines[:2]) + cut)
        journal = Journal(file)
        assert {k for k, _ in journal.entries} >= {"k0", "k1"}
        journal.keep(entry(7))
        assert {k for k, _ in Journal(file).entries} == {k for k, _ in journal.entries}
    for bad in ("{}", "[]", "nonsense", lines[2].replace('"d2"', "7"), lines[2].replace(": 2,", ": -2,")):
        file.write_text(lines[0] + bad.strip() + "\n" + lines[1])
        with pytest.raises(ValueError, match=r"journal\.jsonl, line 2 holds no completion") as error:
            Journal(file)
        assert "\n" not in str(error.value)


def test_what_was_paid_for_and_not_used_still_counts(tmp_path: Path) -> None:
    file = tmp_path / "journal.jsonl"
    first = Journal(file)
    for i in (1, 2):
        first.keep(entry(i))
    budget = Budget(LimitsSection(requests=5), journal=Journal(file))
    assert budget.spent == Spent(2, 3, 6)
    budget.begin(1, "solve")
    assert budget.found("k1", "d1")
    budget.keep("d9", entry(9).completion)
    budget.end({"requests": 2, "prompt_tokens": 10, "generated_tokens": 20}, 0.0)
    assert budget.spent == Spent(3, 12, 24)
    assert Budget(LimitsSection(), Spent(2, 10, 20), Journal(file)).spent == Spent(3, 12, 24)


# -- runs --------------------------------------------------------------------------------------------------------


def test_a_run_stopped_again_and_again_is_the_same_run_and_asks_for_nothing_twice(
    calm: Path, server: Server, tmp_path: Path
) -> None:
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
def test_each_limit_stops_a_run_which_goes_on_as_the_same_run(
    name: str, calm: Path, server: Server, tmp_path: Path
) -> None:
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
        ("seed=3", "seed cannot be changed in a run that has begun: it would not go on as it began"),
        ("engine.openai.modle=x", "engine.openai.modle cannot be changed"),
        ("limits.mony=3", "did you mean 'limits.money'?"),
        ("limits.money=3", "limits.money is set, but limits.prices.prompt is missing"),
        ("limits.requests=none", "limits.requests"),
        ("limits.requests", "not of the form"),
    ],
)
def test_what_may_not_change_is_told_and_nothing_is_written(override: str, says: str, calm: Path) -> None:
    before = (calm / "config.yaml").read_bytes()
    with pytest.raises(ValueError) as error:
        Arena.open(calm, [override])
    assert says in str(error.value) and "\n" not in str(error.value)
    assert (calm / "config.yaml").read_bytes() == before


def test_a_run_follows_its_server_and_keeps_what_it_was_told(calm: Path, model: Remembering, tmp_path: Path) -> None:
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
def test_kill_nine_in_the_middle_of_a_batch_loses_no_paid_completion(
    calm: Path, server: Server, model: Remembering, tmp_path: Path
) -> None:
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
    assert said.endswith(f"go on with: python run_arena.py resume {folder} limits.requests=120")
    assert len(server.served) == 60
    with Arena.open(folder, ["limits.requests=null"]) as arena:
        assert play(arena)
    assert answered < set(server.served) and set(server.served.values()) == {1}
    assert digest(folder) == digest(calm)


def test_lines_of_the_journal_are_plain_json(tmp_path: Path) -> None:
    row = json.loads(entry(1).to_line())
    assert set(row) == {
        "generation",
        "phase",
        "digest",
        "key",
        "text",
        "finish",
        "prompt_tokens",
        "generated_tokens",
        "logprob",
    }


# -- where it shows ----------------------------------------------------------------------------------------------


def test_an_estimate_tells_the_price_and_which_limits_will_be_met(server: Server, tmp_path: Path) -> None:
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


def test_what_was_spent_is_on_the_lines_and_in_the_report(calm: Path) -> None:
    config = load_config(calm / "config.yaml", ["limits.prices={prompt: 1000, generated: 2000, currency: EUR}"])
    store = Store(calm / "run.db")
    spent = spent_so_far(store)
    compute = analyze(store, config)["compute"]
    cost = (spent.prompt * 1000 + spent.generated * 2000) / 1e6
    assert compute["money"] == pytest.approx(cost) and compute["requests"] == spent.requests
    assert sum(row["money"] for row in compute["by_phase"]) == pytest.approx(cost)
    assert sum(row["tokens"] for row in compute["by_phase"]) == spent.tokens
    console = Console(file=io.StringIO(), width=100)
    print_report(console, analyze(store, config))
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert f"{spent.requests} requests, {cost:,.2f} EUR at the prices of the config" in said and "by phase" in said
    section = costs.section(Source(calm, store, config, analyze(store, config)))
    assert section.tables[0].columns[-1] == "EUR" and "requests" in section.tables[0].columns
    assert analyze(store, load_config(calm / "config.yaml"))["compute"]["money"] is None
    shown = Progress(config, Console(file=io.StringIO()), spent=lambda: "spent 1.00/5 EUR")
    assert "spent 1.00/5 EUR" in shown.header().plain


def test_who_watches_is_told_at_which_limit_a_run_stopped(calm: Path, server: Server, tmp_path: Path) -> None:
    with start(tmp_path, server, "limits.requests=1") as arena:
        assert not play(arena)
    with reading(tmp_path / "limited" / "run.db") as db:
        now = standing(db, tmp_path / "limited")
        assert now.state == "idle" and now.limit is not None and now.limit.startswith("limits.requests (1) is reached")
        snapshot = History(open_run(tmp_path / "limited")).snapshot(db, None)
    assert f"stopped: {now.limit}" in top(snapshot, 0.0, 200, now.state, now.limit).plain
