"""Fine-tuning examples: worked examples of the library, and exercises of the school."""

from __future__ import annotations

import random
import statistics

from agents.learner import Example
from arena.library.definitions import DefinitionIndex
from arena.rounds import school
from arena.rounds.roles import solver
from arena.rounds.roles.voice import Voice
from arena.run.fold import RunState
from curricula.domain import Domain
from curricula.learnability import variance
from curricula.list_school import SeedData
from curricula.replay import Entry

RARE = 0.1
"""Least weight of a level among the exercises."""


def seed_examples(state: RunState, voice: Voice, agent: str, n: int) -> list[Example]:
    """`n` exercises against forgetting: those of the shipped model, or in chat runs exercises in setting problems."""
    rng = state.rng(state.generation.index, agent, "school")
    if not voice.chat:
        data = SeedData()
        drawn = [data.draw(rng) for _ in range(n)]
        return [Example(agent, e.prompt, e.completion) for e in drawn]
    domains, found = list(state.domains.values()), list[Example]()
    shares = [d.share for d in state.config.domains.values()]
    kinds = {str(role): weight for role, weight in state.config.sleep.exercises.items()}
    levels = {domain.name: level_weights(state, domain) for domain in domains} if n else {}
    for _ in range(n):
        domain = rng.choices(domains, shares)[0]
        found.append(Example(agent, *school.draw(voice, domain, rng, kinds, levels[domain.name])))
    return found


def level_weights(state: RunState, domain: Domain) -> dict[int, float]:
    """Weights of the four easiest levels: the mean learnability (`curricula.learnability.variance`) of a level's
    problems in this generation, and at least `RARE`.

    Exercises in setting shift what is set towards their levels. Even weights made setters leave the levels at which
    their solvers learn (docs/measurements.md)."""
    rates: dict[int, list[float]] = {}
    for r in state.generation.rounds:
        if r.domain is domain and r.problem is not None and r.solve_rate is not None:
            rates.setdefault(r.problem.depth, []).append(variance(r.solve_rate))
    return {depth: max(RARE, statistics.fmean(rates.get(depth, [0.0]))) for depth in domain.depths[:4]}


def entry_example(state: RunState, voice: Voice, index: DefinitionIndex, agent: str, entry: Entry) -> Example:
    """A worked example as a solver would be asked it: with the definitions of its names, shuffled among distractors."""
    domain = state.domains[entry.domain]
    problem = domain.problem(entry.text)
    shown: list[str] = []
    if problem.names and state.config.library.reading:
        rng = random.Random(f"{state.seed}/{state.generation.index}/{agent}/{entry.post}")
        defined = index.shown(agent)
        shown = [defined[n].text for n in problem.names if n in defined]
        others = [n for n in defined if n not in problem.names]
        more = rng.sample(others, min(state.config.library.distractors, len(others)))
        shown += [defined[n].text for n in more]
        rng.shuffle(shown)
    prompt = solver.ask(voice, domain, agent, problem, shown)
    return Example(agent, prompt, solver.say(voice, entry.solution))
