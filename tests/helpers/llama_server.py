"""llama.cpp's own server (package xllamacpp) with a model of the cache, in a process of its own on loopback."""

from __future__ import annotations

import importlib.util
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from arena.tools.bench.llama_peer import command

CONTEXT, SLOTS = 4096, 2
"""Tokens of a text, and requests served at a time."""


def require_llama() -> None:
    """Skip loudly where llama.cpp is not installed."""
    if importlib.util.find_spec("xllamacpp") is None:
        pytest.skip("NOT TESTED: llama.cpp's server: the package xllamacpp is not installed here (make dev)")


def write_served_model(path: Path, folder: Path, kind: str = "F16") -> Path:
    """Write a byte-level Llama of the cache as a GGUF file with its tokenizer and chat template."""
    import torch
    import transformers

    from tests.helpers.gguf_files import write_gguf

    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    config = json.loads((folder / "config.json").read_text())
    stored = json.loads((folder / "tokenizer.json").read_text())
    control = {t["id"] for t in stored["added_tokens"] if t["special"]}
    tokens: dict[str, int] = stored["model"]["vocab"] | {t["content"]: t["id"] for t in stored["added_tokens"]}
    tokenizer: dict[str, Any] = {
        "model": "gpt2",
        "pre": "smollm",
        "tokens": sorted(tokens, key=tokens.__getitem__),
        "token_type": [3 if i in control else 1 for i in range(len(tokens))],
        "merges": [" ".join(pair) for pair in stored["model"]["merges"]],
        "eos_token_id": config["eos_token_id"],
        "add_bos_token": False,
    }
    template = {"tokenizer.chat_template": (folder / "chat_template.jinja").read_text()}
    return write_gguf(path, model, kind, tokenizer, template)


@contextmanager
def llama_server(model: Path) -> Iterator[str]:
    """The address of a server, ending in /v1, which has ended afterwards."""
    started, log = command(model, SLOTS, CONTEXT, 1), model.with_suffix(".log")
    pipe = subprocess.PIPE
    with open(log, "wb") as told, subprocess.Popen(started, stdin=pipe, stdout=pipe, stderr=told, text=True) as process:
        try:
            assert process.stdout
            address = process.stdout.readline().strip()
            assert address, log.read_text()[-3000:]
            yield f"{address}/v1"
        finally:
            process.kill()
