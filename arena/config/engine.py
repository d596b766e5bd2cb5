"""The sections of a config that name the base model and the engine that generates text."""

from __future__ import annotations

from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from agents.engine_spec import EngineSpec
from arena.config.overrides import path_text
from arena.config.registries import ENGINES, find_engine
from arena.config.section import Section


class ModelSection(Section):
    """The base model that all agents share."""

    path: str = "seed"
    """A Llama, Qwen2 or Qwen3 model: a folder in Hugging Face format, a GGUF file, or a Hugging Face name such as
    Qwen/Qwen3-0.6B, which is looked up in the local cache and downloaded if missing (needs the extra `hub`). `seed` is
    the model that ships with Ratchet, and `seed_long` one that finds its place in longer programs; `smollm2` is a small
    chat model that `ratchet get-model smollm2` fetches."""
    adapter: str = ""
    """A LoRA adapter in PEFT format that is merged into the model first, so that every agent begins from it: a folder,
    or the name of one that ships with Ratchet. Empty: none."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Data type of the base weights. `auto`: on a GPU the checkpoint's own type; on the CPU bfloat16 for models of more
    than 4 million linear parameters if the processor multiplies it (AVX512-BF16, AMX, ARM BF16), otherwise float32. A
    run records the type and keeps it. Adapters and optimiser state are always float32."""

    @field_validator("path")
    @classmethod
    def _path(cls, path: str) -> str:
        return path_text(path)


class OpenAISection(Section):
    """The server that `engine.kind: openai` connects to."""

    url: str = "http://localhost:8000/v1"
    """Base URL of the API, usually ending in /v1. It must not contain a key or password, because it is stored."""
    model: str = ""
    """Model name as the server lists it."""
    api: Literal["completions", "chat"] = "completions"
    """Endpoint. `completions`: the server continues the prompt's text. `chat`: the prompt is sent as one user
    message."""
    api_key_env: str = ""
    """NAME of the environment variable that holds the API key, never the key itself. Empty: no key is sent."""
    concurrency: int = Field(32, ge=1, le=4096)
    """Maximum number of simultaneous requests."""
    retries: int = Field(6, ge=0, le=30)
    """Maximum number of retries after a temporary failure, with increasing delays."""
    timeout_s: float = Field(120.0, gt=0)
    """Seconds that one try may take, from sending the request to the last byte of the response."""
    logprobs: bool = False
    """Request log-probabilities. If false, the column `logprob` stays empty."""
    tokenize: bool = True
    """Count the tokens of posts with the server's /tokenize endpoint. If false, or if there is none, they are
    estimated."""
    extra: dict[str, Any] = Field(default_factory=dict)
    """Fields to add to the body of each request, such as {top_k: 40}. A null value removes a field, such as
    {seed: null}."""

    @field_validator("url")
    @classmethod
    def _plain_url(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is none, expected something like http://localhost:8000/v1")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError(
                "no user, password, query or fragment belongs in it: a key goes into api_key_env's variable"
            )
        return url.rstrip("/")

    @field_validator("api_key_env")
    @classmethod
    def _variable(cls, name: str) -> str:
        if name and not (name.isascii() and name.isidentifier()):
            raise ValueError("expected the name of an environment variable, not what it holds")
        return name

    @field_validator("extra")
    @classmethod
    def _free_fields(cls, extra: dict[str, Any]) -> dict[str, Any]:
        taken = {"model", "prompt", "messages", "stream", "n"} & set(extra)
        if taken:
            raise ValueError(f"{', '.join(sorted(taken))} cannot be set here")
        return extra


class VllmSection(Section):
    """Options of `engine.kind: vllm`; other engines ignore them."""

    adapters: int = Field(32, ge=1)
    """Maximum number of LoRA adapters in one batch. A larger population is generated in turns. Each slot uses the
    memory of one adapter."""
    dtype: Literal["float32", "bfloat16", "float16", "auto"] = "float32"
    """Data type of weights, adapters and cache. Only float32 gives the same greedy texts as the torch engine."""
    cache_gb: float = Field(1.0, gt=0)
    """Memory of the key-value cache, in units of 10^9 bytes. Requests that do not fit wait."""
    context: int = Field(4096, ge=16)
    """Maximum number of tokens of prompt and completion together, limited by the model's own maximum. `cache_gb` must
    hold at least one sequence of this length."""
    eager: bool = True
    """Do not compile CUDA graphs: slower generation, start in seconds. Set it to false on GPUs for speed; the CPU is
    always eager."""
    sleep: bool = False
    """Release GPU memory while adapters are trained, so that the learner can use it. GPU only, not measured."""


class EngineSection(Section):
    """The engine that generates text, and the device."""

    kind: str = Field("torch", json_schema_extra={"choices": list(ENGINES)})
    """Engine. `torch`: in this process. `vllm`: vLLM with one LoRA adapter per agent. `openai`: a server with an
    OpenAI-compatible API. Or the import path of an `EngineSpec`, such as mypackage.engines:SPEC."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device of the torch engine and the learner. `auto`: the GPU if there is one."""
    max_rows: int = Field(96, ge=1)
    """Maximum number of sequences that the torch engine generates at a time, per thread; others wait for a free row."""
    openai: OpenAISection = OpenAISection()
    threads: int = Field(2, ge=1)
    """Number of torch threads. A run repeats exactly only with the same number, because rounding depends on it."""
    vllm: VllmSection = VllmSection()
    options: dict[str, Any] = Field(default_factory=dict)
    """Options of an engine that is named by import path. Built-in engines take none."""

    @field_validator("kind")
    @classmethod
    def _known(cls, kind: str) -> str:
        find_engine(kind)
        return kind

    @model_validator(mode="after")
    def _sections(self) -> EngineSection:
        if self.spec.section == "openai" and not self.openai.model:
            raise ValueError(
                f"engine.kind {self.kind} needs engine.openai.model, the model's name in the server's list"
            )
        if self.options and self.kind in ENGINES:
            raise ValueError(
                f"options are set, but engine.kind is {self.kind}: only an engine named by import path has them"
            )
        return self

    @property
    def spec(self) -> EngineSpec:
        """What the engine can do."""
        return find_engine(self.kind)

    @property
    def model_name(self) -> str:
        """The name under which a remote engine has its model."""
        return self.openai.model if self.spec.section == "openai" else self.kind
