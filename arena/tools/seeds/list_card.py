"""The skills of the seed model by task, and its model card."""

from __future__ import annotations

import random
from pathlib import Path

from agents.atomic import write_atomically
from agents.checkpoint import BaseModel
from agents.engine import Request
from agents.engine_torch import TorchEngine
from agents.tokenizer import Tokenizer
from curricula import list_programs as lp
from curricula.domain import Problem
from curricula.hidden_words import HiddenWords
from curricula.list_school import MIX, NAMING_DEPTHS, READ_TAIL, TAIL, TAIL_DEPTHS

LONGEST = 112
"""Tokens of a solution of the deepest program, at most."""


def measure_skills(folder: Path, n: int = 200) -> dict[str, float]:
    """Greedy skills of a model folder, each a share of n items, on held-out dev problems where they exist."""
    engine = TorchEngine(BaseModel.load(folder), Tokenizer(folder))
    domain, words, rng = lp.ListPrograms(), HiddenWords(world=1), random.Random("ratchet/skills")
    found: dict[str, float] = {}

    def answers(prompts: list[str], temperature: float = 0.0) -> list[str]:
        requests = [Request(f"skills/{i}", p, None, LONGEST, temperature) for i, p in enumerate(prompts)]
        return [c.text for c in engine.generate(requests)]

    for depth in range(1, lp.MAX_DEPTH + 1):
        problems = domain.heldout("dev", depth)[:n]
        texts = answers([domain.solve_prompt(p, ()) for p in problems])
        found[f"solve, depth {depth}"] = share(
            [domain.verify(p, t).correct for p, t in zip(problems, texts, strict=True)]
        )
    for level in (1, 2, 3):
        for others in (0, 1, 2):
            names = [w for w in words.words if words.world.bodies[w] and int(w[1:]) // 8 + 1 == level]
            problems, prompts = [], []
            for _ in range(n):
                problem = words.random_use(rng, names)
                notes = [words.definition(x, words.world.bodies[x]) for x in problem.names]
                notes += [words.definition(x, words.world.bodies[x]) for x in rng.sample(words.words[:24], others)]
                rng.shuffle(notes)
                problems.append(problem)
                prompts.append(words.solve_prompt(problem, notes))
            texts = answers(prompts)
            key = f"read, body of {level + 1}, {others} distractors"
            found[key] = share([words.verify(p, t).correct for p, t in zip(problems, texts, strict=True)])
    proposals = [domain.parse_proposal(t) for t in answers([domain.propose_prompt(None)] * n, 1.0)]
    found["set: valid"] = share([isinstance(p, Problem) for p in proposals])
    parents = [domain.random_problem(rng, rng.randint(2, 6)) for _ in range(n)]
    texts = answers([domain.propose_prompt(p.text) for p in parents], 1.0)
    found["vary: valid"] = share([isinstance(domain.parse_proposal(t), Problem) for t in texts])
    for level in (1, 2, 3):
        names = [w for w in words.words if int(w[1:]) // 8 + 1 == level]
        guesses = [words.guess(rng.choice(names), [words.world.parent[w] or w for w in names], rng) for _ in range(n)]
        texts = answers([g.prompt for g in guesses])
        right = [isinstance(words.check_guess(g.name, t), tuple) for g, t in zip(guesses, texts, strict=True)]
        found[f"guess, body of {level + 1}"] = share(right)
    return found


def share(flags: list[bool]) -> float:
    return sum(flags) / len(flags)


def write_card(folder: Path, recipe: object, start: str, naming: float, skills: dict[str, float]) -> None:
    """Write README.md of the model folder. `start`: the model that training began from; empty: random weights."""
    low, high = NAMING_DEPTHS
    origin = f"`agents/{start}`" if start else "scratch"
    long = (
        f"{naming:.0%} of all examples are solutions of depths {low} to {high}, of which the operations,",
        "separators and the end are learned, but not the lists: the model finds its place in programs that it cannot",
        "compute.",
    )
    lines = [
        "# The seed model",
        "",
        f"A word-level Llama that ships with Ratchet, trained from {origin} by `ratchet make-seed`.",
        "It is small and half-taught on purpose: it solves short list programs, reads definitions, sets and varies",
        "problems, and leaves the rest to self-play and culture.",
        "",
        "## Recipe",
        "",
        f"`{recipe}`",
        "",
        f"Task shares: {', '.join(f'{k} {v:.2f}' for k, v in MIX.items())}. Depths 3 to 6 are {TAIL:.0%} of the",
        f"solve data and {READ_TAIL:.0%} of the read data (in shares {TAIL_DEPTHS[1]}), the rest is depth 1",
        "and 2; set and vary data go up to depth 10. No held-out problem occurs.",
        *(long if naming else ()),
        "Muon on matrices, AdamW on the rest, linear decay. Licence: MIT, as the project.",
        "",
        "## Skills (greedy; held-out dev problems for solve)",
        "",
        "| task | share |",
        "|---|---|",
        *(f"| {k} | {v:.2f} |" for k, v in skills.items()),
        "",
    ]
    write_atomically(folder / "README.md", "\n".join(lines).encode())
