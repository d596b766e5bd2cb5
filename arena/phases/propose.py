"""TODO."""

from __future__ import annotations

import json

from arena.phases.guess import Guessing
from arena.phases.records import Produced, request
from arena.phases.scripted_setters import scripted_proposal
from arena.run.state import Arena
from curricula.domain import Problem, Rejection


def propose(arena: Arena) -> Produced:
    """Every setter sets its problems, and every agent guesses at names that nobody knows yet."""
    g, config, rounds = arena.generation.index, arena.config.rounds, arena.generation.rounds
    by_model = config.setter in ("self", "frozen")
    requests = []
    if by_model:
        for r in rounds:
            ask = r.asks()[0]
            requests.append(
                request(arena, r.id, ask, config.set_temperature, r.author if config.setter == "self" else None)
            )
    guessing = Guessing(arena)
    done = arena.generate(requests + guessing.requests())
    problems, seen = [], set[str]()
    for i, r in enumerate(rounds):
        text = done[i].text if by_model else scripted_proposal(arena, r)
        found = r.judge(text, seen)
        valid = isinstance(found, Problem)
        if isinstance(found, Problem):
            seen.add(found.text_key)
        problems.append(
            {
                "round": r.id,
                "generation": g,
                "domain": r.domain.name,
                "author": r.author,
                "proposal": text,
                "text": found.text if isinstance(found, Problem) else None,
                "valid": int(valid),
                "reason": found.reason if isinstance(found, Rejection) else "ok",
                "detail": found.detail if isinstance(found, Rejection) else "",
                "depth": found.depth if isinstance(found, Problem) else None,
                "text_key": found.text_key if isinstance(found, Problem) else None,
                "behaviour_key": found.behaviour_key if isinstance(found, Problem) else None,
                "features": json.dumps(r.domain.features(found)) if isinstance(found, Problem) else None,
                "logprob": done[i].logprob if by_model else None,
                "tokens": done[i].generated_tokens if by_model else 0,
            }
        )
    return {"problems": problems, "guesses": guessing.rows(done[len(requests) :]), "knowledge": guessing.knowledge}
