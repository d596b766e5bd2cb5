"""Limits of requests, tokens, money and time: arithmetic, where a batch stops, and the journal of completions."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import agents.http_client as transport
from agents.engine import Completion, Halted, Request
from agents.engine_openai import OpenAIEngine, seed_of
from agents.engine_openai import Server as Settings
from arena.config.schema import LimitsSection, PricesSection, make_config
from arena.run.budget import Budget, Spent, price
from arena.run.journal import Entry, Journal
from tests.helpers.openai_server import Reply, Server, completion

PRICES = {"prompt": 0.15, "generated": 0.60}


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "FIRST_WAIT", 0.01)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


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


def test_money_is_tokens_times_price() -> None:
    prices = PricesSection.model_validate(PRICES)
    assert price(prices, 6_000_000, 2_000_000) == pytest.approx(0.9 + 1.2)
    assert price(PricesSection(), 1, 1) is None
    limits = LimitsSection.model_validate({"money": 5, "prices": PRICES})
    budget = Budget(limits, Spent(1234, 7_000_000, 6_600_000, 61.0))
    assert budget.why() == ("limits.money (5 USD) is reached: 5.01 USD for 1,234 requests and 13.6 M tokens in 61 s")
    assert budget.raised_limits() == "limits.money=10.02" and budget.status() == "spent 5.01/5 USD"
    both = Budget(LimitsSection(requests=1000, tokens=20_000_000, seconds=60), budget.stored)
    assert both.why().startswith("limits.requests (1,000) and limits.seconds (60 s) are reached: 1,234 requests and")
    assert both.raised_limits() == "limits.requests=2468 limits.seconds=122"


@given(
    st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), max_size=60),
    st.sampled_from(["requests", "tokens", "money"]),
    st.integers(1, 20_000),
)
def test_requests_are_admitted_up_to_the_limit(costs: list[tuple[int, int]], name: str, most: int) -> None:
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


def test_time_counts_during_phases_only() -> None:
    """Interrupted phases count too."""
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
def test_invalid_limits_are_named(given: list[str], says: str) -> None:
    with pytest.raises(ValueError) as error:
        make_config({}, given)
    assert says in str(error.value) and "\n" not in str(error.value)


# -- a batch -----------------------------------------------------------------------------------------------------


def test_request_limit_is_exact() -> None:
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
def test_limit_overshoot_is_bounded(limits: dict[str, Any]) -> None:
    """A limit is exceeded by the requests in flight at most."""
    with Server(lambda p, b, n: Reply(echo(p, b, n).body, delay=0.02)) as server:
        with pytest.raises(Halted, match=r"is reached"):
            metered(server, limits).generate(requests(40))
        assert 5 <= sum(server.served.values()) <= 5 + 3  # 8 tokens each; 4 at a time


def test_time_limit_stops_retries() -> None:
    """Requests in flight are waited for; none is tried again."""

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


def test_requests_in_flight_survive_a_failure(tmp_path: Path) -> None:
    """When one request fails, the completions of the others are kept."""

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


def test_journal_matches_key_and_digest(tmp_path: Path) -> None:
    file = tmp_path / "journal.jsonl"
    first = Journal(file)
    for e in (entry(1), entry(2, logprob=-0.1 - 0.2), entry(3, "propose")):
        first.keep(e)
    again = Journal(file, {(1, "propose")})
    assert again.found("k2", "d2") == entry(2, logprob=-0.1 - 0.2).completion
    found = again.found("k1", "d1")
    assert found is not None and found.text == entry(1).completion.text and math.isnan(found.logprob)
    assert again.found("k1", "other") is None and again.found("k3", "d3") is None  # another prompt; counted elsewhere


def test_damaged_journal_lines(tmp_path: Path) -> None:
    """An incomplete last line is dropped; any other damaged line is an error that names it."""
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


def test_unused_completions_still_count(tmp_path: Path) -> None:
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


def test_journal_lines_are_plain_json(tmp_path: Path) -> None:
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
