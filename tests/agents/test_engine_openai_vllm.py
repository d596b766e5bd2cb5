"""The engine for OpenAI-compatible servers against a real vLLM server of the shipped model, on loopback.

`make test-vllm` runs this file in an environment that has vLLM; elsewhere it is skipped, saying so.
"""

from __future__ import annotations

import importlib.util
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest

from agents.engine import Request
from agents.engine_openai import OpenAIEngine
from agents.engine_openai import Server as Settings
from agents.engine_torch import TorchEngine
from arena.config.schema import Config, load_config
from arena.config.shipped import SEED_FOLDER
from arena.loop import play
from arena.run.state import Arena
from arena.run.store import Store
from curricula.list_school import SeedData

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("vllm") is None, reason="vLLM is not installed here: `make test-vllm` runs this"
    ),
]


def free(port: int) -> bool:
    """Ports below 32768 are not handed out by the system, so one that is free now is so when vLLM has started."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


class Served:
    """A vLLM server in processes of its own, which can be killed and started again at the same address."""

    def __init__(self, log: Path, model: Path = SEED_FOLDER, positions: int = 256) -> None:
        self.model, self.positions = model, positions
        self.port = next(p for p in range(20000 + os.getpid() % 10000, 31000) if free(p))
        self.url, self.log = f"http://127.0.0.1:{self.port}/v1", log
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        # the module, since the command `vllm` of some CPU builds looks for a package of another name
        command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(self.model)]
        command += ["--served-model-name", "seed", "--host", "127.0.0.1", "--port", str(self.port)]
        command += [
            "--max-model-len",
            str(self.positions),
            "--dtype",
            "float32",
            "--enforce-eager",
            "--no-enable-chunked-prefill",
        ]
        environment = os.environ | {"VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, env=environment, start_new_session=True, cwd=self.log.parent
            )
        until = time.monotonic() + 240
        while not self.ready():
            assert self.process.poll() is None and time.monotonic() < until, self.log.read_text()[-3000:]
            time.sleep(0.5)

    def ready(self) -> bool:
        try:
            return urllib.request.urlopen(f"{self.url}/models", timeout=2).status == 200
        except OSError:
            return False

    def kill(self) -> None:
        if self.process:
            os.killpg(self.process.pid, signal.SIGKILL)  # its session: the server and the processes it started
            self.process.wait()
            self.process = None


@pytest.fixture(scope="module")
def vllm(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    os.environ["NO_PROXY"] = "127.0.0.1"
    served = Served(tmp_path_factory.mktemp("vllm") / "server.log")
    served.start()
    yield served
    served.kill()


@pytest.fixture
def engine(vllm: Served) -> OpenAIEngine:
    return OpenAIEngine(Settings(vllm.url, "seed", logprobs=True))


def requests(n: int, temperature: float) -> list[Request]:
    rng, data = random.Random(3), SeedData()
    return [Request(f"{temperature}/{i}", data.draw(rng).prompt, "ignored", 60, temperature) for i in range(n)]


def test_greedy_equals_torch_engine(engine: OpenAIEngine, base, tokenizer) -> None:  # type: ignore[no-untyped-def]
    """Greedy completions and their token counts equal those of the torch engine."""
    ours = TorchEngine(base, tokenizer)
    asked = requests(100, 0.0)
    theirs, expected = engine.generate(asked), ours.generate([Request(r.key, r.prompt, None, 60, 0.0) for r in asked])
    for a, b in zip(theirs, expected, strict=True):
        assert (a.text, a.finish, a.prompt_tokens, a.generated_tokens) == (
            b.text,
            b.finish,
            b.prompt_tokens,
            b.generated_tokens,
        )
        assert a.logprob == pytest.approx(b.logprob, abs=1e-3)
    for r in asked:
        assert engine.count_tokens(r.prompt) == tokenizer.count(r.prompt)


def test_seeds_hold_whatever_else_is_asked(engine: OpenAIEngine) -> None:
    asked = requests(60, 0.8)
    once = engine.generate(asked)
    assert [c.text for c in engine.generate(asked[::-1])[::-1]] == [c.text for c in once]
    assert [engine.generate([r])[0].text for r in asked[:5]] == [c.text for c in once[:5]]
    same = [Request(str(i), "propose", None, 60, 1.0) for i in range(20)]
    assert len({c.text for c in engine.generate(same)}) > 10


def test_what_vllm_refuses_is_one_line_with_its_reason(vllm: Served, engine: OpenAIEngine) -> None:
    with pytest.raises(ValueError, match=r"status 400 .*maximum context length .*'long', a prompt of 1200 letters"):
        engine.generate([Request("long", "rev " * 300, None, 60, 0.0)])
    with pytest.raises(ValueError, match=r"status 400 .*chat template"):
        OpenAIEngine(Settings(vllm.url, "seed", "chat")).generate(requests(1, 0.0))
    with pytest.raises(ValueError, match="did you mean 'seed'"):
        OpenAIEngine(Settings(vllm.url, "sed"))
    with pytest.raises(ValueError, match="most end in /v1"):
        OpenAIEngine(Settings(vllm.url.removesuffix("/v1"), "seed"))


def test_run_survives_killed_server(vllm: Served, tmp_path: Path) -> None:
    """A run whose server is killed and restarted equals the undisturbed run."""

    def config(name: str) -> Config:
        server = ["engine.kind=openai", f"engine.openai.url={vllm.url}", "engine.openai.model=seed"]
        short = ["engine.openai.retries=1", "generations=2", "turnover.every=1"]
        return load_config("configs/tiny.yaml", [f"run.folder={tmp_path}", f"run.name={name}", *server, *short])

    with Arena.create(config("calm")) as arena:
        play(arena)
        assert arena.store.query("SELECT COUNT(*) AS n FROM attempts WHERE correct")[0]["n"] > 5
    with Arena.create(config("killed")) as arena:

        def kill_in_the_batch(event: str, data: dict[str, object]) -> None:
            if event == "phase" and (data["generation"], data["phase"]) == (2, "propose"):
                threading.Timer(0.1, vllm.kill).start()

        with pytest.raises(OSError, match=r"completions failed 2 times, .* those are kept"):
            play(arena, kill_in_the_batch)
        assert (2, "read") in arena.store.finished() and (2, "propose") not in arena.store.finished()
    with pytest.raises(OSError, match="is it running"):
        Arena.open(tmp_path / "killed")
    vllm.start()
    with Arena.open(tmp_path / "killed") as arena:
        play(arena)
    assert Store(tmp_path / "killed" / "run.db").digest() == Store(tmp_path / "calm" / "run.db").digest()
