"""Errors of a model server, a proxy or the certificates: one line that names the cause, and nothing stored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import agents.http_client as transport
from agents.engine import Request
from agents.engine_openai import OpenAIEngine
from agents.engine_openai import Server as Settings
from agents.server_answer import PageError, describe_page, find_error, load_json, nearest_url
from tests.helpers.openai_server import Reply, Server, completion

PAGE = b"<!DOCTYPE html>\n<html><head><title>Open\n WebUI</title></head></html>"
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "FIRST_WAIT", 0.01)
    for name in (*PROXIES, "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def engine(server: Server, **settings: Any) -> OpenAIEngine:
    return OpenAIEngine(Settings(**{"url": server.url, "model": "seed", "retries": 2, "tokenize": False, **settings}))


def ask(server: Server, **settings: Any) -> Any:
    return engine(server, **settings).generate([Request("key", "solve 3 1 4", "an agent", 20)])[0]


LASTING: dict[str, tuple[Any, str]] = {
    "openrouter": ({"error": {"message": "Insufficient credits", "code": 402}}, "Insufficient credits"),
    "no code": ({"error": {"message": "Insufficient credits"}}, "Insufficient credits"),
    "beside empty choices": ({"choices": [], "error": {"message": "Insufficient credits"}}, "Insufficient credits"),
    "a text": ({"error": "model 'x' not found"}, "model 'x' not found"),
    "a list around it": ([{"error": {"code": 400, "message": "API key not valid"}}], "API key not valid"),
    "old vllm": ({"object": "error", "message": "too long", "type": "BadRequestError", "code": 400}, "too long"),
    "fastapi": ({"detail": "Not authenticated"}, "Not authenticated"),
    "cloudflare": ({"success": False, "errors": [{"code": 10000, "message": "No route"}]}, "No route"),
    "quota": ({"error": {"code": 429, "type": "insufficient_quota", "message": "Pay"}}, "Pay"),
    "two lines": ({"error": {"message": "a\nb\x1b[31m"}}, r"a b \[31m"),
    "of a choice": ({"choices": [{"text": "", "error": {"code": 403, "message": "Moderated"}}]}, "Moderated"),
    "nothing but a code": ({"error": {"code": 400}}, "'code': 400"),
}


@pytest.mark.parametrize(("answer", "says"), LASTING.values(), ids=list(LASTING))
def test_error_with_status_200_is_reported_at_once(answer: Any, says: str) -> None:
    with Server(lambda p, b, n: Reply(answer)) as server:
        with pytest.raises(ValueError, match=rf"/completions answers status 200 and an error \(.*{says}") as error:
            ask(server)
        assert server.paths["/v1/completions"] == 1 and "\n" not in str(error.value)


PASSING: dict[str, Any] = {
    "overloaded": {"error": {"message": "The engine is currently overloaded, please try again later"}},
    "rate limit by type": {"error": {"message": "slow down", "type": "rate_limit_error"}},
    "code 429": {"error": {"message": "no", "code": 429}},
    "code as text": {"error": {"message": "no", "code": "503"}},
    "code 502": {"error": {"message": "Provider returned error", "code": 502}},
    "timeout": {"error": {"message": "Request timed out."}},
    "model is loading": {"error": "model is loading"},
    "a choice that failed": {"choices": [{"text": "half", "finish_reason": "error"}]},
    "a choice with its error": {"choices": [{"text": "", "finish_reason": "error", "error": {"message": "lost"}}]},
    "aborted": {"choices": [{"text": "half of", "finish_reason": "abort"}]},
    "rate limit of MiniMax": {"base_resp": {"status_code": 1002, "status_msg": "rate limit exceeded"}, "choices": None},
    "no resources": {"choices": [{"text": "", "finish_reason": "insufficient_system_resource"}]},
}


@pytest.mark.parametrize("answer", PASSING.values(), ids=list(PASSING))
def test_error_that_may_pass_is_retried(answer: Any) -> None:
    with Server(lambda p, b, n: Reply(answer if n < 2 else completion("4 1 3"))) as server:
        assert ask(server).text == "4 1 3" and server.paths["/v1/completions"] == 3
    with Server(lambda p, b, n: Reply(answer)) as server:
        with pytest.raises(OSError, match=r"failed 3 times, at last with status 200 and an error \(\w.*\)") as error:
            ask(server)
        assert "choices" not in str(error.value)


def test_failed_chat_is_not_an_empty_answer() -> None:
    choice = {"message": {"role": "assistant", "content": ""}, "finish_reason": "error", "native_finish_reason": "x"}
    says = r"finish_reason 'error'"
    with Server(lambda p, b, n: Reply({"choices": [choice]})) as server, pytest.raises(OSError, match=says):
        ask(server, api="chat")


def test_used_up_quota_is_not_retried_with_status_429() -> None:
    answer = {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}
    with Server(lambda p, b, n: Reply(answer, 429)) as server:
        with pytest.raises(ValueError, match=r"status 429 \(You exceeded your current quota\)"):
            ask(server)
        assert server.paths["/v1/completions"] == 1


def test_field_refused_with_status_200_is_left_out() -> None:
    from agents.prompt import Chat

    def script(path: str, body: dict[str, Any], before: int) -> Reply:
        if "chat_template_kwargs" in body:
            return Reply({"error": {"message": "unknown field chat_template_kwargs", "code": 400}})
        return Reply({"choices": [{"message": {"content": "4"}}]})

    with Server(script) as server:
        done = engine(server, api="chat").generate([Request("key", Chat("", "3 + 1?"), None, 20)])
    assert done[0].text == "4"


def test_good_answers_hold_no_error() -> None:
    for answer in (
        completion("x"),
        completion("x") | {"error": None},
        {"data": []},
        {"count": 3},
        {"usage": {}},
        [],
        3,
    ):
        assert find_error(answer) is None
    assert find_error(completion("x") | {"message": "hello"}) is None


def test_key_is_hidden_in_an_error_with_status_200(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", "s3cret")
    with Server(lambda p, b, n: Reply({"error": "bad key s3cret"})) as server, pytest.raises(ValueError) as error:
        ask(server, api_key_env="SOME_KEY")
    assert "bad key ***" in str(error.value) and "s3cret" not in str(error.value)


# -- answers that are not JSON


@pytest.mark.parametrize("status", [200, 502])
def test_web_page_is_called_one(status: int) -> None:
    reply, says = Reply(PAGE, status, {"content-type": "text/html"}), "a web page, titled 'Open WebUI'"
    with Server(lambda p, b, n: reply) as server, pytest.raises(OSError, match=says) as error:
        ask(server)
    assert "JSON error" not in str(error.value) and "Expecting value" not in str(error.value)


def test_web_page_at_the_server_names_the_api() -> None:
    with Server(lambda p, b, n: Reply(PAGE), models=()) as server:
        base = server.url.removesuffix("/v1")
        with pytest.raises(OSError, match=rf"a web page.* in place of JSON; did you mean the url {server.url}\?"):
            ask(server, url=base)
        with pytest.raises(OSError, match=rf"did you mean the url {server.url}\?"):
            ask(server, url=f"{server.url}/chat/completions")
    for reply in (Reply({}, 404), Reply({"error": "Unexpected endpoint or method. (GET /models)"})):
        with Server(lambda p, b, n, reply=reply: reply, models=()) as server:
            base = server.url.removesuffix("/v1")
            with pytest.raises(ValueError, match=rf"did you mean the url {server.url}\?"):
                ask(server, url=base)


@pytest.mark.parametrize(
    ("url", "near"),
    [
        ("http://h:8000", "http://h:8000/v1"),
        ("http://h:8000/v1", ""),
        ("http://h/v1/chat/completions", "http://h/v1"),
        ("http://h/api/chat/completions", "http://h/api/v1"),
        ("https://openrouter.ai/api", "https://openrouter.ai/api/v1"),
        ("https://h/v1beta/openai", ""),
        ("https://h/v4", ""),
    ],
)
def test_nearest_url(url: str, near: str) -> None:
    assert nearest_url(url) == near


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (PAGE, "a web page, titled 'Open WebUI'"),
        (b"\xef\xbb\xbf\n<HTML>x", "a web page"),
        (b"<?xml version='1.0'?><html>", "a web page"),
        (b"", "nothing"),
        (b"Ollama is running", "text that is not JSON, 'Ollama is running'"),
        (b'data: {"choices": []}\n\n', "a stream of events"),
        (b'{"choices": [', "text that is not JSON, '{\"choices\": ['"),
        (b"\xff\xfe", "text that is not JSON"),
    ],
)
def test_other_answers_are_described(content: bytes, says: str) -> None:
    assert describe_page(content).startswith(says)
    with pytest.raises(PageError):
        load_json(content)
    with pytest.raises(PageError, match="nested too deep"):
        load_json(b"[" * 100_000)


# -- proxies and certificates


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("ALL_PROXY", "socks5://user:pw@127.0.0.1:9", "ALL_PROXY names a SOCKS proxy, which needs the package socksio"),
        ("all_proxy", "socks5h://127.0.0.1:9", "all_proxy names a SOCKS proxy"),
        ("HTTPS_PROXY", "SOCKS5://127.0.0.1:9", "HTTPS_PROXY names a SOCKS proxy"),
        ("HTTP_PROXY", "ftp://h:1", "HTTP_PROXY holds no proxy address such as http://proxy.example:3128"),
        ("HTTPS_PROXY", "socks4://h:1", "HTTPS_PROXY holds no proxy address"),
        ("HTTP_PROXY", "http://h:port", "HTTP_PROXY holds no proxy address"),
        ("HTTP_PROXY", "http://[::1", "HTTP_PROXY holds no proxy address"),
        ("SSL_CERT_FILE", "/nowhere/ca.pem", "SSL_CERT_FILE=/nowhere/ca.pem: No such file or directory"),
        ("SSL_CERT_FILE", "/", "SSL_CERT_FILE=/: Is a directory"),
        ("SSL_CERT_FILE", __file__, rf"SSL_CERT_FILE={__file__}: .*no certificate"),
    ],
)
def test_bad_environment_names_the_variable(name: str, value: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if "SOCKS" in says:
        monkeypatch.setitem(__import__("sys").modules, "socksio", None)
    monkeypatch.setenv(name, value)
    with Server(lambda p, b, n: Reply(completion("x"))) as server, pytest.raises(ValueError, match=says) as error:
        ask(server)
    assert "\n" not in str(error.value) and "pw" not in str(error.value)


def test_certificate_file_is_named_beside_a_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
    with Server(lambda p, b, n: Reply(completion("x"))) as server, pytest.raises(ValueError) as error:
        ask(server)
    assert str(error.value).endswith("cannot be read from SSL_CERT_FILE=/nowhere/ca.pem: No such file or directory")


# -- counts


@pytest.mark.parametrize("count", [2**70, 10**400, 2**40, 50_000])
def test_impossible_counts_are_replaced(count: int, caplog: pytest.LogCaptureFixture) -> None:
    answer = completion("4 1 3") | {"usage": {"prompt_tokens": count, "completion_tokens": count}}
    with Server(lambda p, b, n: Reply(answer)) as server:
        made = engine(server)
        done = [made.generate([Request(f"key {i}", "solve 3 1 4", None, 20)])[0] for i in range(2)]
    assert [(c.prompt_tokens, c.generated_tokens) for c in done] == [(4, 3)] * 2
    notes = [r.getMessage() for r in caplog.records if "cannot be right" in r.getMessage()]
    assert len(notes) == 2 and "usage.prompt_tokens=" in notes[0] and server.url in notes[0]


def test_zero_tokens_for_a_text_are_replaced() -> None:
    answer = completion("4 1 3") | {"usage": {"prompt_tokens": 0, "completion_tokens": 0}}
    with Server(lambda p, b, n: Reply(answer)) as server:
        assert (ask(server).prompt_tokens, ask(server).generated_tokens) == (4, 3)
    with Server(lambda p, b, n: Reply(completion("") | {"usage": {"completion_tokens": 0}})) as server:
        assert ask(server).generated_tokens == 0


@pytest.mark.parametrize("usage", [(9_000, 25), (12, 9_000)])
def test_hidden_system_prompts_and_thoughts_count(usage: tuple[int, int]) -> None:
    answer = completion("4") | {"usage": {"prompt_tokens": usage[0], "completion_tokens": usage[1]}}
    with Server(lambda p, b, n: Reply(answer)) as server:
        done = ask(server)
    assert (done.prompt_tokens, done.generated_tokens) == usage


def test_higher_limit_of_extra_counts() -> None:
    answer = completion("4") | {"usage": {"prompt_tokens": 5, "completion_tokens": 40_000}}
    with Server(lambda p, b, n: Reply(answer)) as server:
        assert ask(server, extra={"max_tokens": None, "max_completion_tokens": 50_000}).generated_tokens == 40_000


def test_impossible_count_of_tokenize_is_estimated() -> None:
    with Server(lambda p, b, n: Reply({"count": 2**70})) as server:
        assert engine(server, tokenize=True).count_tokens("w1 rev inc") == 3


@pytest.mark.parametrize("logprob", [10**400, float("nan"), float("-inf"), 1e300])
def test_impossible_logprob_is_left_open(logprob: float) -> None:
    answer = completion("4")
    answer["choices"][0]["logprobs"] = {"token_logprobs": [-0.5, logprob]}
    with Server(lambda p, b, n: Reply(json.dumps(answer).encode())) as server:
        assert str(ask(server, logprobs=True).logprob) == "nan"


def test_control_characters_in_model_names() -> None:
    server, says = Server(lambda p, b, n: Reply({}), models=("a\nb\x1b[31m\ud800",)), r"it serves a b \[31m$"
    with server, pytest.raises(ValueError, match=says):
        ask(server, model="zzz")


def test_journal_line_with_an_impossible_count(tmp_path: Path) -> None:
    from agents.engine import Completion
    from arena.run.journal import Entry, Journal

    entry = Entry(1, "play", "digest", Completion("key", "4", "stop", 2**70, 1, 0.0))
    (tmp_path / "journal.jsonl").write_text(entry.to_line())
    with pytest.raises(ValueError, match=r"journal.jsonl, line 1 holds no completion .* is not a count.*take the line"):
        Journal(tmp_path / "journal.jsonl")
    (tmp_path / "journal.jsonl").unlink()
    journal = Journal(tmp_path / "journal.jsonl")
    with pytest.raises(ValueError, match="is not a count"):
        journal.keep(entry)
    journal.close()
    assert (tmp_path / "journal.jsonl").read_bytes() == b""


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({"base_resp": {"status_code": 1004, "status_msg": "login fail"}}, "login fail"),
        (
            {"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}, "choices": []},
            "insufficient balance",
        ),
        ({"base_resp": {"status_code": "2013", "status_msg": ""}, "choices": None}, "no message"),
        ({"error_code": 336003, "error_msg": "the length of messages must be odd"}, "must be odd"),
    ],
)
def test_error_fields_of_other_servers(answer: Any, says: str) -> None:
    """They are reported at once, with the server's words."""
    with Server(lambda p, b, n: Reply(answer)) as server:
        with pytest.raises((ValueError, OSError), match=says):
            ask(server)
        assert server.paths["/v1/completions"] == 1


def test_success_beside_an_answer_is_no_error() -> None:
    for code in (0, "0", None):
        assert find_error(completion("x") | {"base_resp": {"status_code": code, "status_msg": "success"}}) is None
    assert find_error(completion("x") | {"base_resp": None}) is None
