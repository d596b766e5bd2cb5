"""Corrections: before training, agents rewrite some of their failed attempts from the first wrong step.

The agent sees the verdict. In the bare notation it continues its attempt from the verified steps before the mistake; in
a chat it is shown its attempt with the wrong step, and writes the whole answer again. What is still wrong can be
corrected again (`sleep.review_tries`). What execution then verifies is trained on as an answer to the original prompt,
so that the next attempt needs no correction. The control (`sleep.review_step: random`) calls a step wrong that was
drawn at random.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from agents.engine import Request
from agents.learner import Example
from agents.prompt import Prompt
from arena.library.visibility import visible_authors
from arena.phases.experience import attempt_id, own_attempts, some
from arena.phases.records import request
from arena.rounds.roles import solver
from arena.rounds.round import Ask, Round, solver_seat
from arena.run.fold import RunState
from arena.run.models import Models
from arena.run.store import Row
from curricula.domain import Attempt, Credited, Span

CHAT = 64
"""Tokens that a chat template may add to the texts of a prompt."""


@dataclass
class _Draft:
    """A failed attempt on its way to a correction. `attempt` has the text as it stands, `step` is the one that was
    called wrong last, from 1 (0: none), and `kept` the beginning of the text that the next reply continues."""

    round: Round
    attempt: Attempt
    prompt: Prompt
    step: int = 0
    kept: str = ""
    tries: int = 0
    right: bool = False

    @property
    def id(self) -> str:
        return attempt_id(self.round, self.attempt)


def corrections(state: RunState, models: Models, agents: list[str]) -> tuple[list[Example], list[Row]]:
    """At most `sleep.review` corrections of each agent, each in at most `sleep.review_tries` tries: examples of what is
    right then, and rows of table `corrections`. Every try of all agents is one engine call."""
    drafts = [draft for agent in agents for draft in _drafts(state, models, agent)]
    for _ in range(state.config.sleep.review_tries):
        asked = [(draft, _request(state, models, draft)) for draft in drafts if not draft.right]
        waiting = [(draft, wanted) for draft, wanted in asked if wanted is not None]
        done = models.generate([wanted for _, wanted in waiting])
        for (draft, _), completion in zip(waiting, done, strict=True):
            text = _joined(draft.kept, completion.text)
            draft.attempt, draft.tries = replace(draft.attempt, text=text), draft.tries + 1
            draft.right = draft.round.verify(text).correct
    right = [draft for draft in drafts if draft.right]
    examples = [e for agent in agents for e in _examples(state, models, agent, right)]
    rows = [
        {
            "attempt": draft.id,
            "generation": state.generation.index,
            "agent": draft.attempt.agent,
            "step": draft.step,
            "tries": draft.tries,
            "text": draft.attempt.text,
            "correct": int(draft.right),
        }
        for draft in drafts
    ]
    return examples, rows


def _examples(state: RunState, models: Models, agent: str, right: Sequence[_Draft]) -> list[Example]:
    """What the agent is trained on: its own corrections, each text once, or those of all that it reads."""
    own = [d for d in right if d.attempt.agent == agent]
    if state.config.sleep.review_of == "own":
        return list(dict.fromkeys(Example(agent, d.prompt, d.attempt.text) for d in own))
    known, found = visible_authors(state, agent), dict[str, Example]()
    for d in [*own, *(d for d in right if known is None or d.attempt.agent in known)]:
        assert d.round.problem is not None
        notes = d.round.notes.get(solver_seat(d.round.solvers.index(d.attempt.agent)), ())
        prompt = solver.ask(models.voice, d.round.domain, agent, d.round.problem, notes)
        found.setdefault(d.round.id, Example(agent, prompt, d.attempt.text))
    return list(found.values())


def _drafts(state: RunState, models: Models, agent: str) -> list[_Draft]:
    """The agent's failed attempts to correct, of equal ones at a problem the first."""
    review, found = state.config.sleep.review, dict[tuple[str, str], _Draft]()
    for r, prompt, attempt, verdict in own_attempts(state, models, agent) if review else ():
        if not verdict.correct:
            found.setdefault((r.id, attempt.text), _Draft(r, attempt, prompt))
    return some(state, agent, "review", list(found.values()), review)


def _request(state: RunState, models: Models, draft: _Draft) -> Request | None:
    """The request for the next try; sets what it keeps of the text. None if there is no room for another: an attempt
    has at most `rounds.max_tokens` tokens, and a prompt must leave as many of the context."""
    r, attempt, voice = draft.round, draft.attempt, models.voice
    assert r.problem is not None
    steps = r.domain.credit(r.problem, attempt.text) if isinstance(r.domain, Credited) else []
    step = _step(state, draft, steps)
    wrong = None if step is None else steps[step]
    draft.step = 0 if step is None else step + 1
    draft.kept = "" if voice.chat or wrong is None else attempt.text[: wrong.start]
    seat = solver_seat(r.solvers.index(attempt.agent))
    if voice.chat:
        said, notes = attempt.text[wrong.start : wrong.stop] if wrong else "", r.notes.get(seat, ())
        shown: Prompt = solver.ask_again(voice, r.domain, attempt.agent, r.problem, notes, attempt.text, said)
    else:
        shown = _joined(str(draft.prompt), draft.kept).rstrip(" ")
    ask = Ask(seat, attempt.agent, f"review{draft.tries}", attempt.index % r.attempts_each, shown)
    asked, count = request(state, r.id, ask, state.config.rounds.temperature, attempt.agent), models.engine.count_tokens
    left = asked.max_tokens - (count(draft.kept) if draft.kept else 0)
    room = models.positions - count(str(shown)) - CHAT * voice.chat
    return replace(asked, max_tokens=left) if 0 < left <= room else None


def _joined(text: str, more: str) -> str:
    """A text and its continuation, one space or line break apart."""
    return f"{text.rstrip(' ')} {more}" if text and not text.endswith("\n") else f"{text}{more}"


def _step(state: RunState, draft: _Draft, steps: list[Span]) -> int | None:
    """The index of the step that is called wrong; None if the attempt has none."""
    if state.config.sleep.review_step == "random":
        return state.rng(draft.id, draft.tries, "review").randrange(len(steps)) if steps else None
    return next((i for i, span in enumerate(steps) if span.right is False), None)
