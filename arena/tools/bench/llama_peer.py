"""The llama.cpp side: its own server (package xllamacpp) in a subprocess, with a slot for each row of a batch.

All rows are requested at once over loopback. A slot keeps the prompt of its last request, so the beginning that prompts
share is read once, as on our side. Processor time is that of the subprocess; the requests cost little and count too.
Base model only: llama.cpp applies one LoRA adapter to a whole batch.

`python -m arena.tools.bench.llama_peer MODEL.gguf ROWS CONTEXT THREADS` serves until its standard input ends.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from arena.tools.bench.timing import Work
from arena.tools.bench.workload import NEW_TOKENS, Batch

CONTEXT = 1024
"""Tokens of prompt and completion together."""


class Generate:
    """One server. Raises RuntimeError with the end of its log if it does not start."""

    def __init__(self, model: Path, rows: int, threads: int) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="bench-llama-")
        log, pipe = Path(self._folder.name) / "log", subprocess.PIPE
        with log.open("w") as told:
            started = command(model, rows, CONTEXT, threads)
            self._process = subprocess.Popen(started, stdin=pipe, stdout=pipe, stderr=told, text=True)
        assert self._process.stdout
        self._url = self._process.stdout.readline().strip()
        if not self._url:
            self._process.communicate()
            end = log.read_text(errors="replace").strip().splitlines()[-12:]
            self._folder.cleanup()
            raise RuntimeError("llama.cpp ended: " + " / ".join(end))
        self._pool = ThreadPoolExecutor(rows)

    def run(self, batch: Batch) -> Work:
        before = self._seconds()
        answers = list(self._pool.map(self._ask, batch.prompts))
        generated = sum(a["usage"]["completion_tokens"] for a in answers)
        return Work(generated, sum(a["usage"]["prompt_tokens"] for a in answers), self._seconds() - before)

    def close(self) -> None:
        self._pool.shutdown()
        self._process.kill()
        self._process.communicate()
        self._folder.cleanup()

    def _ask(self, prompt: str) -> dict[str, Any]:
        body = {"prompt": prompt, "max_tokens": NEW_TOKENS, "temperature": 0, "ignore_eos": True, "cache_prompt": True}
        request = urllib.request.Request(
            f"{self._url}/v1/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # it is on loopback
        found: dict[str, Any] = json.loads(opener.open(request).read())
        return found

    def _seconds(self) -> float:
        """Processor time of the subprocess."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def command(model: Path, rows: int, context: int, threads: int) -> list[str]:
    """Starts a server, which prints its address. Its model is named like the file."""
    return [sys.executable, "-m", __name__, *map(str, (model, rows, context, threads))]


def serve(model: str, rows: int, context: int, threads: int) -> None:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = model
    params.n_ctx, params.n_parallel = rows * context, rows
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.model_alias, params.cache_ram_mib, params.endpoint_metrics = {Path(model).stem}, 0, True
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    serve(sys.argv[1], *map(int, sys.argv[2:]))
