"""The benchmark of real model sizes, on the CPU: it runs, its counts are right, and it needs few packages."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from agents.adapters import AdapterLayout
from agents.checkpoint import FUSED
from arena.config.shipped import ROOT
from arena.tools.bench import gpu, plans
from arena.tools.bench.flops import forward, step_bytes
from arena.tools.bench.gpu import Large
from arena.tools.bench.gpu_setup import SHAPES, Device, NumberTokenizer, qwen3

BLOCKED = (
    "typer rich pydantic yaml numba cryptography textual sqlite_utils matplotlib httpx2 transformers peft "
    "pettingzoo gymnasium huggingface_hub"
)


@pytest.fixture
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short rates and texts, on the CPU wherever this runs; adapters act as they do in a large model."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("agents.adapters.MERGE_BELOW", 0)
    monkeypatch.setattr(gpu, "PROMPT", 24)
    monkeypatch.setattr(gpu, "LEARNED", 8)
    monkeypatch.setattr(gpu, "NEW", 6)
    monkeypatch.setattr(gpu, "MOST_ROWS", 16)
    monkeypatch.setattr(Device, "measure", lambda self: self.__dict__.update(bandwidth=1e10, matrix=1e11))


def test_miniature_runs(light: None) -> None:
    said: list[str] = []
    saved: list[int] = []
    found = gpu.measure(
        Large(("miniature",), (1, 3), 2), said.append, lambda so_far: saved.append(len(so_far["cases"]))
    )
    assert [(c["part"], c["adapters"]) for c in found["cases"]] == [
        (part, n) for n in (1, 3) for part in ("generate", "learn")
    ]
    assert saved == [1, 2, 3, 4] and found == json.loads(json.dumps(found))
    for case in found["cases"]:
        assert case["failed"] is None and case["peak_bytes"] > 10_000_000 and len(case["samples"]) == 2
        assert {s["tokens"] for s in case["samples"]} == {
            case["adapters"] * 8 * (6 if case["part"] == "generate" else 24)
        }
        for key in ("tokens_per_second", "matrix_fraction"):
            assert 0 < case[key]["low"] <= case[key]["median"] <= case[key]["high"]
    assert all(len(line) <= 110 for line in said) and sum("miniature" in line for line in said) == 4


def test_decoding_steps_are_timed_separately(light: None) -> None:
    """24 rows in 16 places: two waves of five steps after the token that reading the prompts gives."""
    turn = gpu.generating(SHAPES["miniature"], 3, Device())(0)
    layout = AdapterLayout(SHAPES["miniature"], gpu.RANK, gpu.ALPHA)
    assert turn.steps == 10 and 0 < turn.decode < turn.wall
    assert turn.read == sum(step_bytes(layout, n, 8 * n * (24 + k), 4) for n in (2, 1) for k in range(1, 6))
    steps = [forward(layout, 8 * n, 8 * n, 8 * n * (24 + k)).generating for n in (2, 1) for k in range(1, 6)]
    assert turn.flops == sum(steps) + forward(layout, 24 * 24, 24, 24 * 24 * 25 // 2).generating


def test_counts_of_a_toy_model() -> None:
    """Projections of 16, 8, 8, 16, 32, 32 and 32 numbers; of rank 1, adapters of 64 numbers a layer."""
    toy = AdapterLayout(qwen3(10, 4, 8, 2, 2, 1, 2, 64), 1, 1.0)
    base, cached = 10 * 4 + 2 * (144 + 4 + 4 + 2 + 2) + 4, 2 * 2 * 1 * 2 * 5
    assert step_bytes(toy, 3, 5, 2) == 2 * (base + 3 * 128 + cached) == 1560
    found = forward(toy, tokens=3, wanted=1, pairs=6)
    assert found.base == 2 * 144 * 3 + 2 * 32 * 3 + 2 * 112 + 2 * 40 == 1360
    assert found.adapters == 2 * 64 * 3 + 2 * 20 * 3 + 2 * 44 == 592
    assert found.attention == 2 * 6 * (2 * 2 * 2) * 2 == 192
    assert found.generating == 2144 and found.training == 2 * 1360 + 3 * 592 + 3 * 192


def fused_zeros(layout: AdapterLayout, tokens: int, wanted: int) -> int:
    """Operations of a pass on the zeros of fused adapters: the second factors of projections that are computed together
    are one block-diagonal matrix."""
    c, found = layout.config, 0
    for group, members in FUSED.items():
        times = tokens * (c.num_hidden_layers - 1) + (tokens if group == "qkv" else wanted)
        found += 2 * layout.rank * (len(members) - 1) * sum(c.shape(p)[0] for p in members) * times
    return found


@pytest.mark.parametrize("part", ["generate", "learn"])
def test_counts_equal_torchs_flop_counter(part: str, light: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for attention, which torch's counter does not know on every device; and a gradient of the first layer's
    input is counted that nobody takes. What is computed on zeros is added: it is run, and not needed."""
    original = gpu.forward

    def counted(layout: AdapterLayout, tokens: int, wanted: int, pairs: int) -> object:
        found = original(layout, tokens, wanted, 0)
        return replace(found, adapters=found.adapters + fused_zeros(layout, tokens, wanted))

    monkeypatch.setattr(gpu, "forward", counted)
    monkeypatch.setattr("arena.tools.bench.flops.forward", counted)
    run = gpu.PARTS[part](SHAPES["miniature"], 2, Device())
    with FlopCounterMode(display=False) as counter:
        turn = run(0)
    done = [
        flops
        for name, flops in counter.get_flop_counts()["Global"].items()
        if str(name).split(".")[-1] in ("mm", "bmm", "addmm", "baddbmm")
    ]
    assert 0.9 * turn.flops <= sum(done) <= 1.001 * turn.flops


def test_out_of_memory_is_reported(light: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next case is still measured."""

    def too_much(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 80.00 GiB.\nMore words")

    monkeypatch.setitem(gpu.PARTS, "generate", too_much)
    said: list[str] = []
    first, second = gpu.measure(Large(("miniature",), (1,), 1), said.append)["cases"]
    assert first["failed"] == "out of memory: CUDA out of memory. Tried to allocate 80.00 GiB."
    assert any("out of memory" in line for line in said) and second["failed"] is None
    assert gpu.out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"))
    assert not gpu.out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


def test_published_shapes_have_published_sizes() -> None:
    """596, 4,022 and 8,191 million numbers, a tied embedding counted once."""
    sizes = {n: sum(torch.Size(s).numel() for s in c.shapes().values()) for n, c in SHAPES.items()}
    assert sizes["qwen3-0.6b"] == 596_049_920 and sizes["qwen3-4b"] == 4_022_468_096
    assert sizes["qwen3-8b"] == 8_190_735_360


def test_number_tokenizer() -> None:
    tokenizer = NumberTokenizer(100)
    assert tokenizer.encode(["17 4 98"]) == [[17, 4, 98]]
    assert tokenizer.encode_completions(["1 2"], ["17 4 98"]) == [[17, 4, 98, tokenizer.eos]]
    assert tokenizer.decode([[17, 4, 99]]) == ["17 4"] and tokenizer.count("17 4") == 2
    assert (tokenizer.eos, tokenizer.stops, len(tokenizer), tokenizer.largest) == (99, {99}, 100, 99)


def test_wrong_options_are_named() -> None:
    with pytest.raises(ValueError, match=r"unknown shape 'qwen3-4'; did you mean 'qwen3-4b'\? \(shapes: qwen3-0.6b"):
        Large.parse("miniature,qwen3-4", "16", 5)
    with pytest.raises(ValueError, match="--adapters takes numbers such as 16,64, got '16;64'"):
        Large.parse(None, "16;64", 5)
    with pytest.raises(ValueError, match="at least 1"):
        Large.parse(None, "0", 5)
    assert Large.parse("Qwen3-4B, miniature", "16, 64", 3) == Large(("qwen3-4b", "miniature"), (16, 64), 3)


def test_large_runs_only_if_named() -> None:
    assert "large" not in plans.check([], plans.Options())
    assert plans.check(["large", "learn"], plans.Options()) == ("learn", "large")
    with pytest.raises(ValueError, match="unknown part 'larg'; did you mean 'large'"):
        plans.check(["larg"], plans.Options())


@pytest.mark.slow
def test_bare_command_needs_few_packages(tmp_path: Path) -> None:
    code = f"import sys, runpy; sys.modules.update(dict.fromkeys({BLOCKED.split()!r})); sys.argv[0] = 'large'; "
    code += "runpy.run_module('arena.tools.bench.gpu', run_name='__main__')"
    command = [sys.executable, "-c", code, "--shapes", "miniature", "--adapters", "1", "--repeats", "1"]
    done = subprocess.run(
        [*command, "--json", str(tmp_path / "l.json")], capture_output=True, text=True, cwd=ROOT, timeout=120
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "l.json").read_text())
    assert found["format"] == "ratchet-bench/1" and len(found["large"]["cases"]) == 2
    assert found["large"]["bandwidth"] > 1e8 and found["large"]["matrix"] > 1e9
    wrong = subprocess.run(
        [*command, "--json", "/nowhere/l.json"], capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    assert wrong.returncode == 2 and wrong.stderr == "error: no folder /nowhere for l.json\n"


@pytest.mark.slow
def test_command_stores_large_with_other_parts(tmp_path: Path) -> None:
    command = [sys.executable, "run_arena.py", "bench", "large", "--shapes", "miniature", "--adapters", "1"]
    command += ["--repeats", "1", "--json", str(tmp_path / "l.json")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "l.json").read_text())
    assert found["cases"] == [] and [c["part"] for c in found["large"]["cases"]] == ["generate", "learn"]
    assert "targets" not in done.stdout and "about 0" not in done.stdout
