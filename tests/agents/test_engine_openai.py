"""The engine for OpenAI-compatible servers, against a real server on loopback that misbehaves as servers do."""

from __future__ import annotations

import asyncio
import math
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import agents.http_client as transport
from agents.engine import Request
from agents.engine_openai import OpenAIEngine, estimate_tokens, seed_of
from agents.engine_openai import Server as Settings
from tests.helpers.openai_server import Reply, Script, Server, completion


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "FIRST_WAIT", 0.01)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def engine(server: Server, **settings: Any) -> OpenAIEngine:
    return OpenAIEngine(Settings(**{"url": server.url, "model": "seed", **settings}))


def requests(n: int, prompt: str = "solve {} think") -> list[Request]:
    return [Request(f"key {i}", prompt.format(i), "an agent", 20, 0.8, 0.9) for i in range(n)]


def echo(path: str, body: dict[str, Any], before: int) -> Reply:
    """Answers with the prompt, so that a mixed-up order shows."""
    if path == "/tokenize":
        return Reply({"error": {"message": "Not Found"}}, 404)
    if path == "/v1/chat/completions":
        text = body["messages"][-1]["content"]
        usage = {"prompt_tokens": 7, "completion_tokens": 2}
        return Reply({"choices": [{"message": {"content": text}, "finish_reason": "stop"}], "usage": usage})
    return Reply(completion(body["prompt"]))


def at_first(bad: Callable[[int], Reply], times: int = 1) -> Script:
    """Bad replies to the first tries of each request, then good ones."""
    return lambda path, body, before: bad(before) if before < times else echo(path, body, before)


def test_completions_in_order_with_request_fields() -> None:
    """Completions come back in order; the body asks for what was requested."""
    with Server(echo) as server:
        asked = [*requests(50), Request("greedy", "g", None, 9, 0.0, 1.0, ("x", ";"), 2)]
        done = engine(server).generate(asked)
    assert [c.key for c in done] == [r.key for r in asked]
    assert [c.text for c in done] == [r.prompt for r in asked]
    assert all((c.prompt_tokens, c.generated_tokens, c.finish) == (5, 3, "stop") for c in done)
    assert all(math.isnan(c.logprob) for c in done)
    bodies = {b["prompt"]: b for b in server.bodies if b}
    assert bodies["solve 7 think"] == {
        "model": "seed",
        "prompt": "solve 7 think",
        "max_tokens": 20,
        "temperature": 0.8,
        "top_p": 0.9,
        "seed": seed_of("key 7"),
    }
    assert bodies["g"]["temperature"] == 0.0 and bodies["g"]["stop"] == ["x", ";"] and bodies["g"]["min_tokens"] == 2


def test_seeds_depend_on_the_key_alone_and_fit_31_bits() -> None:
    assert seed_of("0/g0001r0000/solve/solver_0/0") == 1723377482
    assert len({seed_of(str(i)) for i in range(1000)}) == 1000
    assert all(0 <= seed_of(str(i)) < 2**31 for i in range(1000))


def test_chat_sends_one_user_message() -> None:
    with Server(echo) as server:
        done = engine(server, api="chat").generate(requests(3))
    assert [c.text for c in done] == ["solve 0 think", "solve 1 think", "solve 2 think"]
    assert server.bodies[-1]["messages"][0]["role"] == "user" and "prompt" not in server.bodies[-1]


def test_extra_fields_are_added_and_null_takes_one_out() -> None:
    with Server(echo) as server:
        engine(server, extra={"top_k": 40, "seed": None}).generate(requests(1))
    assert server.bodies[-1]["top_k"] == 40 and "seed" not in server.bodies[-1]


def test_log_probabilities() -> None:
    """They are requested, summed, and nan where the server gives none."""

    def reply(path: str, body: dict[str, Any], before: int) -> Reply:
        if path == "/v1/chat/completions":
            content = [{"token": "a", "logprob": -1.0}, {"token": "b", "logprob": -2.5}]
            return Reply({"choices": [{"message": {"content": "a b"}, "logprobs": {"content": content}}], "usage": {}})
        found = completion("a b")
        values = {"0": [-0.25, -0.5], "1": [None, -0.5], "2": []}[body["prompt"]]
        found["choices"][0]["logprobs"] = {"token_logprobs": values}
        return Reply(found)

    with Server(reply) as server:
        done = engine(server, logprobs=True).generate(requests(3, "{}"))
        assert done[0].logprob == -0.75 and math.isnan(done[1].logprob) and math.isnan(done[2].logprob)
        assert server.bodies[-1]["logprobs"] == 1
        assert engine(server, logprobs=True, api="chat", tokenize=False).generate(requests(1))[0].logprob == -3.5
        assert server.bodies[-1]["logprobs"] is True


def test_an_unknown_log_probability_is_stored_as_null() -> None:
    assert sqlite3.connect(":memory:").execute("SELECT ? IS NULL", [math.nan]).fetchone() == (1,)


BAD: dict[str, Callable[[int], Reply]] = {
    "status 500": lambda n: Reply({"error": {"message": "oops"}}, 500),
    "status 503 without a body": lambda n: Reply(b"", 503),
    "too many requests": lambda n: Reply({"error": "slow down"}, 429, {"retry-after": "0.02"}),
    "a Retry-After that is none": lambda n: Reply({}, 429, {"retry-after": "soon"}),
    "a Retry-After in the past": lambda n: Reply({}, 429, {"retry-after": "-3"}),
    "a connection cut in the body": lambda n: Reply(completion("half of an answer"), cut=30),
    "a connection cut before the body": lambda n: Reply(completion("half of an answer"), cut=0),
    "an answer that is no JSON": lambda n: Reply(b"<html>proxy</html>"),
    "an answer that is no text": lambda n: Reply(b"\xff\xfe\xff"),
    "an answer nested without end": lambda n: Reply(b"[" * 200_000),
    "an empty answer": lambda n: Reply(b""),
    "a list": lambda n: Reply([1, 2]),
    "no choices": lambda n: Reply({"usage": {}}),
    "an empty list of choices": lambda n: Reply({"choices": []}),
    "a choice of another kind": lambda n: Reply({"choices": ["text"]}),
    "no text": lambda n: Reply({"choices": [{"finish_reason": "stop"}]}),
    "a text that is a number": lambda n: Reply({"choices": [{"text": 7}]}),
}
LATE: dict[str, Callable[[int], Reply]] = {
    "an answer too late": lambda n: Reply(completion("late"), delay=0.6),
    "an answer that trickles in": lambda n: Reply(completion("slow"), trickle=0.05),
}


def asked_until_good(bad: Callable[[int], Reply], timeout_s: float) -> set[int]:
    """How often each of eight requests was sent, two bad answers first; each completion comes once."""
    with Server(at_first(bad, 2)) as server:
        done = engine(server, timeout_s=timeout_s, concurrency=4).generate(requests(8))
    assert [c.text for c in done] == [f"solve {i} think" for i in range(8)]
    assert sum(c.generated_tokens for c in done) == 8 * 3
    return {server.asked[seed_of(f"key {i}")] for i in range(8)}


@pytest.mark.parametrize("bad", BAD.values(), ids=list(BAD))
def test_temporary_failures_are_retried(bad: Callable[[int], Reply]) -> None:
    assert asked_until_good(bad, 60) == {3}


@pytest.mark.parametrize("bad", LATE.values(), ids=list(LATE))
def test_late_answers_are_retried(bad: Callable[[int], Reply]) -> None:
    """On a busy machine good answers can be late too, and are requested again."""
    assert min(asked_until_good(bad, 0.3)) >= 3


def test_mixed_failures_lose_nothing() -> None:
    """Many kinds of failures at once lose no completion and count none twice."""
    kinds = list(BAD.values())

    def script(path: str, body: dict[str, Any], before: int) -> Reply:
        trouble = (body["seed"] >> 3) % 4  # so many bad tries, then a good one
        return kinds[(body["seed"] + before) % len(kinds)](before) if before < trouble else echo(path, body, before)

    with Server(script) as server:
        done = engine(server, concurrency=16).generate(requests(200))
    seeds = [seed_of(f"key {i}") for i in range(200)]
    assert [c.text for c in done] == [f"solve {i} think" for i in range(200)]
    assert [server.asked[s] for s in seeds] == [1 + (s >> 3) % 4 for s in seeds]
    assert server.served == dict.fromkeys(seeds, 1)
    assert sum(c.prompt_tokens for c in done) == server.usage["prompt_tokens"] == 200 * 5


def test_no_more_requests_are_under_way_than_allowed() -> None:
    with Server(lambda p, b, n: Reply(completion("x"), delay=0.05)) as server:
        engine(server, concurrency=5).generate(requests(30))
    assert 1 < server.most_at_once <= 5


def test_retry_after_pauses_all_requests() -> None:
    arrivals: list[float] = []

    def slow(body: dict[str, Any]) -> Reply:
        return Reply(completion(body["prompt"]), delay=0.1)

    def script(path: str, body: dict[str, Any], before: int) -> Reply:
        arrivals.append(time.monotonic())
        return Reply({}, 429, {"retry-after": "0.4"}) if len(arrivals) == 1 else slow(body)

    with Server(script) as server:
        engine(server, concurrency=1).generate(requests(3))
        assert arrivals[1] - arrivals[0] >= 0.4
        arrivals.clear()
        engine(server, concurrency=2).generate(requests(20))
        assert sum(t - arrivals[0] < 0.4 for t in arrivals) <= 3  # what was under way when the server said stop


def test_retry_after_date_uses_server_clock() -> None:
    dates = {"date": "Mon, 01 Jan 2001 00:00:00 GMT", "retry-after": "Mon, 01 Jan 2001 00:00:01 GMT"}

    class Response:
        headers = dates

    assert transport._retry_after(Response()) == 1.0  # type: ignore[arg-type]
    for other in ("", "Mon, 01 Jan 2001", "nan", "999999999999999999999 GMT", "Mon, 99 Foo 2001 00:00:01 GMT"):
        dates["retry-after"] = other
        assert transport._retry_after(Response()) is None  # type: ignore[arg-type]


def test_a_retry_after_of_hours_ends_the_run_at_once() -> None:
    says = r"/v1/completions asks to wait 7,200 s: status 429"
    with Server(lambda p, b, n: Reply({}, 429, {"retry-after": "7200"})) as server, pytest.raises(OSError, match=says):
        engine(server).generate(requests(1))


def test_failing_server_ends_the_batch() -> None:
    """A server that keeps failing ends the batch with one line that says how many completions there are."""

    def script(path: str, body: dict[str, Any], before: int) -> Reply:
        return Reply({"error": {"message": "out of\nmemory"}}, 500) if body["prompt"] == "5" else echo(path, body, 0)

    with Server(script) as server, pytest.raises(OSError) as error:
        engine(server, retries=2, concurrency=1).generate(requests(9, "{}"))
    assert str(error.value).startswith(
        f"{server.url}/completions failed 3 times, at last with status 500 (out of memory)"
    )
    assert "5 of this batch's 9 completions" in str(error.value) and "\n" not in str(error.value)
    assert server.asked[seed_of("key 5")] == 3 and server.asked[seed_of("key 6")] == 0


def test_waits_grow_and_their_jitter_is_the_key_s_own(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    real = asyncio.sleep

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        await real(0)

    monkeypatch.setattr(transport, "FIRST_WAIT", 0.5)
    with Server(lambda p, b, n: Reply({}, 500)) as server:
        made = engine(server, retries=9)
        monkeypatch.setattr(transport.asyncio, "sleep", sleep)
        for key in ("a", "a", "b"):
            with pytest.raises(OSError):
                made.generate([Request(key, "p")])
    first, again, other = waits[:9], waits[9:18], waits[18:]
    assert first == again != other
    for number, wait in enumerate(first):
        middle = min(0.5 * 2**number, transport.LONGEST_WAIT)
        assert 0.5 * middle <= wait < 1.5 * middle


@pytest.mark.parametrize(
    ("status", "headers", "says"),
    [
        (400, {}, r"answers status 400 \(no such thing\) \[request 'key 0', a prompt of 13 letters\]"),
        (401, {}, r"status 401 .* api_key_env names the environment variable"),
        (403, {}, "api_key_env"),
        (404, {}, r"is the url right \(most end in /v1\), and the model's name\?"),
        (307, {"location": "http://elsewhere/v1"}, "it has moved to http://elsewhere/v1"),
        (422, {}, "status 422"),
    ],
)
def test_what_will_not_pass_is_not_tried_again(status: int, headers: dict[str, str], says: str) -> None:
    reply = Reply({"error": {"message": "no such thing"}}, status, headers)
    with Server(lambda p, b, n: reply) as server, pytest.raises(ValueError, match=says):
        engine(server).generate(requests(1))
    assert server.asked[seed_of("key 0")] == 1


def test_a_server_that_is_not_there_is_named_soon() -> None:
    with Server(echo) as server:
        pass
    with pytest.raises(OSError, match=rf"no model server to be reached: {server.url}/models failed .* running"):
        engine(server)


def test_unknown_model_names_the_nearest() -> None:
    with Server(echo, models=("qwen3-8b", "llama-3-8b")) as server:
        with pytest.raises(ValueError, match=r"/v1 serves no model 'qwen-8b'; did you mean 'qwen3-8b'\?"):
            engine(server, model="qwen-8b")
        with pytest.raises(ValueError, match="it serves qwen3-8b, llama-3-8b"):
            engine(server, model="zzz")


@pytest.mark.parametrize(("reply", "says"), [(Reply({}, 404), "most end in /v1"), (Reply({}, 401), "valid key")])
def test_the_first_look_at_a_server_says_what_to_mend(reply: Reply, says: str) -> None:
    with Server(lambda p, b, n: reply, models=()) as server, pytest.raises(ValueError, match=says):
        engine(server)


def test_key_from_environment_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key is read from the environment, sent, and never printed."""
    monkeypatch.setenv("SOME_KEY", "s3cret\n")
    with Server(lambda p, b, n: Reply({"error": {"message": "bad key s3cret given"}}, 401)) as server:
        made = engine(server, api_key_env="SOME_KEY")
        with pytest.raises(ValueError, match=r"bad key \*\*\* given") as error:
            made.generate(requests(1))
    assert server.headers[-1]["authorization"] == "Bearer s3cret"
    assert "s3cret" not in str(error.value) and "s3cret" not in repr(made.endpoint) + repr(made.server)
    with Server(echo) as server:
        engine(server).generate(requests(1))
        assert "authorization" not in server.headers[-1]
        for value, says in (("", "SOME_KEY is not set"), ("clé\x07", "SOME_KEY holds no printable key")):
            monkeypatch.setenv("SOME_KEY", value)
            with pytest.raises(ValueError, match=says):
                engine(server, api_key_env="SOME_KEY")


def test_missing_usage_is_counted_or_estimated() -> None:
    """Without `usage`, tokens are counted with /tokenize or estimated."""

    def without(path: str, body: dict[str, Any], before: int) -> Reply:
        if path == "/tokenize":
            return Reply({"count": 100 + len(body["prompt"])})
        return Reply({"choices": [{"text": "a b c"}], "usage": {"prompt_tokens": "many", "completion_tokens": -1}})

    with Server(without) as server:
        done = engine(server).generate([Request("k", "four words are here", max_tokens=200)])[0]
        assert (done.prompt_tokens, done.generated_tokens, done.finish) == (119, 105, "stop")
        done = engine(server, tokenize=False).generate([Request("k", "four words are here", max_tokens=3)])[0]
        assert (done.prompt_tokens, done.generated_tokens, done.finish) == (5, 3, "length")
    assert [estimate_tokens(t) for t in ("", "3 1 4", "internationalisation", "\ud800")] == [0, 3, 5, 1]


def test_tokens_counted_once_or_estimated() -> None:
    """The server counts the tokens of each text once; without /tokenize they are estimated."""
    with Server(lambda p, b, n: Reply({"count": 42, "tokens": []})) as server:
        made = engine(server)
        assert [made.count_tokens("w1 rev inc") for _ in range(3)] == [42] * 3
        assert server.paths["/tokenize"] == 1
        assert server.bodies[-1] == {"model": "seed", "prompt": "w1 rev inc", "add_special_tokens": False}
    for reply in (Reply({}, 404), Reply({"tokens": [1]}), Reply({"count": -1}), Reply({"count": True}), Reply([])):
        with Server(lambda p, b, n, reply=reply: reply) as server:
            made = engine(server)
            assert [made.count_tokens(t) for t in ("w1 rev inc", "w2 rev inc")] == [3, 3]
            assert server.paths["/tokenize"] == 1  # asked once, then known


def test_hostile_texts_are_data() -> None:
    texts = ["", " a \n", "\ud800 lone", "nul \x00", "🦜" * 5]
    with Server(lambda p, b, n: Reply(completion(texts[int(b["prompt"])], finish="content_filter"))) as server:
        done = engine(server).generate(requests(len(texts), "{}"))
    assert [c.text for c in done] == ["", "a", "? lone", "nul \x00", "🦜" * 5]
    assert {c.finish for c in done} == {"stop"}
    for c in done:
        c.text.encode()  # can be stored


def test_a_stop_string_that_a_server_leaves_in_is_cut() -> None:
    with Server(lambda p, b, n: Reply(completion("one ; two # three"))) as server:
        stops = ("%", "&", "@", "!", ";")  # the API takes four
        assert engine(server).generate([Request("k", "p", stop=stops)])[0].text == "one"
    assert server.bodies[-1]["stop"] == ["%", "&", "@", "!"]


def test_a_chat_without_content_is_an_empty_text() -> None:
    reply = Reply({"choices": [{"message": {"content": None}, "finish_reason": "length"}], "usage": {}})
    with Server(lambda p, b, n: reply) as server:
        done = engine(server, api="chat", tokenize=False).generate(requests(1))[0]
    assert (done.text, done.finish, done.generated_tokens) == ("", "length", 0)


def test_it_works_inside_a_running_event_loop() -> None:
    async def notebook() -> list[str]:
        with Server(echo) as server:
            return [c.text for c in engine(server).generate(requests(2))]

    assert asyncio.run(notebook()) == ["solve 0 think", "solve 1 think"]


def test_no_requests_are_no_calls(tmp_path: Path) -> None:
    with Server(echo) as server:
        made = engine(server)
        assert made.generate([]) == [] and server.paths.total() == 1
