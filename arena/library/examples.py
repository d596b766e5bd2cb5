"""Fine-tuning examples: worked examples of the library, and the school that the shipped model was taught on."""

from __future__ import annotations

import random

from agents.learner import Example
from arena.library.definitions import DefinitionIndex
from arena.rounds.roles import solver
from arena.rounds.roles.voice import Voice
from arena.run.fold import RunState
from curricula.list_school import SeedData
from curricula.replay import Entry


def seed_examples(state: RunState, agent: str, n: int) -> list[Example]:
    rng, data = state.rng(state.generation.index, agent, "school"), SeedData()
    drawn = [data.draw(rng) for _ in range(n)]
    return [Example(agent, e.prompt, e.completion) for e in drawn]


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
