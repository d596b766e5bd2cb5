"""The phase `solve`: every solver attempts its problems, with notes from the library, in one engine call.

Each attempt is verified once, here; the fold takes the stored verdicts.
"""

from __future__ import annotations

import json
from dataclasses import replace

from agents.engine import Request
from arena.library.context import notes
from arena.library.definitions import DefinitionIndex
from arena.phases.records import Produced, request
from arena.rounds.round import Ask, Round, solver_seat
from arena.run.fold import RunState, stored_numbers
from arena.run.state import Arena
from arena.run.store import Records, Row
from culture.library import Read
from curricula.domain import Credited, Verdict


def solve(arena: Arena) -> Produced:
    """All attempts of all solvers at all valid problems, with their verdicts."""
    state, models = arena.state, arena.models
    g = state.generation.index
    reads: list[Read] = []
    withheld: list[Read] = []
    index = DefinitionIndex(state)
    asks = []
    for r in state.generation.rounds:
        if r.problem is None:
            continue
        shown = dict[str, tuple[str, ...]]()
        for i, agent in enumerate(r.solvers):
            seat = solver_seat(i)
            found = notes(
                state,
                index,
                r.problem,
                agent,
                f"{r.id}/{seat}",
                "solve",
                count_tokens=models.engine.count_tokens,
                chat=models.voice.chat,
                withhold=arena.config.library.withhold,
            )
            shown[seat] = found.texts
            reads += found.reads
            withheld += found.withheld
        asks += [(r, ask, shown[ask.seat]) for ask in replace(r, notes=shown).asks()]
    done = models.generate([_request(state, r, ask) for r, ask, _ in asks])
    attempts = []
    for (r, ask, shown_texts), completion in zip(asks, done, strict=True):
        verdict = r.verify(completion.text)
        attempts.append(
            {
                "id": f"{r.id}/{ask.seat}/{ask.number}",
                "generation": g,
                "round": r.id,
                "agent": ask.agent,
                "seat": ask.seat,
                "number": ask.number,
                "notes": json.dumps(shown_texts),
                "text": completion.text,
                "correct": int(verdict.correct),
                "answer_correct": int(verdict.answer_correct),
                "reason": verdict.reason,
                "step": verdict.step,
                "answer": verdict.answer,
                "logprob": completion.logprob,
                "tokens": completion.generated_tokens,
                "logprobs": state.stored_logprobs(completion),
                "estimates": stored_numbers(completion.values),
                "stopped": int(completion.finish == "hopeless") if completion.values else None,
            }
        )
    return {"attempts": attempts, "reads": reads, "withheld": withheld}


def _request(state: RunState, r: Round, ask: Ask) -> Request:
    """The request for an attempt; with a value function, its steps are estimated, and it may be ended."""
    value, asked = state.config.sleep.value, request(state, r.id, ask, state.config.rounds.temperature, ask.agent)
    if not value.examples or not isinstance(r.domain, Credited):
        return asked
    spared = state.rng(r.id, ask.seat, ask.number, "spared").random() < value.spared
    return replace(asked, mark=r.domain.mark, stop_below=0.0 if spared else value.stop_below)


def fold_attempts(arena: Arena, records: Records) -> None:
    """Attempts and their verdicts as they were stored."""
    by_round: dict[str, list[Row]] = {}
    for row in records["attempts"]:
        arena.state.add_reply(row["id"], row)
        by_round.setdefault(row["round"], []).append(row)
    for round_ in arena.state.generation.rounds:
        rows = by_round.get(round_.id, [])
        if rows:
            round_.notes = {r["seat"]: tuple(json.loads(r["notes"])) for r in rows}
            round_.set_attempts([r["text"] for r in rows], [_verdict(r) for r in rows])


def _verdict(row: Row) -> Verdict:
    return Verdict(bool(row["correct"]), bool(row["answer_correct"]), row["reason"], row["step"], row["answer"])
