"""Model collapse: compares a population that trains on its own data with a fixed reference, the base model.

Every `measure.collapse` generations, for each agent that set problems or lives: the perplexity of its valid proposals
to the base model without an adapter; the share of a fixed sample of the school's setting texts that it gives less than
a tenth of the probability the base model gives them (tails vanish first; Shumailov et al. 2024); variety, depth and
entropy of its proposals. Scoring is evaluation: it is reported apart from compute, nothing is trained on it.

Perplexity can go either way: it falls when agents set ever more of what the base model would say first, and rises when
they go where it would not. Left out: runs in which nobody learns, or a server holds the weights, and other models of a
mixed population: there is nothing to score. Not guaranteed: that a change is a loss, since agents are paid to leave the
school's shallow problems behind. A lost tail together with proposals that get less varied or shallower is what the
report calls collapse.
"""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Sequence
from functools import cache

from agents.learner import BASE_MODEL, Example, Score
from arena.config.population import MAIN
from arena.rounds.roles import setter
from arena.run.fold import RunState
from arena.run.models import Models
from arena.run.store import Row
from culture.measures import distinct_at, perplexity, tail_mass
from curricula.list_school import SeedData

TEXTS = 64
"""Number of texts of each of the two tasks."""
BELOW = 0.1
"""A text counts as lost from the tail below this share of its initial probability."""
WORDS = 60
"""Number of words of an agent's proposals that variety is measured on; with fewer it is not measured."""


PROPOSALS = (
    "SELECT p.round, p.author, p.domain, p.proposal, p.text, p.valid, p.depth, p.logprob, p.tokens, r.parent"
    " FROM problems p JOIN rounds r ON r.id = p.round WHERE p.generation = ? ORDER BY r.number"
)


def collapse(state: RunState, models: Models) -> list[Row]:
    """Rows of table `collapse`, one for each agent that lives or set problems in this generation; empty if not due.

    NULL where there is nothing to measure: proposals of a newborn, the tail of an agent that retired.
    """
    g, every, learner = state.generation.index, state.config.measure.collapse, models.learner
    if learner is None or not every or g % every:
        return []
    proposals: dict[str, list[Row]] = defaultdict(list)
    living = state.main_agents
    for row in state.store.query(PROPOSALS, [g]):
        if state.model(row["author"]) == MAIN:
            proposals[row["author"]].append(row)
    agents = sorted({*living, *proposals})
    valid = {a: [r for r in proposals[a] if r["valid"]] for a in agents}
    asked = [
        Example(
            BASE_MODEL,
            setter.ask_for_round(models.voice, state.domains[r["domain"]], a, r["round"], r["parent"]),
            setter.say(models.voice, r["proposal"]),
        )
        for a in agents
        for r in valid[a]
    ]
    minds = (BASE_MODEL, *living)
    asked += [Example(mind, *text) for mind in minds for text in reference()]
    scores = learner.score(asked)
    models.tokens.prompt += sum(models.engine.count_tokens(str(e.prompt)) for e in asked)
    models.tokens.prompt += sum(s.tokens for s in scores)
    found = iter(scores)
    of_proposals = {a: [next(found) for _ in valid[a]] for a in agents}
    of_reference = {mind: [next(found) for _ in reference()] for mind in minds}
    return [
        {
            "generation": g,
            "agent": a,
            "perplexity": _known(_perplexity(of_proposals[a])),
            "tail_mass": _known(_tail(of_reference[a], of_reference[BASE_MODEL])) if a in of_reference else None,
            "distinct_2": _known(distinct_at([r["text"].partition("|")[0] for r in valid[a]], 2, WORDS)),
            "depth": _mean([r["depth"] for r in valid[a]]),
            "entropy": _entropy(proposals[a]),
        }
        for a in agents
    ]


def _perplexity(scores: Sequence[Score]) -> float:
    fit = [s for s in scores if s.tokens]
    return perplexity([s.nats for s in fit], [s.tokens for s in fit])


def _tail(now: Sequence[Score], before: Sequence[Score]) -> float:
    fit = [(a.nats, b.nats) for a, b in zip(now, before, strict=True) if a.tokens]
    return tail_mass([a for a, _ in fit], [b for _, b in fit], BELOW)


def _entropy(rows: Sequence[Row]) -> float | None:
    """Nats a token of all proposals under the policy that sampled them, as in arena/report/metrics/entropy.py."""
    rows = [r for r in rows if r["logprob"] is not None and r["tokens"]]
    return -math.fsum(r["logprob"] for r in rows) / sum(r["tokens"] for r in rows) if rows else None


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


@cache
def reference() -> tuple[tuple[str, str], ...]:
    """(prompt, completion) of every text."""
    school = SeedData()
    drawn = []
    for task in ("set", "vary"):
        rng = random.Random(f"ratchet/collapse/reference/{task}")
        drawn += [school.draw(rng, task) for _ in range(TEXTS)]
    return tuple((e.prompt, e.completion) for e in drawn)
