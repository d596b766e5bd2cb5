"""The vLLM side: a subprocess with its own interpreter, started once, that answers one timed batch a line.

vLLM pins its own versions of many packages, so it gets its own environment (`--vllm-python`). Its seconds are measured
in the subprocess around `LLM.generate`; the communication is not counted.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from arena.tools.bench.timing import Work
from arena.tools.bench.workload import NEW_TOKENS, PROMPT_TOKENS, RANK, Batch

WORKER = Path(__file__).with_name("vllm_worker.py")


class Generate:
    """One vLLM engine with its adapters; `prompt`: tokens of the longest prompt. Raises RuntimeError with the end of
    its log if it fails."""

    def __init__(
        self, python: Path, model: Path, adapters: dict[str, Path], rows: int, threads: int, prompt: int = PROMPT_TOKENS
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="bench-vllm-")
        folder = Path(self._folder.name)
        spec = {
            "model": str(model.resolve()),
            "adapters": {name: str(path.resolve()) for name, path in adapters.items()},
            "rank": RANK,
            "rows": rows,
            "threads": threads,
            "max_model_len": prompt + NEW_TOKENS + 16,
        }
        (folder / "spec.json").write_text(json.dumps(spec))
        environment = {
            **os.environ,
            "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            "VLLM_CPU_KVCACHE_SPACE": "1",
            "VLLM_NO_USAGE_STATS": "1",
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": str(threads),
            "MKL_NUM_THREADS": str(threads),
        }
        environment.pop("PYTHONPATH", None)
        self._log = folder / "log"
        # not resolved: the python of a virtual environment is a link that must keep its name
        command = [str(python.absolute()), "-P", str(WORKER), str(folder / "spec.json")]
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=environment
            )
        self.version = str(self._answer()["version"])

    def run(self, batch: Batch) -> Work:
        assert self._process.stdin is not None
        line = {"prompts": batch.prompts, "adapters": batch.adapters, "new_tokens": NEW_TOKENS}
        try:
            self._process.stdin.write(json.dumps(line) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # the answer below says why
        found = self._answer()
        return Work(int(found["generated"]), int(found["prompt_tokens"]), float(found["cpu"]), float(found["wall"]))

    def close(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._folder.cleanup()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            end = self._log.read_text(errors="replace").strip().splitlines()[-12:]
            self.close()
            raise RuntimeError("vLLM ended: " + " / ".join(end))
        found: dict[str, Any] = json.loads(line)
        return found
