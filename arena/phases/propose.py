"""The phase `propose`: every setter sets its problems, and every agent guesses at undefined names, in one engine call.

Each proposal is parsed once, here; the fold rebuilds a valid problem from its stored text.
"""

from __future__ import annotations

import json

from arena.phases.guess import Guessing
from arena.phases.records import Produced, request
from arena.phases.scripted_setters import scripted_proposal
from arena.rounds.roles import guesser
from arena.rounds.round import SETTER
from arena.run.state import Arena
from arena.run.store import Records
from curricula.domain import Problem, Rejection


def propose(arena: Arena) -> Produced:
    """Every setter sets its problems, and every agent guesses at names that nobody knows yet."""
    state, models = arena.state, arena.models
    g, config, rounds = state.generation.index, arena.config.rounds, state.generation.rounds
    by_model = config.setter in ("self", "frozen")
    requests = []
    if by_model:
        for r in rounds:
            ask = r.asks()[0]
            adapter = r.author if config.setter == "self" else models.unadapted(r.author)
            requests.append(request(state, r.id, ask, config.set_temperature, adapter))
    guessing = Guessing(state, models)
    done = models.generate(requests + guessing.requests())
    problems, seen = [], set[str]()
    for i, r in enumerate(rounds):
        text = done[i].text if by_model else scripted_proposal(state, r)
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
                "logprobs": state.stored_logprobs(done[i]) if by_model else None,
            }
        )
    return {"problems": problems, "guesses": guessing.rows(done[len(requests) :]), "knowledge": guessing.knowledge}


def fold_proposals(arena: Arena, records: Records) -> None:
    """Problems and rejections as stored; guesses by whether they were right."""
    state = arena.state
    by_round = {r["round"]: r for r in records["problems"]}
    for round_ in state.generation.rounds:
        row = by_round[round_.id]
        state.add_reply(f"{round_.id}/{SETTER}", row, "proposal")
        found = round_.domain.problem(row["text"]) if row["valid"] else Rejection(row["reason"], row["detail"])
        round_.set_problem(row["proposal"], found)
        if isinstance(found, Problem):
            state.seen.add(found.text_key)
    if state.words_domain() is None:
        return
    for row in records.get("guesses", ()):
        guesses = state.generation.right_guesses if row["correct"] else state.generation.wrong_guesses
        guesses.append((row["agent"], row["name"], guesser.read(arena.models.voice, row["text"])))
