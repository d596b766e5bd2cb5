"""TODO."""

from __future__ import annotations

import json

from arena.library.context import notes
from arena.library.definitions import Shelves
from arena.phases.records import Produced, request
from arena.run.state import Arena
from culture.library import Read


def solve(arena: Arena) -> Produced:
    """All solvers try all problems, with what the library has on the names in them."""
    g, config = arena.generation.index, arena.config.rounds
    reads: list[Read] = []
    withheld: list[Read] = []
    shelves = Shelves(arena)
    for r in arena.generation.rounds:
        if r.problem is None:
            continue
        for i, agent in enumerate(r.solvers):
            seat = f"solver_{i}"
            found = notes(arena, shelves, r.problem, agent, f"{r.id}/{seat}", "solve", arena.config.library.withhold)
            r.notes[seat] = found.texts
            reads += found.reads
            withheld += found.withheld
    asks = [(r, ask) for r in arena.generation.rounds for ask in (r.asks() if r.phase == "solve" else [])]
    done = arena.generate([request(arena, r.id, a, config.temperature, a.agent) for r, a in asks])
    rows_ = []
    for (r, ask), completion in zip(asks, done, strict=True):
        assert r.problem is not None
        verdict = r.verify(completion.text)
        rows_.append(
            {
                "id": f"{r.id}/{ask.seat}/{ask.number}",
                "generation": g,
                "round": r.id,
                "agent": ask.agent,
                "seat": ask.seat,
                "number": ask.number,
                "notes": json.dumps(r.notes[ask.seat]),
                "text": completion.text,
                "correct": int(verdict.correct),
                "answer_correct": int(verdict.answer_correct),
                "reason": verdict.reason,
                "step": verdict.step,
                "answer": verdict.answer,
                "logprob": completion.logprob,
                "tokens": completion.generated_tokens,
            }
        )
    return {"attempts": rows_, "reads": reads, "withheld": withheld}
