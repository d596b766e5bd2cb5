"""Answers of a model server: any JSON, any bytes, slow, truncated, or endless."""

from __future__ import annotations

import gzip
import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hypothesis import strategies as st

import agents.http_client
from agents.engine import Completion, Request
from agents.engine_openai import OpenAIEngine
from agents.engine_openai import Server as Settings
from tests.fuzz.base import DEEP, JSON, Place, Target, answers

ASKED = [Request(f"key {i}", "rev | 1 2", None, 8, 0.0) for i in range(2)]
GOOD = {"choices": [{"text": "x", "message": {"content": "x"}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 1}}
MODELS = b'HTTP/1.1 200 OK\r\nContent-Length: 26\r\n\r\n{"data": [{"id": "seed"}]}'


@contextmanager
def raw(answer: bytes, piece: int) -> Iterator[str]:
    """A server that answers every request with these bytes, `piece` at a time, except /models, which works."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            try:
                self.request.settimeout(1)
                asked = self.request.recv(65536)
                data = MODELS if b"/models" in asked.partition(b"\r\n")[0] else answer
                for at in range(0, len(data), piece):
                    self.request.sendall(data[at : at + piece])
            except OSError:
                pass

    class Quiet(socketserver.ThreadingTCPServer):
        daemon_threads, allow_reuse_address, request_queue_size = True, True, 64

        def handle_error(self, *_: object) -> None:
            pass

    server = Quiet(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        server.server_close()


def ask(url: str, chat: bool) -> None:
    first, agents.http_client.FIRST_WAIT = agents.http_client.FIRST_WAIT, 0.001
    try:
        with answers():
            engine = OpenAIEngine(Settings(url, "seed", "chat" if chat else "completions", retries=1, timeout_s=2))
            done = engine.generate(ASKED)
            assert [d.key for d in done] == [r.key for r in ASKED]
            for d in done:
                assert isinstance(d, Completion) and d.prompt_tokens >= 0 and d.generated_tokens >= 0
                d.text.encode("utf-8")
    finally:
        agents.http_client.FIRST_WAIT = first


def http(body: bytes, status: int = 200, headers: bytes = b"") -> bytes:
    return b"HTTP/1.1 %d X\r\n%sContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (status, headers, len(body), body)


def replies(_: Place, value: tuple[Any, bool, int]) -> None:
    new, chat, status = value
    text = new if isinstance(new, str) else json.dumps(new)
    with raw(http(text.encode("utf-8", "surrogatepass"), status), 1 << 20) as url:
        ask(url, chat)


def fields(_: Place, value: tuple[str, Any, bool]) -> None:
    path, new, chat = value
    answer = json.loads(json.dumps(GOOD))
    at = answer
    *above, last = path.split(".")
    for key in above:
        at = at[int(key) if key.isdigit() else key]
    at[int(last) if last.isdigit() else last] = new
    with raw(http(json.dumps(answer).encode()), 1 << 20) as url:
        ask(url, chat)


def raw_bytes(_: Place, value: tuple[bytes, bool, int]) -> None:
    data, chat, piece = value
    with raw(data, piece) as url:
        ask(url, chat)


HUGE = [
    http(gzip.compress(b" " * 300_000_000, 1), headers=b"Content-Encoding: gzip\r\n"),
    http(b'{"choices": [{"text": "' + b"x" * 100_000_000 + b'"}]}'),
]


def huge(_: Place, which: int) -> None:
    """Oversized answers are refused before they are in memory."""
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with raw(HUGE[which], 1 << 20) as url:
        ask(url, False)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert after - before < 200_000, f"{(after - before) / 1000:.0f} MB for an answer"


WHERE = ["choices", "choices.0", "choices.0.text", "choices.0.message", "choices.0.message.content", "usage",
         "choices.0.finish_reason", "usage.prompt_tokens", "usage.completion_tokens", "choices.0.logprobs",
         "choices.0.message.reasoning", "choices.0.message.tool_calls", "choices.0.message.refusal"]  # fmt: skip
BYTES = st.binary(max_size=200) | st.sampled_from(
    [
        b"",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffff\r\nx",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\n{\r\n" * 50,
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 5000 + b"\r\n{}",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 500_000 + b"\r\n\r\n{}",
        b"HTTP/1.1 302 X\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 X\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 429 X\r\nRetry-After: 99999999\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 429 X\r\nRetry-After: nan\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 429 X\r\nRetry-After: inf\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 429 X\r\nRetry-After: Thu, 01 Jan 99999 00:00:00 GMT\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: zstd, br, gzip\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 50,
        b"HTTP/9.9 999 \xff\r\n\r\n",
        b"HTTP/1.1 400 X\r\nContent-Length: 8\r\n\r\n\x1b[2J\xff\xfe\x00",
    ]
)
STATUS = st.sampled_from([200, 200, 400, 404, 422, 500])
TARGETS = [
    Target("server replies", st.tuples(JSON | DEEP, st.booleans(), STATUS), replies, 8),
    Target("server fields", st.tuples(st.sampled_from(WHERE), JSON, st.booleans()), fields, 10),
    Target("server bytes", st.tuples(BYTES, st.booleans(), st.sampled_from([1, 7, 1 << 20])), raw_bytes, 10, True),
    Target("server sizes", st.sampled_from(range(len(HUGE))), huge, 2, True),
]  # fmt: skip
