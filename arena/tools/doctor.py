"""The command `doctor`: checks of the installation, one line each, with what to do about a failed one.

Not guaranteed: that an installation without findings is fast enough, or that a model server answers.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shutil
import sqlite3
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from arena.config.shipped import CHECKOUT, PACKAGES, ROOT, SEED_FOLDER, typed_command

OPTIONAL = {
    "vllm": "generation with vLLM (docs/engines.md)",
    "ray": "islands on several machines",
    "huggingface_hub": "models by their Hugging Face name",
    "transformers": "comparison with Hugging Face models",
    "peft": "loading a run's adapters elsewhere",
    "trl": "the benchmark's peers",
    "tensorboardX": "live figures in TensorBoard",
}
"""Optional dependencies by import name, and what each is used for."""
LEAST_SHARED = 2**29
"""Bytes of /dev/shm below which Ray is slow or fails."""

Finding = tuple[str, str]
"""(state, line); the state is ok, missing (optional) or wrong."""


def check() -> Iterator[Finding]:
    """All findings, in the order in which they are printed."""
    version = ".".join(map(str, sys.version_info[:3]))
    yield ("ok" if sys.version_info >= (3, 11) else "wrong", f"Python {version} (3.11 or later is required)")
    pins = pinned()
    for name, wanted in pins[""].items():
        yield _dependency(name, wanted)
    for name, use in OPTIONAL.items():
        if importlib.util.find_spec(name) is not None:
            yield "ok", f"{name} (optional)"
        else:
            yield "missing", f"{name} (optional), for {use}: {_install(name, pins)}"
    yield from clusters()
    yield from shadows()
    yield from seed_model()
    yield from named_models()
    yield from sandboxes()
    fts = any("FTS5" in row[0] for row in sqlite3.connect(":memory:").execute("PRAGMA compile_options"))
    yield (
        ("ok", "SQLite with FTS5") if fts else ("wrong", "SQLite of this Python lacks FTS5, which library search needs")
    )
    yield "ok", f"{os.cpu_count()} processor cores"
    writable = os.access(Path.cwd(), os.W_OK)
    yield ("ok", "run folders can be written here") if writable else ("wrong", f"{Path.cwd()} is not writable")


def pinned() -> dict[str, dict[str, str]]:
    """Pinned versions by distribution name: of the core under "", of each extra under its name.

    Read from pyproject.toml in a checkout, else from the installed package's metadata.
    """
    if CHECKOUT:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        lines = [("", line) for line in project["dependencies"]]
        lines += [(extra, line) for extra, some in project["optional-dependencies"].items() for line in some]
    else:
        lines = []
        for line in importlib.metadata.requires("ratchet-arena") or []:
            extra = re.search(r"""extra == ["']([^"']+)""", line)
            lines.append((extra[1] if extra else "", line))
    pins: dict[str, dict[str, str]] = {"": {}}
    for extra_name, line in lines:
        if found := re.match(r"([A-Za-z0-9_.-]+)==([0-9][0-9.]*)", line):
            pins.setdefault(extra_name, {})[found[1]] = found[2]
    return pins


def clusters() -> Iterator[Finding]:
    """Whether islands can run on Ray here (docs/scaling.md). All nodes of a cluster need the same version."""
    try:
        found = importlib.metadata.version("ray")
    except importlib.metadata.PackageNotFoundError:
        return
    wanted = pinned()["ray"]["ray"]
    if found != wanted:
        yield "missing", f"ray is {found}, {wanted} is required for islands: pip install ray=={wanted}"
    else:
        yield "ok", f"ray {found}, for islands on several machines"
    shared = Path("/dev/shm")
    if shared.is_dir() and shutil.disk_usage(shared).total < LEAST_SHARED:
        size = shutil.disk_usage(shared).total / 2**20
        yield "missing", f"{shared} has {size:.0f} MiB, too little for Ray's results (docker run --shm-size=1g)"


def shadows() -> Iterator[Finding]:
    """Whether the four packages are Ratchet's own: others have the same import names, such as openai-agents."""
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        origin = Path(spec.origin).resolve() if spec and spec.origin else None
        if origin is None or ROOT not in origin.parents:
            yield "wrong", f"another package called {name!r} is imported from {origin}: use a separate environment"
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


def sandboxes() -> Iterator[Finding]:
    """Which sandboxes for model-written code work here, and their guards (docs/sandbox.md)."""
    from curricula.sandboxes import make_sandbox

    for kind in ("monty", "subprocess"):
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
            yield "missing", f"sandbox {kind} without seccomp, do not use it for untrusted code: {guards}"
        else:
            yield "ok", f"sandbox {kind}: {guards}"


def seed_model() -> Iterator[Finding]:
    """Whether the shipped seed model can be loaded."""
    from agents.checkpoint import BaseModel
    from agents.tokenizer import Tokenizer

    try:
        base, tokenizer = BaseModel.load(SEED_FOLDER), Tokenizer(SEED_FOLDER)
    except ValueError as error:
        yield "wrong", f"{error}; train it again with: {typed_command('make-seed')}"
        return
    count = sum(w.numel() for w in base.weights.values())
    yield "ok", f"seed model: {count:,} parameters, {len(tokenizer)} words"


def named_models() -> Iterator[Finding]:
    """Which named models are on this machine, and whether their weights are the pinned ones."""
    from agents.checkpoint import weights_digest
    from agents.named_models import MODELS, check_weights, is_missing

    for name, model in MODELS.items():
        if is_missing(name):
            yield "missing", f"model {name} (optional): {typed_command('get-model', name)} ({model.size})"
            continue
        try:
            check_weights(name, weights_digest(name))
        except ValueError as error:
            yield "wrong", str(error)
        else:
            yield "ok", f"model {name} in {model.folder}"


def _dependency(name: str, wanted: str) -> Finding:
    install = "make install" if CHECKOUT else f"pip install {name}=={wanted}"
    try:
        found = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "wrong", f"{name} is not installed: {install}"
    if found.partition("+")[0] == wanted:
        return "ok", f"{name} {found}"
    return "wrong", f"{name} is {found}, {wanted} is required: {install}"


def _install(name: str, pins: dict[str, dict[str, str]]) -> str:
    """The pip command for an optional dependency, by its import name."""
    version = next(some[name] for extra, some in pins.items() if extra and name in some)
    return f"pip install {name}=={version}"
