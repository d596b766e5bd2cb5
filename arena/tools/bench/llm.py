"""Part `llm`: generation and sleep of a real language model, beside transformers, PEFT and the matrix limit.

Prompts and examples are word problems after three solved ones, as in self-play: long prompts of which most is shared.
All sides take turns in the same minutes. The matrix limit is that of our own run, which computes shared prefixes once.
vLLM takes part in generation if an interpreter has it, llama.cpp without adapters if `--gguf` names a file of the same
model.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import lru_cache, partial
from pathlib import Path

from agents.checkpoint import read_config, resolve_dtype
from agents.hub import find_model
from agents.learner import Example
from arena.tools.bench import ours, roofline_ours, workload
from arena.tools.bench.plans import (
    LLAMA,
    OURS,
    Case,
    Options,
    Planned,
    Target,
    adapter_folders,
    vllm_python,
    without_missing,
)
from arena.tools.bench.roofline_ours import LIMIT
from arena.tools.bench.timing import Side
from arena.tools.bench.workload import NEW_TOKENS, RANK, Batch
from curricula.word_problems import WordProblems

ROWS, EXAMPLES, LEARNERS = 16, 8, 4
QUICK_ROWS, QUICK_EXAMPLES = 4, 2
ADAPTERS = (0, 4, 16)
SHOWN = 3  # solved examples at the beginning of every prompt
LONGEST = 768
"""Maximum number of tokens of a prompt."""
SLOWER = 150.0  # than the shipped model, about
TRANSFORMERS, PEFT, IN_SEQUENCE, FLOAT32 = "transformers", "peft mixed batch", "peft in sequence", "ratchet, float32"


def cases(options: Options, folder: Path) -> Iterator[Case]:
    """Generation without adapters, with 4 and with 16, then sleep."""
    model = find_model(options.llm)
    for count in ADAPTERS:
        yield generating(model, workload.names(count), options, folder)
    yield learning(model, workload.names(LEARNERS), options, folder)


@lru_cache(maxsize=4)
def texts(count: int, turn: int) -> tuple[tuple[str, str], ...]:
    """Prompts with their solutions. All prompts begin with the same solved examples."""
    domain, rng = WordProblems(), random.Random(f"bench/llm/{turn}")
    shown = [domain.random_problem(random.Random(f"bench/llm/shown/{i}"), 1) for i in range(SHOWN)]
    start = "\n\n".join(f"{domain.solve_prompt(p, ())}\n{domain.solution(p)}" for p in shown)
    problems = [domain.random_problem(rng, 1 + i % 2) for i in range(count)]
    return tuple((f"{start}\n\n{domain.solve_prompt(p, ())}\n", domain.solution(p)) for p in problems)


def generating(model: Path, names: list[str], options: Options, folder: Path) -> Case:
    rows = max(QUICK_ROWS if options.quick else ROWS, len(names))
    chosen: list[str | None] = [names[i % len(names)] if names else None for i in range(rows)]
    dtype = resolve_dtype("auto", read_config(model), "cpu")
    peer, new = PEFT if names else TRANSFORMERS, rows * NEW_TOKENS
    adapters = f"{len(names)} adapters of rank {RANK}" if names else "no adapter"
    case = Case(
        "llm generate", f"{model.name}: {rows} prompts, {NEW_TOKENS} new tokens each, {adapters}, {dtype}", 0, []
    )
    case.tokens, case.asked = new * 4, new

    def batch(turn: int) -> Batch:
        return Batch([prompt for prompt, _ in texts(rows, turn)], chosen)

    def build_ours(name: str, kind: str) -> Side:
        engine = ours.Generate(model, names, kind)
        return Side(name, lambda turn: engine.run(batch(turn), turn))

    def build_peer() -> Side:
        from arena.tools.bench import hf_peers

        side = hf_peers.Generate(model, adapter_folders(model, names, folder), dtype)
        return Side(peer, lambda turn: side.run(batch(turn)))

    def build_vllm() -> Side:
        from arena.tools.bench import vllm_peer

        paths = adapter_folders(model, names, folder)
        engine = vllm_peer.Generate(vllm_python(options) or Path(), model, paths, rows, options.threads, LONGEST)
        return Side("vllm", lambda turn: engine.run(batch(turn)), engine.close)

    def build_llama() -> Side:
        from arena.tools.bench import llama_peer

        engine = llama_peer.Generate(options.gguf or Path(), rows, options.threads)
        return Side(LLAMA, lambda turn: engine.run(batch(turn)), engine.close)

    def build_limit() -> Side:
        side, note = roofline_ours.generating(model, names, batch(0), batch(1), dtype)
        case.notes.append(note)
        return side

    case.sides = [
        Planned(OURS, partial(build_ours, OURS, dtype), SLOWER),
        *([] if dtype == "float32" else [Planned(FLOAT32, partial(build_ours, FLOAT32, "float32"), 2 * SLOWER)]),
        Planned(peer, build_peer, 2 * SLOWER, 3.0),
        Planned("vllm", build_vllm, SLOWER, 25.0),
        *([] if names else [Planned(LLAMA, build_llama, 2 * SLOWER, 3.0)]),
        Planned(LIMIT, build_limit, SLOWER / 2, 10.0),
    ]
    case.targets = [Target((peer,), 2.5 if names else 1.5), Target(("vllm",), 1.0)]
    case.targets.append(Target((LIMIT,), 0.5) if names else Target((LLAMA,), 1.0))
    return without_missing(case, options, (peer,))


def learning(model: Path, names: list[str], options: Options, folder: Path) -> Case:
    each = QUICK_EXAMPLES if options.quick else EXAMPLES
    examples = [Example(name, *pair) for name in names for pair in texts(each, 0)]
    dtype = resolve_dtype("auto", read_config(model), "cpu")
    title = f"{model.name}: {len(names)} adapters of rank {RANK}, {each} examples each in one step, {dtype}"
    case = Case("llm learn", title, 300 * len(examples), [])

    def build_ours(name: str, kind: str) -> Side:
        return Side(name, ours.Learn(model, names, examples, each, kind).run)

    def build_peft() -> Side:
        from arena.tools.bench import hf_peers

        side = hf_peers.Learn(model, adapter_folders(model, names, folder), examples, each, dtype)
        return Side(IN_SEQUENCE, lambda turn: side.run())

    def build_limit() -> Side:
        side, note = roofline_ours.learning(model, names, examples, each, dtype)
        case.notes.append(note)
        return side

    case.sides = [
        Planned(OURS, partial(build_ours, OURS, dtype), SLOWER),
        *([] if dtype == "float32" else [Planned(FLOAT32, partial(build_ours, FLOAT32, "float32"), 2 * SLOWER)]),
        Planned(IN_SEQUENCE, build_peft, 2 * SLOWER, 3.0),
        Planned(LIMIT, build_limit, SLOWER / 2, 10.0),
    ]
    case.targets = [Target((IN_SEQUENCE,), 2.0), Target((LIMIT,), 0.6)]
    return without_missing(case, options, (IN_SEQUENCE,))
