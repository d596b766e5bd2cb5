"""Training examples from what an agent did in a generation: its attempts, proposals and grades, by what they earned.

With a policy gradient the weight of an example is an advantage: its reward less a baseline. An attempt is compared
with all attempts at its problem (a group, as in GRPO, Shao et al. 2024), a proposal or grade with the agent's mean in
that role. `sleep.credit` says which parts of an attempt earned the reward (`curricula.domain.Credited`); where a domain
judges no steps, the whole attempt did. Texts are trained on as they were sampled, with their log-probabilities.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from agents.learner import Example
from agents.prompt import Prompt
from agents.value import Outcome
from arena.config.culture import SleepSection
from arena.config.objectives import PolicyGradientSection
from arena.library.visibility import visible_authors
from arena.rounds.roles import grader, setter, solver
from arena.rounds.round import GRADER, SETTER, Round, solver_seat
from arena.run.fold import RunState
from arena.run.models import Models
from curricula.domain import Attempt, Credited, Span, Verdict

T = TypeVar("T")


@dataclass(frozen=True)
class Credit:
    """What a text earned: the weight of its tokens, and (start, stop, weight) of characters that earned another."""

    weight: float
    spans: tuple[tuple[int, int, float], ...] = ()

    @property
    def counts(self) -> bool:
        """Whether any token has a weight."""
        return self.weight != 0 or any(weight for _, _, weight in self.spans)


def round_credits(state: RunState) -> list[tuple[Round, list[Credit]]]:
    """The rounds whose attempts agents are trained on, each with the credit of its attempts; doubted problems are left
    out. Computed once for all agents, since some domains run a program to judge steps."""
    config = state.config.sleep
    rounds = [r for r in state.generation.rounds if r.problem is not None and not r.doubt and r.attempts]
    return [(r, credits_of(r, config, _forecasts(state, r))) for r in rounds] if config.attempts else []


def attempts(
    state: RunState, models: Models, agent: str, credited: Sequence[tuple[Round, list[Credit]]]
) -> list[Example]:
    """At most `sleep.attempts` attempts of the agent, or of those that it reads, of the rounds of `round_credits`.

    Equal attempts at a problem are one example. With a policy gradient it has the weight of all of them, which gives
    the same gradient for fewer tokens; imitation learns nothing from repetition."""
    config, found = state.config.sleep, list[Example]()
    known = {agent} if config.attempts_of == "own" else visible_authors(state, agent)
    signed = isinstance(config.objective, PolicyGradientSection)
    for r, credits in credited:
        equal = dict[tuple[Prompt, str], list[Example]]()
        for attempt, credit in zip(r.attempts, credits, strict=True):
            if r.problem is not None and (known is None or attempt.agent in known):
                notes = r.notes.get(solver_seat(r.solvers.index(attempt.agent)), ())
                prompt = solver.ask(models.voice, r.domain, agent, r.problem, notes)
                for example in _example(state, agent, prompt, attempt_id(r, attempt), credit, attempt.text):
                    equal.setdefault((prompt, example.completion), []).append(example)
        found += [_times(same[0], len(same)) if signed else same[0] for same in equal.values()]
    return some(state, agent, "attempts", found, config.attempts)


def proposals(state: RunState, models: Models, agent: str) -> list[Example]:
    """At most `sleep.proposals` of the agent's proposals, valid or not, with their advantages."""
    config, outcomes = state.config.sleep, state.generation.outcomes
    rounds = [r for r in state.generation.rounds if r.author == agent]
    credits = advantages([outcomes[r.id]["setter_reward"] for r in rounds], config)
    found = list[Example]()
    for r, advantage in zip(rounds, credits, strict=True):
        prompt = setter.ask_for_round(models.voice, r.domain, agent, r.id, r.parent)
        found += _example(state, agent, prompt, f"{r.id}/{SETTER}", Credit(config.proposal_weight * advantage))
    return some(state, agent, "proposals", found, config.proposals)


def grades(state: RunState, models: Models, agent: str) -> list[Example]:
    """At most `sleep.grades` of the agent's grades, with their advantages; the reward is agreement with execution."""
    config, found = state.config.sleep, list[Example]()
    rounds = [r for r in state.generation.rounds if r.grade and r.grade.grader == agent and r.grade.agrees is not None]
    credits = advantages([float(bool(r.grade and r.grade.agrees)) for r in rounds], config)
    for r, advantage in zip(rounds, credits, strict=True):
        assert r.problem is not None
        prompt = grader.ask(models.voice, r.domain, agent, r.problem, r.notes_of(GRADER))
        found += _example(state, agent, prompt, f"{r.id}/{GRADER}", Credit(advantage))
    return some(state, agent, "grades", found, config.grades)


def outcomes(state: RunState, models: Models, agent: str) -> list[Outcome]:
    """At most `sleep.value.examples` of the agent's attempts, for its value function.

    What would have come of attempts that an estimate ended is not known; those that were spared at random stand for
    them, by the inverse of their share (Horvitz & Thompson 1952). Without this, too low estimates would confirm
    themselves."""
    found, value = list[Outcome](), state.config.sleep.value
    for r, prompt, attempt, verdict in own_attempts(state, models, agent) if value.examples else ():
        reply = state.generation.replies.get(attempt_id(r, attempt))
        if isinstance(r.domain, Credited) and reply is not None and not reply.stopped:
            spared = any(estimate < value.stop_below for estimate in reply.estimates[1:])
            weight = 1 / max(value.spared, 0.01) if spared else 1.0
            found.append(Outcome(agent, prompt, reply.text, r.domain.mark, verdict.correct, weight))
    return some(state, agent, "value", found, value.examples)


def own_attempts(state: RunState, models: Models, agent: str) -> Iterator[tuple[Round, Prompt, Attempt, Verdict]]:
    """The agent's attempts at problems that are not doubted, with the prompt that it was given and the verdict."""
    for r in state.generation.rounds:
        if agent not in r.solvers or r.problem is None or r.doubt:
            continue
        notes = r.notes.get(solver_seat(r.solvers.index(agent)), ())
        prompt = solver.ask(models.voice, r.domain, agent, r.problem, notes)
        for attempt, verdict in zip(r.attempts, r.verdicts, strict=True):
            if attempt.agent == agent:
                yield r, prompt, attempt, verdict


def attempt_id(r: Round, attempt: Attempt) -> str:
    """The id under which an attempt is stored."""
    return f"{r.id}/{solver_seat(r.solvers.index(attempt.agent))}/{attempt.index % r.attempts_each}"


def _forecasts(state: RunState, r: Round) -> list[float | None]:
    """The value of each attempt of a round before its first token, where an agent has one."""
    replies = [state.generation.replies.get(attempt_id(r, attempt)) for attempt in r.attempts]
    return [reply.estimates[0] if reply and reply.estimates else None for reply in replies]


def credits_of(r: Round, config: SleepSection, forecasts: Sequence[float | None] = ()) -> list[Credit]:
    """The credit of each attempt of a round, all of which are one group. `forecasts`: their values before the first
    token."""
    rewards = [float(v.answer_correct if config.credit == "answer" else v.correct) for v in r.verdicts]
    steps = [list[Span]() for _ in rewards]
    if config.credit in ("prefix", "step") and isinstance(r.domain, Credited) and r.problem is not None:
        steps = [r.domain.credit(r.problem, attempt.text) for attempt in r.attempts]
    if config.credit == "step" and any(steps):
        return _by_step(steps, config)
    mean = statistics.fmean(rewards)
    if isinstance(config.objective, PolicyGradientSection):
        weights = advantages(rewards, config, solver=True)
        if config.objective.baseline == "value":
            values = [mean if value is None else value for value in forecasts or [None] * len(rewards)]
            weights = [reward - value for reward, value in zip(rewards, values, strict=True)]
    else:
        weights = [reward if mean < 1 else 0.0 for reward in rewards]  # nothing is learned where all are right
    found = []
    for weight, reward, spans in zip(weights, rewards, steps, strict=True):
        right = [s for s in spans if s.right] if not reward else []
        best = 1.0  # what a right attempt earns
        if isinstance(config.objective, PolicyGradientSection):
            best = 0.5 if config.objective.baseline == "half" else 1 - mean
        found.append(Credit(weight, tuple((s.start, s.stop, best) for s in right)))
    return found


def advantages(rewards: Sequence[float], config: SleepSection, solver: bool = False) -> list[float]:
    """Rewards less their mean, divided by their standard deviation with `deviation`. Empty if there are none. Those of
    a `solver` are compared with `baseline`."""
    if not rewards:
        return []
    mean, objective = statistics.fmean(rewards), config.objective
    if solver and isinstance(objective, PolicyGradientSection) and objective.baseline == "half":
        return [reward - 0.5 for reward in rewards]
    divides = isinstance(objective, PolicyGradientSection) and objective.deviation
    spread = statistics.pstdev(rewards) if divides else 1.0
    return [(reward - mean) / spread if spread else 0.0 for reward in rewards]


def _by_step(attempts: Sequence[Sequence[Span]], config: SleepSection) -> list[Credit]:
    """Step i of an attempt is compared with step i of the others that were right until then."""
    found = [list[tuple[int, int, float]]() for _ in attempts]
    for i in range(max(map(len, attempts))):
        here = [(n, spans[i]) for n, spans in enumerate(attempts) if i < len(spans)]
        judged = [(n, span) for n, span in here if span.right is not None]
        weights = advantages([float(bool(span.right)) for _, span in judged], config, solver=True)
        weight_of = {n: weight for (n, _), weight in zip(judged, weights, strict=True)}
        for n, span in here:
            found[n].append((span.start, span.stop, weight_of.get(n, 0.0)))
    # the end token belongs to the last step
    return [Credit(spans[-1][2] if spans else 0.0, tuple(spans)) for spans in found]


def _example(
    state: RunState, agent: str, prompt: Prompt, subject: str, credit: Credit, answer: str = ""
) -> list[Example]:
    """The stored reply `subject` as an example; `answer` is the part of it that the spans refer to. Empty if nothing is
    to be learned."""
    reply = state.generation.replies.get(subject)
    if reply is None or not credit.counts:
        return []
    at = reply.text.find(answer)
    spans = tuple((at + a, at + b, weight) for a, b, weight in credit.spans) if at >= 0 else ()
    return [Example(agent, prompt, reply.text, credit.weight, spans, reply.logprobs)]


def _times(example: Example, n: int) -> Example:
    """The example with `n` times its weights."""
    spans = tuple((start, stop, n * weight) for start, stop, weight in example.spans)
    return replace(example, weight=n * example.weight, spans=spans)


def some(state: RunState, agent: str, what: str, found: list[T], most: int) -> list[T]:
    """At most `most` of the items, drawn at random."""
    return state.rng(state.generation.index, agent, what).sample(found, min(len(found), most))
