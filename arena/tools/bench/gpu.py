"""Real model sizes on a GPU: how close generating and learning come to the rates of the device.

The weights are random, of published shapes, and made on the device; only time and memory are measured. Also a command
for a bare machine, `python -m arena.tools.bench.gpu`, which needs torch, numpy, safetensors and tokenizers only.
`flops.py` counts the necessary operations; `gpu_setup.py` has the shapes and the device. Left out: peers, quality,
several devices. On the CPU it runs on one thread, as a check that it works.
"""

from __future__ import annotations

import argparse
import difflib
import json
import platform
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from agents.adapters import AdapterLayout, Adapters
from agents.architectures import ModelConfig
from agents.atomic import write_atomically
from agents.engine import Request
from agents.engine_torch import TorchEngine
from agents.learner import Example, Learner, LearnerConfig
from arena.tools.bench.flops import DecodeClock, forward
from arena.tools.bench.gpu_setup import SHAPES, Device, NumberTokenizer
from arena.tools.bench.timing import Spread

RANK, ALPHA = 16, 32.0
PER_ADAPTER, PROMPT, NEW, MOST_ROWS = 8, 256, 64, 512  # requests or examples; tokens; rows that generate at a time
LEARNED = 128  # of an example's 256 tokens
HEADS = ("part      shape       adapters", "tokens/s", "range", "peak GiB", "bandwidth", "matrices")
FORM = "{:<30} {:>10} {:>17} {:>9} {:>10} {:>9}"


@dataclass(frozen=True)
class Large:
    """What to measure. Default shapes: qwen3-0.6b on a GPU, miniature on a CPU."""

    shapes: tuple[str, ...] = ()
    adapters: tuple[int, ...] = (16, 64)
    repeats: int = 5

    def __post_init__(self) -> None:
        for shape in self.shapes:
            if shape not in SHAPES:
                near = difflib.get_close_matches(shape, SHAPES, n=1, cutoff=0.4)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise ValueError(f"unknown shape {shape!r}{hint} (shapes: {', '.join(SHAPES)})")
        if not self.adapters or min(self.adapters) < 1 or self.repeats < 1:
            raise ValueError(f"adapters and repeats must be at least 1, got {self.adapters} and {self.repeats}")

    @staticmethod
    def parse(shapes: str | None, adapters: str, repeats: int) -> Large:
        """Parse the options of a command line. Raises ValueError for a bad number or an unknown shape."""
        if not all(n.strip().isdecimal() for n in adapters.split(",")):
            raise ValueError(f"--adapters takes numbers such as 16,64, got {adapters!r}")
        names = tuple(s.strip().lower() for s in shapes.split(",")) if shapes else ()
        return Large(names, tuple(int(n) for n in adapters.split(",")), repeats)


@dataclass(frozen=True)
class Turn:
    """One timed turn: its tokens, seconds and necessary operations; of its decoding steps, their number, their seconds
    and the bytes that they need to read."""

    tokens: int
    wall: float
    flops: int
    steps: int = 0
    decode: float = 0.0
    read: int = 0


def texts(vocabulary: int, count: int, length: int, seed: str) -> list[str]:
    """Texts of `length` random ids, none of which ends a text."""
    draw = random.Random(seed)
    return [" ".join(map(str, draw.choices(range(vocabulary - 1), k=length))) for _ in range(count)]


def generating(config: ModelConfig, adapters: int, device: Device) -> Callable[[int], Turn]:
    base, layout = device.base(config), AdapterLayout(config, RANK, ALPHA)
    names = [f"a{i}" for i in range(adapters)]
    flat = torch.empty(adapters, layout.size, device=device.at)
    flat.normal_(0, 0.01, generator=torch.Generator(device.at).manual_seed(1))
    rows = adapters * PER_ADAPTER
    engine = TorchEngine(base, NumberTokenizer(config.vocab_size), max_rows=min(rows, MOST_ROWS))
    engine.set_adapters(Adapters(base, layout, names, flat))
    inner = engine.ops

    def turn(number: int) -> Turn:
        prompts = texts(config.vocab_size, rows, PROMPT, f"generate/{number}")
        requests = [
            Request(f"{number}/{i}", p, names[i % adapters], NEW, min_tokens=NEW) for i, p in enumerate(prompts)
        ]
        clock = DecodeClock(inner, layout, PROMPT, PER_ADAPTER, base.dtype.itemsize, device.sync)
        ops: Any = clock
        engine.ops = ops
        made = 0

        def run() -> None:
            nonlocal made
            made = sum(c.generated_tokens for c in engine.generate(requests))
            clock.pause()

        wall = device.seconds(run)
        prefill = forward(layout, rows * PROMPT, rows, rows * PROMPT * (PROMPT + 1) // 2)
        return Turn(made, wall, prefill.generating + clock.flops, len(clock.noted), clock.seconds, clock.read)

    return turn


def learning(config: ModelConfig, adapters: int, device: Device) -> Callable[[int], Turn]:
    base = device.base(config)
    learner = Learner(base, NumberTokenizer(config.vocab_size), LearnerConfig(RANK, ALPHA, batch=PER_ADAPTER))
    generator, names = torch.Generator(device.at).manual_seed(1), [f"a{i}" for i in range(adapters)]
    for name in names:
        row = torch.empty(learner.layout.size, device=device.at)
        learner.add(name, row.normal_(0, 0.01, generator=generator))
    rows = adapters * PER_ADAPTER
    needed = forward(learner.layout, rows * PROMPT, rows * LEARNED, rows * PROMPT * (PROMPT + 1) // 2).training

    def turn(number: int) -> Turn:
        prompts = texts(config.vocab_size, rows, PROMPT - LEARNED, f"prompt/{number}")
        written = texts(config.vocab_size, rows, LEARNED - 1, f"completion/{number}")  # and the end of text
        examples = [Example(names[i % adapters], *both) for i, both in enumerate(zip(prompts, written, strict=True))]
        trained = 0

        def run() -> None:
            nonlocal trained
            trained = sum(r.tokens for r in learner.sleep(examples, str(number)))

        wall = device.seconds(run)
        return Turn(trained, wall, needed)

    return turn


PARTS = {"generate": generating, "learn": learning}


def measure_case(part: str, shape: str, adapters: int, repeats: int, device: Device) -> dict[str, Any]:
    """One case as it is stored: a warm-up, then `repeats` turns. `failed` says if memory was not sufficient."""
    record: dict[str, Any] = {"part": part, "shape": shape, "adapters": adapters, "failed": None}
    device.clear()
    try:
        run = PARTS[part](SHAPES[shape], adapters, device)
        device.clear()
        turns = [run(number) for number in range(repeats + 1)][1:]
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        return record | {"failed": "out of memory: " + (str(error).strip().splitlines() or ["MemoryError"])[0]}
    record["tokens_per_second"] = asdict(Spread.of([t.tokens / t.wall for t in turns]))
    record["matrix_fraction"] = asdict(Spread.of([t.flops / t.wall / device.matrix for t in turns]))
    if part == "generate":
        record["step_seconds"] = asdict(Spread.of([t.decode / t.steps for t in turns]))
        record["bandwidth_fraction"] = asdict(Spread.of([t.read / t.decode / device.bandwidth for t in turns]))
    return record | {"peak_bytes": device.peak(), "samples": [asdict(t) for t in turns]}


def out_of_memory(error: BaseException) -> bool:
    words = str(error).lower()
    return (
        isinstance(error, torch.OutOfMemoryError | MemoryError) or "allocate memory" in words or "alloc_failed" in words
    )


def measure(
    options: Large, say: Callable[[str], object], save: Callable[[dict[str, Any]], object] = lambda _: None
) -> dict[str, Any]:
    """Measure and print every case; `save` is called with the record so far after each."""
    device, threads = Device(), torch.get_num_threads()
    if not device.gpu:
        torch.set_num_threads(1)
    try:
        device.measure()
        found: dict[str, Any] = {"device": device.name, "dtype": str(device.dtype).removeprefix("torch.")}
        found |= {"bandwidth": device.bandwidth, "matrix": device.matrix, "torch": str(torch.__version__)}
        found |= {"rank": RANK, "repeats": options.repeats, "cases": []}
        say(f"large: {found['device']}, {found['dtype']}, torch {found['torch']}")
        say(f"a copy moves {device.bandwidth / 1e9:,.0f} GB/s, a product does {device.matrix / 1e12:,.2f} TFLOP/s")
        say(FORM.format(*HEADS))
        for shape in options.shapes or ("qwen3-0.6b" if device.gpu else "miniature",):
            for adapters in options.adapters:
                for part in PARTS:
                    found["cases"].append(measure_case(part, shape, adapters, options.repeats, device))
                    say(case_words(found["cases"][-1]))
                    save(found)
        say("bandwidth: of the decoding steps; matrices: of the whole turn; both as shares of the two rates above")
    finally:
        torch.set_num_threads(threads)
    return found


def case_words(case: dict[str, Any]) -> str:
    """A line of the table."""
    name = f"{case['part']:<9} {case['shape']:<12}{case['adapters']:>8}"
    if case["failed"]:
        return f"{name}  {case['failed']}"
    rate, bandwidth = case["tokens_per_second"], case.get("bandwidth_fraction")
    return FORM.format(
        name,
        f"{rate['median']:,.0f}",
        f"{rate['low']:,.0f}-{rate['high']:,.0f}",
        f"{case['peak_bytes'] / 2**30:.1f}",
        f"{bandwidth['median']:.1%}" if bandwidth else "",
        f"{case['matrix_fraction']['median']:.1%}",
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command for a bare machine; a user's mistake is one line on standard error and exit status 2."""
    parser = argparse.ArgumentParser(prog="python -m arena.tools.bench.gpu", description="Real model sizes on a GPU.")
    parser.add_argument("--shapes", help=f"of {', '.join(SHAPES)}, with commas")
    parser.add_argument("--adapters", default="16,64", help="numbers of adapters, with commas")
    parser.add_argument("--repeats", type=int, default=5, help="timed turns a case, after a warm-up")
    parser.add_argument("--json", type=Path, help="save everything measured to this file")
    given = parser.parse_args(arguments)
    try:
        options, path = Large.parse(given.shapes, given.adapters, given.repeats), given.json
        if path is not None and not path.resolve().parent.is_dir():
            raise ValueError(f"no folder {path.parent} for {path.name}")

        def save(found: dict[str, Any]) -> None:
            if path is not None:
                record = {"format": "ratchet-bench/1", "machine": {"system": platform.platform()}, "large": found}
                write_atomically(path, json.dumps(record, indent=1).encode())

        measure(options, lambda line: print(line, flush=True), save)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
