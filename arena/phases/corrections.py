"""Corrections: before training, agents rewrite some of their failed attempts from the first wrong step.

The agent sees the verdict. In the bare notation it continues its attempt from the verified steps before the mistake; in
a chat it is shown its attempt with the wrong step, and writes the whole answer again. What execution then verifies is
trained on as an answer to the original prompt, so that the next attempt needs no correction. The control
(`sleep.review_step: random`) calls a step wrong that was drawn at random.
"""

from __future__ import annotations

from dataclasses import dataclass

from agents.engine import Request
from agents.learner import Example
from agents.prompt import Prompt
from arena.phases.experience import attempt_id
from arena.phases.records import request
from arena.rounds.roles import solver
from arena.rounds.round import Ask, Round, solver_seat
from arena.run.fold import RunState
from arena.run.models import Models
from arena.run.store import Row
from curricula.domain import Attempt, Credited, Span


@dataclass(frozen=True)
class _Rewrite:
    """One request for a correction. `kept` is the beginning of the attempt that the reply continues."""

    round: Round
    agent: str
    attempt: str
    prompt: Prompt
    kept: str
    step: int
    request: Request


def corrections(state: RunState, models: Models, agents: list[str]) -> tuple[list[Example], list[Row]]:
    """At most `sleep.review` corrections of each agent, in one engine call: examples of those that are right, and rows
    of table `corrections`."""
    asked = [rewrite for agent in agents for rewrite in _rewrites(state, models, agent)]
    done = models.generate([rewrite.request for rewrite in asked])
    examples, rows = list[Example](), list[Row]()
    for rewrite, completion in zip(asked, done, strict=True):
        text = _joined(rewrite.kept, completion.text)
        right = rewrite.round.verify(text).correct
        if right:
            examples.append(Example(rewrite.agent, rewrite.prompt, text))
        rows.append(
            {
                "attempt": rewrite.attempt,
                "generation": state.generation.index,
                "agent": rewrite.agent,
                "step": rewrite.step,
                "text": text,
                "correct": int(right),
            }
        )
    return examples, rows


def _rewrites(state: RunState, models: Models, agent: str) -> list[_Rewrite]:
    config, found = state.config, list[_Rewrite]()
    for r in state.generation.rounds if config.sleep.review else ():
        if agent not in r.solvers or r.problem is None or r.doubt:
            continue
        seat = solver_seat(r.solvers.index(agent))
        for attempt, verdict in zip(r.attempts, r.verdicts, strict=True):
            if attempt.agent == agent and not verdict.correct:
                found.append(_rewrite(state, models, r, seat, attempt))
    rng = state.rng(state.generation.index, agent, "review")
    return rng.sample(found, min(len(found), config.sleep.review))


def _rewrite(state: RunState, models: Models, r: Round, seat: str, attempt: Attempt) -> _Rewrite:
    assert r.problem is not None
    voice, notes, agent, text = models.voice, r.notes.get(seat, ()), attempt.agent, attempt.text
    id_ = attempt_id(r, attempt)
    prompt = solver.ask(voice, r.domain, agent, r.problem, notes)
    steps = r.domain.credit(r.problem, text) if isinstance(r.domain, Credited) else []
    step = _step(state, id_, steps)
    kept = "" if voice.chat or step is None else text[: steps[step].start]
    if voice.chat:
        wrong = "" if step is None else text[steps[step].start : steps[step].stop]
        shown: Prompt = solver.ask_again(voice, r.domain, agent, r.problem, notes, text, wrong)
    else:
        shown = _joined(str(prompt), kept).rstrip(" ")
    ask = Ask(seat, agent, "review", attempt.index % r.attempts_each, shown)
    asked = request(state, r.id, ask, state.config.rounds.temperature, agent)
    return _Rewrite(r, agent, id_, prompt, kept, 0 if step is None else step + 1, asked)


def _joined(text: str, more: str) -> str:
    """A text and its continuation, one space or line break apart."""
    return f"{text.rstrip(' ')} {more}" if text and not text.endswith("\n") else f"{text}{more}"


def _step(state: RunState, attempt: str, steps: list[Span]) -> int | None:
    """The index of the step that is called wrong; None if the attempt has none."""
    if state.config.sleep.review_step == "random":
        return state.rng(attempt, "review").randrange(len(steps)) if steps else None
    return next((i for i, span in enumerate(steps) if span.right is False), None)
