"""The skills of a Python seed model by kind and level, and its model card."""

from __future__ import annotations

import random
from pathlib import Path

from agents.atomic import write_atomically
from agents.checkpoint import BaseModel
from agents.engine import Request
from agents.engine_torch import TorchEngine
from agents.tokenizer import Tokenizer
from arena.tools.seeds.list_card import share
from curricula.domain import Problem
from curricula.python_programs import PythonPrograms
from curricula.python_school import LEVELS, SHARES, TASKS
from curricula.python_tasks import KINDS

MAX_TOKENS = 320


def measure_skills(folder: Path, device: str = "cpu", n: int = 60) -> dict[str, float]:
    """Greedy skills on all held-out dev problems by kind and level, and the share of n proposals that are valid."""
    engine = TorchEngine(BaseModel.load(folder, device=device), Tokenizer(folder))
    domain, rng, found = PythonPrograms(), random.Random("ratchet/python_skills"), dict[str, float]()

    def answers(prompts: list[str], temperature: float) -> list[str]:
        requests = [Request(f"skills/{i}", p, None, MAX_TOKENS, temperature) for i, p in enumerate(prompts)]
        return [c.text for c in engine.generate(requests)]

    problems = [p for depth in domain.depths for p in domain.heldout("dev", depth)]
    texts = answers([domain.solve_prompt(p, ()) for p in problems], 0.0)
    right = [domain.verify(p, t).correct for p, t in zip(problems, texts, strict=True)]
    for kind in KINDS:
        for depth in domain.depths:
            ours = [r for p, r in zip(problems, right, strict=True) if p.depth == depth and p.text.startswith(kind)]
            found[f"{kind}, level {depth}"] = share(ours)
    proposals = [domain.parse_proposal(t) for t in answers([domain.propose_prompt(None)] * n, 1.0)]
    found["set: valid"] = share([isinstance(p, Problem) for p in proposals])
    parents = [domain.random_problem(rng, rng.randint(1, 4)).text for _ in range(n)]
    varied = answers([domain.propose_prompt(p) for p in parents], 1.0)
    kept = [isinstance(domain.parse_proposal(t), Problem) for t in varied]
    new = [t.strip() != p for t, p in zip(varied, parents, strict=True)]
    found["vary: valid and new"] = share([k and w for k, w in zip(kept, new, strict=True)])
    return found


def write_card(folder: Path, size: str, recipe: object, examples: int, skills: dict[str, float]) -> None:
    """Write README.md of the model folder."""
    command = f"ratchet make-seed --school python --size {size} --folder {folder.name}"
    shares = ", ".join(f"{level}: {part}" for level, part in zip(LEVELS, SHARES, strict=True))
    lines = [
        "# A seed model for python_programs",
        "",
        f"A byte-level Llama trained from scratch on synthetic Python functions, by `{command}`.",
        "It knows the bare prompts of that domain and nothing else.",
        "",
        "## Recipe",
        "",
        f"`{recipe}`",
        "",
        f"{examples} examples ({', '.join(TASKS)}). Functions by level, in percent: {shares}.",
        "Deductions show what each statement sets. No held-out function occurs.",
        "Muon on matrices, AdamW on the rest, linear decay.",
        "",
        "## Skills (greedy; held-out dev problems, 16 of each kind and level)",
        "",
        "| task | share |",
        "|---|---|",
        *(f"| {task} | {skill:.2f} |" for task, skill in skills.items()),
        "",
    ]
    write_atomically(folder / "README.md", "\n".join(lines).encode())
