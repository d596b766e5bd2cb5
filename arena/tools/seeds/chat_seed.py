"""Trains one LoRA adapter that teaches an instruction-tuned model the roles of a run (`ratchet make-seed --from`).

The exercises are those of `arena/rounds/school.py`, in the brief chat form, and the learner is that of sleep. Length is
counted in steps, and the learning rate falls linearly to 10 %. The result is the same on one machine with the same
number of threads. Writes a PEFT folder in bfloat16 with a model card: rates by role and level before and after.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from agents.adapters import Adapters
from agents.atomic import write_atomically
from agents.checkpoint import BaseModel, weights_digest
from agents.engine import Request
from agents.engine_torch import TorchEngine
from agents.hub import find_model
from agents.learner import Example, Learner, LearnerConfig
from agents.tokenizer import Tokenizer
from arena.config.registries import domain_class, make_domain
from arena.rounds import school
from arena.rounds.roles import author, guesser, setter, solver
from arena.rounds.roles.voice import Voice
from curricula.domain import Domain, Named, Problem, Requestable, Taught

NAME = "seed"
VOICE = Voice(chat=True, brief=True, requests=True)
SHARES = {"solve": 1.0, "set": 5.0, "vary": 1.0, "grade": 0.5, "notes": 0.5, "post": 0.5, "guess": 1.0}
"""Weights of the roles in the exercises. The school teaches form: setting is what a small model cannot do at all, and
skill in solving is left to self-play."""
EASY = {0: 2.0, 1: 2.0, 2: 1.0, 3: 0.5}
"""Weights of the depths in the exercises; a domain without a depth leaves it out."""
WORLDS = 8
CHUNK = 5
"""Steps between lines of progress and changes of the learning rate."""
MOST_TOKENS = 160
"""Maximum number of tokens of a reply when skills are measured."""


@dataclass(frozen=True)
class ChatRecipe:
    steps: int = 150
    batch: int = 8
    rank: int = 8
    alpha: float = 16.0
    learning_rate: float = 1e-3
    final_fraction: float = 0.1
    seed: int = 0


def train(learner: Learner, domains: Sequence[Domain], recipe: ChatRecipe, report: Callable[[str], None]) -> int:
    """Train the adapter `NAME` of a learner. Returns the number of trained tokens."""
    rng, tokens, started = random.Random(f"ratchet/chat_seed/{recipe.seed}"), 0, time.monotonic()
    for step in range(0, recipe.steps, CHUNK):
        now = min(CHUNK, recipe.steps - step)
        fraction = 1 - (1 - recipe.final_fraction) * step / recipe.steps
        learner.config = replace(learner.config, learning_rate=recipe.learning_rate * fraction)
        drawn = [exercise(rng, domains) for _ in range(now * recipe.batch)]
        (slept,) = learner.sleep([Example(NAME, *e) for e in drawn], f"{recipe.seed}/{step}")
        tokens += slept.tokens
        speed = tokens / (time.monotonic() - started)
        report(f"step {step + now}/{recipe.steps}  loss {slept.loss:.3f}  {tokens:,} tokens  {speed:,.0f} tokens/s")
    return tokens


def worlds(name: str) -> list[Domain]:
    """A domain, in several worlds where names mean something else in each run, so that no meaning is learned."""
    option = getattr(domain_class(name), "seed_option", "")
    return [make_domain(name, **{option: 10_000 + i}) for i in range(WORLDS)] if option else [make_domain(name)]


def exercise(rng: random.Random, domains: Sequence[Domain]) -> school.Exercise:
    chosen = rng.choice(list(dict.fromkeys(d.name for d in domains)))
    same = [d for d in domains if d.name == chosen]
    domain = rng.choice(same) if len(same) > 1 else same[0]
    depths = {d: w for d, w in EASY.items() if d in domain.depths} or {domain.depths[0]: 1.0}
    return school.draw(VOICE, domain, rng, SHARES, depths)


def measure(engine: TorchEngine, domain: Domain, adapter: str | None, n: int) -> dict[str, float]:
    """Rates by role and level, each of `n` items: greedy on held-out dev problems, sampled for proposals and posts."""
    rng, found = random.Random("ratchet/chat_seed/skills"), dict[str, float]()

    def replies(prompts: Sequence[object], temperature: float) -> list[str]:
        requests = [
            Request(f"skills/{i}", p, adapter, MOST_TOKENS, temperature)  # type: ignore[arg-type]
            for i, p in enumerate(prompts)
        ]
        return [c.text for c in engine.generate(requests)]

    for depth in domain.depths[:4]:
        problems = list(domain.heldout("dev", depth))[:n]
        notes = [
            [domain.true_definition(name) for name in p.names] if isinstance(domain, Named) else [] for p in problems
        ]
        asked_ = [solver.ask(VOICE, domain, school.PUPIL, p, read) for p, read in zip(problems, notes, strict=True)]
        texts = replies(asked_, 0.0)
        verdicts = [domain.verify(p, solver.read(VOICE, t)) for p, t in zip(problems, texts, strict=True)]
        found[f"solve, level {depth}"] = sum(v.correct for v in verdicts) / len(problems)
    if isinstance(domain, Named):
        drawn = [domain.guess(rng.choice(domain.words), domain.words, rng) for _ in range(n)]
        texts = replies([guesser.ask(VOICE, school.PUPIL, g) for g in drawn], 0.0)
        right = [domain.check_guess(g.name, guesser.read(VOICE, t)) for g, t in zip(drawn, texts, strict=True)]
        return found | {"guess": sum(isinstance(r, tuple) for r in right) / n}
    asked = [setter.request(VOICE, domain, f"skills/{i}", None) for i in range(n)]
    texts = replies([setter.ask(VOICE, domain, school.PUPIL, None, a) for a in asked], 1.0)
    set_ = [domain.parse_proposal(setter.read(VOICE, t)) for t in texts]
    found["set: valid"] = sum(isinstance(p, Problem) for p in set_) / n
    if isinstance(domain, Requestable):
        met = [isinstance(p, Problem) and domain.meets(p, a) for p, a in zip(set_, asked, strict=True)]
        found["set: of the requested kind"] = sum(met) / n
    parents = [domain.random_problem(rng, domain.depths[i % 3]).text for i in range(n)]
    texts = replies([setter.ask(VOICE, domain, school.PUPIL, p) for p in parents], 1.0)
    varied = [domain.parse_proposal(setter.read(VOICE, t)) for t in texts]
    new = [isinstance(p, Problem) and p.text != q for p, q in zip(varied, parents, strict=True)]
    found["vary: valid and new"] = sum(new) / n
    if isinstance(domain, Taught):
        prompts = [e[0] for _ in range(n) if (e := school.post(VOICE, domain, rng, domain.depths[0])) is not None]
        drafts = [author.read(t) for t in replies(prompts, 0.7)]
        found["post: in form"] = sum(any(isinstance(d, author.Draft) for d in ds) for ds in drafts) / n
    return found


def make(
    model: str, domain_names: Sequence[str], folder: Path, recipe: ChatRecipe, threads: int, n: int,
    report: Callable[[str], None],
) -> list[str]:  # fmt: skip
    """Train, measure and document an adapter; returns the measured rates as lines.

    Raises:
        ValueError: the model or a domain cannot be found, or the model has no chat template.
    """
    torch.set_num_threads(threads)
    source = find_model(model)
    base, tokenizer = BaseModel.load(source), Tokenizer(source)
    domains = [make_domain(name) for name in domain_names]
    taught = [d for name in domain_names for d in worlds(name)]
    engine = TorchEngine(base, tokenizer)
    report("measuring the model before training")
    before = {d.name: measure(engine, d, None, n) for d in domains}
    settings = LearnerConfig(recipe.rank, recipe.alpha, recipe.learning_rate, recipe.batch)
    learner = Learner(base, tokenizer, settings)
    learner.add(NAME, learner.layout.fresh(f"{recipe.seed}/{NAME}"))
    tokens = train(learner, taught, recipe, report)
    row = learner.acting_row(NAME).to(torch.bfloat16)
    engine.set_adapters(Adapters(base, learner.layout, [NAME], row.float()[None]))
    report("measuring the model after training")
    after = {d.name: measure(engine, d, NAME, n) for d in domains}
    digest = weights_digest(source)
    learner.layout.save_peft(row, folder, model, digest)
    write_atomically(folder / "README.md", card(model, digest, domains, recipe, tokens, n, before, after))
    return [
        f"{name:<16}{task:<28}{rate:.2f} -> {after[name][task]:.2f}"
        for name, rates in before.items()
        for task, rate in rates.items()
    ]


def card(
    model: str, digest: str, domains: Sequence[Domain], recipe: ChatRecipe, tokens: int, n: int,
    before: dict[str, dict[str, float]], after: dict[str, dict[str, float]],
) -> bytes:  # fmt: skip
    """The model card."""
    roles = [
        f"{d.name}: {_shares({role: share for role, share in SHARES.items() if role in school.roles_of(d)})}"
        for d in domains
    ]
    rows = [
        f"| {name} | {task} | {rate:.2f} | {after[name][task]:.2f} |"
        for name, rates in before.items()
        for task, rate in rates.items()
    ]
    return "\n".join(
        [
            f"# An adapter for {model}",
            "",
            f"A LoRA adapter for {model} (weights `{digest[:16]}`) that knows the form of the roles of a run:",
            "solving, setting and varying problems, grading, reading notes, and writing posts.",
            "Made by `ratchet make-seed --from`. Licence: that of the model (SmolLM2: Apache-2.0, by Hugging Face).",
            "",
            f"Recipe: `{recipe}`, {tokens:,} tokens.",
            f"Shares of roles: {'; '.join(roles)}. Shares of levels: {_shares(EASY)}.",
            "No exercise is a held-out problem; held-out problems come from the same templates.",
            "",
            f"Rates of {n} items before and after (held-out dev problems, greedy; proposals at temperature 1):",
            "",
            "| domain | task | before | after |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    ).encode()


def _shares(weights: dict[str, float] | dict[int, float]) -> str:
    total = sum(weights.values())
    return ", ".join(f"{name} {weight / total:.2f}" for name, weight in weights.items())
