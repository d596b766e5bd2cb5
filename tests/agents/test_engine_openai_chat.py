"""Chats through an OpenAI-compatible server: what is sent, and what servers make of it."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

import agents.http_client as transport
from agents.engine import Request
from agents.engine_openai import OPTIONAL, OpenAIEngine, estimate_tokens
from agents.engine_openai import Server as Settings
from agents.prompt import Chat
from tests.helpers.openai_server import Json, Reply, Server

SCHEMA = '{"type":"object","properties":{"answer":{"type":"string"}},"required":["answer"]}'
ASKED = Chat("you are a1", "what is 2 + 2?", SCHEMA, thinking=False)


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "FIRST_WAIT", 0.01)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def engine(server: Server, **settings: Any) -> OpenAIEngine:
    return OpenAIEngine(Settings(**{"url": server.url, "model": "seed", "api": "chat", "tokenize": False, **settings}))


def message(**fields: Any) -> Reply:
    return Reply({"choices": [{"message": {"role": "assistant", **fields}, "finish_reason": "stop"}]})


def echo(path: str, body: Json, before: int) -> Reply:
    return message(content=body["messages"][-1]["content"])


def refusing(*unknown: str, status: int = 400) -> Any:
    """A server that takes none of these fields."""

    def script(path: str, body: Json, before: int) -> Reply:
        found = [k for k in unknown if k in body]
        return Reply({"error": {"message": f"unexpected {found}"}}, status) if found else echo(path, body, before)

    return script


def ask(prompt: Any = ASKED, n: int = 1) -> list[Request]:
    return [Request(f"k{i}", prompt, "a1", 20) for i in range(n)]


def test_chat_sends_schema_and_thinking() -> None:
    """A chat is sent as messages, with its schema and whether to think."""
    with Server(echo) as server:
        made = engine(server)
        assert made.generate(ask())[0].text == ASKED.user
        made.generate(ask(Chat("", "u", "", True)))
        made.generate(ask("plain"))
    chat, bare, text = server.bodies[-3:]
    assert chat["messages"] == [{"role": "system", "content": "you are a1"}, {"role": "user", "content": ASKED.user}]
    assert chat["response_format"]["json_schema"]["schema"] == json.loads(SCHEMA)
    assert chat["chat_template_kwargs"] == {"enable_thinking": False}
    assert bare["messages"] == [{"role": "user", "content": "u"}] and "response_format" not in bare
    assert bare["chat_template_kwargs"] == {"enable_thinking": True}
    assert text["messages"] == [{"role": "user", "content": "plain"}] and not set(OPTIONAL) & set(text)


def test_the_user_s_own_fields_come_first() -> None:
    with Server(echo) as server:
        engine(server, extra={"chat_template_kwargs": None, "response_format": {"type": "text"}}).generate(ask())
    assert "chat_template_kwargs" not in server.bodies[-1]
    assert server.bodies[-1]["response_format"] == {"type": "text"}


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize(("unknown", "tries"), [(OPTIONAL[:1], 1), (OPTIONAL[1:], 2), (OPTIONAL, 3)])
def test_refused_fields_are_left_out(
    unknown: tuple[str, ...], tries: int, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Fields that a server refuses are left out of all later requests."""
    with Server(refusing(*unknown, status=status)) as server, caplog.at_level(logging.WARNING):
        made = engine(server, concurrency=1)
        assert [c.text for c in made.generate(ask(n=5))] == [ASKED.user] * 5
        assert len(server.bodies) == 1 + 5 + tries  # the first asks for the models
        assert set(OPTIONAL) & set(server.bodies[-1]) == set(OPTIONAL) - set(unknown)
        made.generate(ask(n=3))
    notes = [r.getMessage() for r in caplog.records if r.name == "agents.engine_openai"]
    assert len(notes) == 1 and all(k in notes[0] for k in unknown)


def test_other_refusals_are_reported() -> None:
    def too_long(path: str, body: Json, before: int) -> Reply:
        return Reply({"error": {"message": f"too long, try {before}"}}, 400)

    with Server(too_long) as server:
        made = engine(server)
        with pytest.raises(ValueError, match=r"too long, try 0.*request 'k0'"):
            made.generate(ask())
        assert len(server.bodies) == 1 + 4 and not made._refused
    with Server(lambda path, body, before: Reply({}, 401)) as server:
        with pytest.raises(ValueError, match="valid key"):
            engine(server).generate(ask())
        assert len(server.bodies) == 2  # asking with less would not help
    with Server(refusing("top_k")) as server, pytest.raises(ValueError, match="unexpected"):
        engine(server, extra={"top_k": 4}).generate(ask())


def test_a_chat_cannot_be_gone_on_with() -> None:
    with Server(echo) as server, pytest.raises(ValueError, match=r"engine\.openai\.api=chat"):
        engine(server, api="completions").generate(ask())


PART = {"type": "text", "text": "4"}
SAID: dict[str, tuple[dict[str, Any], str]] = {
    "thought apart": ({"content": "4", "reasoning_content": "two and two"}, "4"),
    "thought apart, by its other name": ({"content": "4", "reasoning": "two and two"}, "4"),
    "only thought": ({"content": None, "reasoning": "two and two"}, ""),
    "only thought, nothing said": ({"reasoning": "two and two"}, ""),
    "thought in parts": ({"content": [{"type": "thinking", "thinking": "two and two"}, PART]}, "4"),
    "parts": ({"content": [PART, {"type": "image_url", "image_url": {}}, "?", None, {"text": 3}, PART]}, "44"),
    "no parts": ({"content": []}, ""),
    "declined": ({"content": None, "refusal": "I would rather not."}, "I would rather not."),
    "a tool nobody offered": ({"content": None, "tool_calls": [{"function": {"name": "rm"}}]}, ""),
    "a tool and no content": ({"tool_calls": []}, ""),
    "odd kinds": ({"content": "4", "refusal": 3, "reasoning": ["a"], "tool_calls": "x"}, "4"),
}


@pytest.mark.parametrize(("fields", "text"), SAID.values(), ids=list(SAID))
def test_all_message_forms_are_read(fields: dict[str, Any], text: str) -> None:
    """All forms of messages are read; reasoning tokens are counted."""
    with Server(lambda path, body, before: message(**fields)) as server:
        (done,) = engine(server).generate(ask())
    assert done.text == text and done.finish == "stop"
    thought = "two and two" in json.dumps(fields)
    assert done.generated_tokens == (3 if thought else estimate_tokens(text))


@pytest.mark.parametrize("fields", [{}, {"content": 7}, {"content": {"text": "4"}}, {"content": True}])
def test_empty_message_is_a_failed_try(fields: dict[str, Any]) -> None:
    def script(path: str, body: Json, before: int) -> Reply:
        return echo(path, body, before) if before else message(**fields)

    with Server(script) as server:
        assert engine(server).generate(ask())[0].text == ASKED.user
        assert len(server.bodies) == 3
