"""Held-out evaluation: the phases `measure`, `baseline` and `final`.

Evaluation is reported apart from compute, never trained on and never posted. In each generation it is greedy and small;
before the first and after the last generation it covers the full set, with pass@1 and pass@k. In a mixed population
the agents of the run's own model are evaluated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agents.engine import Request
from arena.library.context import notes
from arena.library.definitions import DefinitionIndex
from arena.phases.measure.collapse import collapse
from arena.phases.measure.newborn_school import schooled
from arena.phases.measure.ratchet_meter import ratchet, reading_due
from arena.rounds.roles import solver
from arena.run.fold import RunState
from arena.run.models import Models
from arena.run.state import Arena
from arena.run.store import Row
from curricula.domain import Named, Problem

Items = Sequence[tuple[str, Problem, int, int | None]]


def measure(arena: Arena) -> dict[str, list[Any]]:
    """Greedy held-out evaluation, different problems for each agent; collapse and the ratchet when they are due."""
    state, models = arena.state, arena.models
    n = arena.config.measure.per_depth
    items = [
        (agent, problem, depth, reading)
        for domain, depth, reading in evaluation_grid(state)
        for at, agent in enumerate(state.main_agents)
        for problem in cyclic(domain.heldout(arena.config.measure.split, depth), at * n, n)
    ]
    found: dict[str, list[Any]] = {
        "evaluations": evaluate(state, models, items, "greedy", 1, 0.0),
        "collapse": collapse(state, models),
    }
    return found | ({"ratchet": ratchet(state, models)} if reading_due(state, models) else {})


def baseline(arena: Arena, before: bool = True) -> dict[str, list[Any]]:
    """pass@1 (greedy) and pass@k (k samples) before the first generation, each problem answered by one agent."""
    state, models = arena.state, arena.models
    items = []
    for domain, depth, reading in evaluation_grid(state):
        problems = cyclic(domain.heldout(arena.config.measure.split, depth), 0, arena.config.measure.final_per_depth)
        agents = state.main_agents
        items += [(agents[i % len(agents)], p, depth, reading) for i, p in enumerate(problems)]
    k = arena.config.measure.passes
    place = "before" if before else "after"
    greedy = evaluate(state, models, items, "full", 1, 0.0, place)
    sampled = evaluate(
        state, models, [i for i in items if i[3] is None], "pass", k, arena.config.rounds.temperature, place
    )
    return {"evaluations": greedy + sampled}


def final(arena: Arena) -> dict[str, list[Any]]:
    """The same after the last generation, with newborns trained on parts of the library."""
    return baseline(arena, before=False) | {"ratchet": schooled(arena)}


def evaluation_grid(state: RunState) -> list[tuple[Any, int, int | None]]:
    """(domain, depth, reading); problems with hidden names are asked twice, without and with notes."""
    return [
        (domain, depth, reading)
        for domain in state.domains.values()
        for depth in state.config.measure.depths_of(domain)
        for reading in ((0, 1) if isinstance(domain, Named) else (None,))
    ]


def cyclic(problems: Sequence[Problem], start: int, n: int) -> list[Problem]:
    return [problems[(start + i) % len(problems)] for i in range(min(n, len(problems)))]


def evaluate(
    state: RunState,
    models: Models,
    items: Items,
    mode: str,
    k: int,
    temperature: float,
    place: str = "during",
) -> list[Row]:
    """k attempts at each item (agent, problem, depth, reading); a row of table `evaluations` for each."""
    g = state.generation.index
    requests, index = [], DefinitionIndex(state)
    for at, (agent, problem, _, reading) in enumerate(items):
        domain = state.domains[problem.domain]
        shown: tuple[str, ...] = ()
        if reading:
            where = f"evaluate/{mode}/{at}"
            count, chat = models.engine.count_tokens, models.voice.chat
            shown = notes(state, index, problem, agent, where, "evaluate", count_tokens=count, chat=chat).texts
        prompt = solver.ask(models.voice, domain, agent, problem, shown)
        adapter = None if g == 0 else agent  # before the first sleep every agent is the base model
        for j in range(k):
            key = f"{state.seed}/{g}/{place}/{mode}/{at}/{j}"
            requests.append(Request(key, prompt, adapter, state.config.rounds.max_tokens, temperature))
    done = iter(models.generate(requests))
    rows = []
    for at, (agent, problem, depth, reading) in enumerate(items):
        texts = [solver.read(models.voice, next(done).text) for _ in range(k)]
        verdicts = [state.domains[problem.domain].verify(problem, text) for text in texts]
        rows.append(
            {
                "id": f"g{g:04d}/{place}/{mode}/{at:05d}{state.mark}",
                "generation": g,
                "domain": problem.domain,
                "split": state.config.measure.split,
                "depth": depth,
                "agent": agent,
                "problem": problem.text,
                "reading": reading,
                "mode": mode,
                "k": k,
                "correct": sum(v.correct for v in verdicts),
                "answer_correct": sum(v.answer_correct for v in verdicts),
            }
        )
    return rows
