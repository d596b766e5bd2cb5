"""A small scripted HTTP server on loopback for tests, which records its requests.

The script `SeedModel` answers like a server of the shipped model, using the torch engine.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from agents.checkpoint import BaseModel
from agents.engine import Request
from agents.engine_torch import TorchEngine
from agents.tokenizer import Tokenizer

Json = dict[str, Any]


@dataclass
class Reply:
    """A reply. `cut`: disconnect after so many bytes of the body. `trickle`: seconds to wait after each byte."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    cut: int | None = None
    trickle: float = 0.0


Script = Callable[[str, Json, int], Reply]


class Server:
    """A context manager that serves a script: (path, body, number of earlier requests with this seed) -> reply."""

    def __init__(self, script: Script, models: tuple[str, ...] = ("seed",)) -> None:
        self.script, self.models = script, models
        self.asked, self.served = Counter[int](), Counter[int]()  # by seed: requests, and completions sent completely
        self.paths, self.bodies, self.headers = Counter[str](), list[Json](), list[dict[str, str]]()
        self.usage = Counter[str]()  # of completions sent completely
        self.at_once = self.most_at_once = 0
        self._lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                server.answer(self, {})

            def do_POST(self) -> None:
                server.answer(self, json.loads(self.rfile.read(int(self.headers["content-length"]))))

            def log_message(self, *_: object) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_: object) -> None:
                pass  # the client disconnected

        self._http = Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"

    def __enter__(self) -> Server:
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def answer(self, handler: BaseHTTPRequestHandler, body: Json) -> None:
        seed = body.get("seed", -1)
        with self._lock:
            before = self.asked[seed]
            self.asked[seed] += 1
            self.paths[handler.path] += 1
            self.bodies.append(body)
            self.headers.append({k.lower(): v for k, v in handler.headers.items()})
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if handler.path == "/v1/models" and self.models:
                reply = Reply({"data": [{"id": m} for m in self.models]})
            else:
                reply = self.script(handler.path, body, before)
            time.sleep(reply.delay)
        finally:
            with self._lock:
                self.at_once -= 1
        self._send(handler, reply, seed)

    def _send(self, handler: BaseHTTPRequestHandler, reply: Reply, seed: int) -> None:
        data = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        handler.send_response(reply.status)
        for name, value in (reply.headers | {"content-length": str(len(data))}).items():
            handler.send_header(name, value)
        handler.end_headers()
        if reply.cut is not None:
            handler.wfile.write(data[: reply.cut])
            handler.close_connection = True
            return
        if reply.status == 200 and isinstance(reply.body, dict) and "choices" in reply.body and reply.body.get("usage"):
            with self._lock:
                self.served[seed] += 1
                self.usage.update(reply.body["usage"])
        for at in range(0, len(data), 1 if reply.trickle else len(data) or 1):
            handler.wfile.write(data[at:] if not reply.trickle else data[at : at + 1])
            handler.wfile.flush()
            time.sleep(reply.trickle)


def completion(text: str, prompt_tokens: int = 5, completion_tokens: int = 3, finish: str = "stop") -> Json:
    usage = {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens}
    return {"choices": [{"text": text, "finish_reason": finish}], "usage": usage}


class SeedModel:
    """Answers with the shipped model, one request at a time, so that equal requests have bit-identical answers."""

    def __init__(self, base: BaseModel, tokenizer: Tokenizer) -> None:
        self.engine, self._lock = TorchEngine(base, tokenizer), threading.Lock()

    def __call__(self, path: str, body: Json, before: int) -> Reply:
        if path == "/tokenize":
            return Reply({"count": self.engine.count_tokens(body["prompt"])})
        if path != "/v1/completions":
            return Reply({"error": {"message": f"nothing at {path}"}}, 404)
        request = Request(
            str(body["seed"]),
            body["prompt"],
            None,
            body["max_tokens"],
            body["temperature"],
            body["top_p"],
            tuple(body.get("stop", ())),
        )
        with self._lock:
            done = self.engine.generate([request])[0]
        return Reply(completion(" " + done.text, done.prompt_tokens, done.generated_tokens, done.finish))
