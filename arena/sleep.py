"""The sleep phase: a generation's experience, the library and some of the school become weights.

Each agent's examples are fresh worked examples, a sample of the archive, its own paid proposals (weighted by what
they were paid), and seed examples against forgetting. Prompts are rebuilt as they would be asked, with the
definitions a post cites.
"""

from __future__ import annotations

import random
from typing import Any

from agents.learner import Example, Learner
from arena.engines import rest
from arena.seed_data import SeedData
from arena.state import Arena
from culture.library import Read
from curricula.replay import Entry


def sleep(arena: Arena) -> dict[str, list[Any]]:
    """Train all agents in one mixed batch; write the adapters; give the records. None where nobody learns."""
    if arena.learner is None:
        return {"sleeps": [], "checkpoints": [], "reads": []}
    g = arena.generation.index
    examples: list[Example] = []
    reads: list[Read] = []
    for agent in arena.living:
        chosen = library_sample(arena, agent)
        reads += [Read(g, "sleep", agent, f"g{g:04d}", e.post, 1.0) for e in chosen]
        examples += [entry_example(arena, agent, e) for e in chosen]
        examples += paid_proposals(arena, agent)
        rng, school = arena.rng(g, agent, "school"), SeedData()
        drawn = [school.draw(rng) for _ in range(arena.config.sleep.seed_examples)]
        examples += [Example(agent, e.prompt, e.completion) for e in drawn]
    rest(arena.engine)
    reports = arena.learner.sleep(examples, f"{arena.config.seed}/{g}/sleep")
    arena.generation.tokens.trained += sum(r.tokens for r in reports)
    arena.act()
    sleeps = [
        {
            "generation": g,
            "agent": r.agent,
            "examples": r.examples,
            "tokens": r.tokens,
            "steps": r.steps,
            "loss": r.loss,
        }
        for r in reports
    ]
    return {"sleeps": sleeps, "checkpoints": write_checkpoint(arena, arena.learner), "reads": reads}


def library_sample(arena: Arena, agent: str) -> list[Entry]:
    """Fresh and archived worked examples; a newborn without inherited weights reads more."""
    g, config = arena.generation.index, arena.config.sleep
    mine = None if arena.config.library.network != "self" else agent
    rng = arena.rng(g, agent, "sleep")
    row = arena.store.query("SELECT born, inherited FROM agents WHERE name = ?", [agent])[0]
    first = row["born"] == g - 1 > 0 and row["inherited"] == "library"
    fresh = arena.bank.sample(rng, config.fresh, g, author=mine, born=range(g, g + 1))
    more = config.newborn if first else 0
    return fresh + arena.bank.sample(rng, config.archive + more, g, author=mine, born=range(g))


def entry_example(arena: Arena, agent: str, entry: Entry) -> Example:
    """A worked example as its reader would meet it: names with their definitions, shuffled among others."""
    domain = arena.domains[entry.domain]
    problem = domain.problem(entry.text)
    shown: list[str] = []
    if problem.names:
        rng = random.Random(f"{arena.config.seed}/{arena.generation.index}/{agent}/{entry.post}")
        defined = arena.library.definitions(problem.names)
        shown = [d.body for d in defined.values()]
        others = [n for n in arena.library.definition_ids() if n not in problem.names]
        more = rng.sample(others, min(arena.config.library.distractors, len(others)))
        shown += [d.body for d in arena.library.definitions(more).values()]
        rng.shuffle(shown)
    return Example(agent, domain.solve_prompt(problem, shown), entry.solution)


def paid_proposals(arena: Arena, agent: str) -> list[Example]:
    """The agent's own proposals that were paid, the best first."""
    config = arena.config
    if config.rounds.setter != "self" or not config.sleep.proposals:
        return []
    outcomes = arena.generation.outcomes
    paid = [
        (outcomes[r.id]["setter_reward"], r)
        for r in arena.generation.rounds
        if r.author == agent and r.problem is not None and outcomes[r.id]["setter_reward"] > 0
    ]
    paid.sort(key=lambda x: (-x[0], x[1].id))
    weight = config.sleep.proposal_weight
    return [
        Example(agent, r.domain.propose_prompt(r.parent), r.proposal, weight * reward)
        for reward, r in paid[: config.sleep.proposals]
    ]


def write_checkpoint(arena: Arena, learner: Learner) -> list[dict[str, Any]]:
    """Acting adapters as PEFT folders and the learner's state; rows with their digests."""
    g = arena.generation.index
    folder = f"adapters/g{g:04d}"
    rows = []
    for name in arena.living:
        path = f"{folder}/{name}"
        row = learner.acting_row(name)
        sha = learner.layout.save_peft(row, arena.folder / path, arena.base_name)
        rows.append({"generation": g, "name": name, "path": path, "sha256": sha})
    path = f"{folder}/learner.safetensors"
    sha = learner.save(arena.folder / path)
    rows.append({"generation": g, "name": "learner", "path": path, "sha256": sha})
    return rows
