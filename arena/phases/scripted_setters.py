"""Programs as setters: the controls that a language model has to beat."""

from __future__ import annotations

from arena.rounds.round import Round
from arena.run.fold import RunState
from curricula.domain import Named
from curricula.list_programs import ListPrograms
from curricula.list_school import SeedData


def scripted_proposal(state: RunState, round_: Round) -> str:
    """A problem text: a mutated parent from the library, a uniformly random problem, or one drawn like the seed data
    (`rounds.setter`)."""
    rng, domain = state.rng(round_.id, "scripted"), round_.domain
    if state.config.rounds.setter == "mutator" and round_.parent:
        return domain.mutate(round_.parent, rng)
    if isinstance(domain, Named):
        return domain.random_use(rng, sorted(state.library.definition_ids())).text
    if state.config.rounds.setter == "uniform" or not isinstance(domain, ListPrograms):  # the school is of these alone
        return domain.random_problem(rng).text
    return SeedData().solve_problem(rng).text
