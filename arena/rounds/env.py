"""One round as a PettingZoo environment, so that anyone's policy, or a person, can take a seat.

An adapter of `arena.rounds.round.Round`, which stays the only state machine: step 1 is the setter's proposal, then
comes one step per attempt number in which every solver gives one text, then one grading step if there is a grader. What
an agent says when it is not asked is ignored, and its observation is empty. A rejected proposal ends the episode at
once. The rewards of `arena.rounds.rewards` are paid in the last step, summed by seat, and are zero before.

Left out: reading from the library (solvers see no notes), duplicates (there is no earlier round), many rounds in one
episode, and any randomness: `seed` is accepted and changes nothing.

Not guaranteed: that an action stays in its action space. Any string is a legal action, because bad output of a policy
is data here; what is not a solution loses. Random text is legal and loses.

With `chat`, seats are asked in prose, as models that follow instructions are, and a reply may think, and mark its
answer, as theirs do. An answer without marks is taken as it stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
from gymnasium.spaces import Dict, Text
from pettingzoo import ParallelEnv
from pettingzoo.utils.conversions import parallel_to_aec

from arena.config.registries import find_rule, make_domain, nearest
from arena.rounds.rewards import rewards
from arena.rounds.roles.voice import BARE, Voice
from arena.rounds.round import GRADER, SETTER, Round, solver_seat
from arena.text import visible
from curricula.domain import Domain, Problem, Rejection
from curricula.learnability import PaymentRule

CHARSET = "\n" + "".join(map(chr, range(32, 127)))  # what samples are made of
MAX_TEXT = 512  # characters of an observation or action, at the least
ROOM = 3
PROSE = 6144  # further characters where seats are asked in prose
SAMPLED = 512  # characters of the longest sample
RENDER_MODES = ("ansi",)
OPTIONS = ("parent",)  # of reset
PLACEHOLDER = "options"
"""An option without a meaning, which PettingZoo's own API test passes."""

Observations = dict[str, dict[str, str]]
Infos = dict[str, dict[str, Any]]


class AnyText(Text):
    """Texts of any characters, up to a length: what people and models write. Samples are of `CHARSET`, and short."""

    def contains(self, x: Any) -> bool:
        return isinstance(x, str) and self.min_length <= len(x) <= self.max_length

    def sample(self, mask: Any = None, probability: Any = None) -> str:
        length = int(self.np_random.integers(self.min_length, min(self.max_length, SAMPLED), endpoint=True))
        return "".join(np.asarray(self.character_list)[self.np_random.integers(0, len(CHARSET), length)])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AnyText) and self.max_length == other.max_length


class RoundEnv(ParallelEnv):  # type: ignore[misc]  # pettingzoo ships no types
    """One round between "setter", "solver_0", "solver_1", ... and, where there is one, "grader".

    `domain` is a name in `curricula.registry` or a domain. `parent` is the problem text that the setter is asked to
    vary; `reset(options={"parent": text})` replaces it for one episode. `chat` asks in prose. `max_text` is the most
    characters of an observation or action; a proposal whose problem no observation can hold is rejected as "too long".
    Raises ValueError for arguments out of range.
    """

    metadata = {"name": "ratchet_round_v0", "render_modes": list(RENDER_MODES)}  # noqa: RUF012  pettingzoo's own form

    def __init__(
        self,
        domain: str | Domain = "list_programs",
        solvers: int = 2,
        attempts: int = 2,
        grader: bool = True,
        rule: str | PaymentRule = "variance",
        invalid: float = -0.25,
        parent: str | None = None,
        render_mode: str | None = None,
        chat: bool = False,
        max_text: int | None = None,
    ) -> None:
        if solvers < 1 or attempts < 1:
            raise ValueError(f"a round needs a solver and an attempt, got solvers={solvers}, attempts={attempts}")
        if render_mode is not None and render_mode not in RENDER_MODES:
            raise ValueError(f"unknown render mode {render_mode!r}: expected one of {', '.join(RENDER_MODES)}")
        if max_text is not None and max_text < 1:
            raise ValueError(f"an observation holds a character or more, got max_text={max_text}")
        self.domain = make_domain(domain) if isinstance(domain, str) else domain
        if isinstance(domain, type) or not hasattr(self.domain, "propose_prompt"):
            raise ValueError(f"domain must be a name or an instance of a domain, got {domain!r:.60}")
        self.rule = rule if isinstance(rule, PaymentRule) else find_rule(rule)
        self.voice = replace(Voice(chat=True) if chat else BARE, rule=self.rule)
        self.max_text = max_text or longest(self.domain, chat)
        self.attempts, self.invalid = attempts, invalid
        self.parent, self.render_mode = parent, render_mode
        self.solvers = tuple(solver_seat(i) for i in range(solvers))
        self.possible_agents = [SETTER, *self.solvers, *([GRADER] if grader else [])]
        self.agents: list[str] = []
        self._observation_spaces = {a: Dict({"text": self._text_space()}) for a in self.possible_agents}
        self._action_spaces = {a: self._text_space() for a in self.possible_agents}
        self._round: Round | None = None
        self._given: dict[tuple[str, int], str] = {}
        self._number = 0

    @property
    def round(self) -> Round:
        """The round as it stands; after the last step, the finished one. Raises ValueError before the first reset."""
        if self._round is None:
            raise ValueError("there is no round yet: call reset()")
        return self._round

    def observation_space(self, agent: str) -> Dict:
        return self._observation_spaces[agent]

    def action_space(self, agent: str) -> Text:
        return self._action_spaces[agent]

    def reset(self, seed: int | None = None, options: Mapping[str, Any] | None = None) -> tuple[Observations, Infos]:
        """Begin a round.

        Args:
            seed: ignored; a round is determined by the texts of its players.
            options: `parent`: the text of a problem to vary, in place of the environment's, for this round.

        Raises:
            ValueError: another option; a parent whose prompt no observation can hold, or that is missing.
        """
        for name in options or {}:
            if name not in OPTIONS and name != PLACEHOLDER:
                near = nearest(str(name), OPTIONS) or f"; expected {OPTIONS[0]}"
                raise ValueError(f"unknown option {name!r} of reset{near}")
        parent = (options or {}).get("parent", self.parent)
        if parent is not None and not isinstance(parent, str):
            raise ValueError(f"parent must be the text of a problem, such as {self._example()}, got {parent!r:.60}")
        grader = GRADER if GRADER in self.possible_agents else None
        round_ = Round("env", self.domain, SETTER, self.solvers, self.attempts, grader, parent, voice=self.voice)
        try:
            fits = self._fits(round_)
        except ValueError as error:
            if parent is not None:
                raise
            example = self._example()
            raise ValueError(
                f"{error}: give one with parallel_env(..., parent={example}) or reset(options={{'parent': {example}}})"
            ) from None
        if not fits:
            raise ValueError(f"parent does not fit an observation of {self.max_text} characters: {str(parent)[:60]!r}")
        self._round, self.agents = round_, list(self.possible_agents)
        self._given, self._number = {}, 0
        return self._observations(), self._infos()

    def step(
        self, actions: Mapping[str, str]
    ) -> tuple[Observations, dict[str, float], dict[str, bool], dict[str, bool], Infos]:
        """Give the texts of all agents. Raises ValueError when an agent that is asked gave no string."""
        round_ = self.round
        if not self.agents:
            raise ValueError("the round is over: call reset()")
        asks = round_.asks()
        for ask in asks:
            if ask.number == self._number:
                text = actions.get(ask.seat)
                if not isinstance(text, str):
                    raise ValueError(f"{ask.seat} is asked to {ask.phase} and gave {text!r}, which is not a string")
                self._given[ask.seat, ask.number] = text
        self._number += 1
        if len(self._given) == len(asks):  # every try of every seat: the round moves on
            round_.take([self._given[ask.seat, ask.number] for ask in asks])
            self._given, self._number = {}, 0
            if isinstance(round_.problem, Problem) and not self._fits(round_):
                round_.rejection = Rejection("too long", f"no observation of {self.max_text} characters holds it")
                round_.problem, round_.phase = None, "done"
        done = round_.phase == "done"
        paid = dict.fromkeys(self.agents, 0.0)
        if done:
            for seat, _, _, reward in rewards(round_, self.rule, self.invalid):
                paid[seat] += reward
        observations, infos = self._observations(), self._infos()
        terminations, truncations = dict.fromkeys(self.agents, done), dict.fromkeys(self.agents, False)
        if done:
            self.agents = []
        return observations, paid, terminations, truncations, infos

    def render(self) -> str | None:
        """The round so far, in a few lines; None without a render mode."""
        if self.render_mode is None:
            return None
        round_ = self.round
        lines = [f"phase: {round_.phase}"]
        if round_.problem is not None:
            lines.append(f"problem: {visible(round_.problem.shown)}")
        if round_.rejection is not None:
            lines.append(f"rejected: {round_.rejection.reason}")
        lines += [f"{a.agent}: {v.reason}" for a, v in zip(round_.attempts, round_.verdicts, strict=True)]
        if round_.grade is not None:
            lines.append(f"{GRADER}: {_grade_reason(round_.grade.agrees)}")
        return "\n".join(lines)

    def close(self) -> None:
        """Nothing is held open."""

    def _example(self) -> str:
        """A problem of the domain, quoted."""
        return repr(self.domain.random_problem(Random(0)).text)

    def _fits(self, round_: Round) -> bool:
        return all(len(str(ask.prompt)) <= self.max_text for ask in round_.asks())

    def _text_space(self) -> Text:
        return AnyText(max_length=self.max_text, min_length=0, charset=CHARSET)

    def _observations(self) -> Observations:
        prompts = {ask.seat: str(ask.prompt) for ask in self.round.asks()}
        return {agent: {"text": prompts.get(agent, "")} for agent in self.agents}

    def _infos(self) -> Infos:
        """The phase; the problem once there is one; at the end what was found, each seat's own in `reasons`."""
        round_ = self.round
        common: dict[str, Any] = {"phase": round_.phase}
        if round_.problem is not None:
            common["problem"] = round_.problem.shown
        reasons: dict[str, list[str]] = {agent: [] for agent in self.agents}
        if round_.phase == "done":
            reasons[SETTER].append(round_.rejection.reason if round_.rejection else "ok")
            for attempt, verdict in zip(round_.attempts, round_.verdicts, strict=True):
                reasons[attempt.agent].append(verdict.reason)
            if round_.grade is not None:
                reasons[GRADER].append(_grade_reason(round_.grade.agrees))
        return {agent: {**common, "reasons": tuple(reasons[agent])} for agent in self.agents}


def longest(domain: Domain, chat: bool) -> int:
    """Characters of the longest prompt or answer: what the domain names as its `longest`; else `MAX_TEXT`, or `ROOM`
    times what the first held-out problem of any depth takes, if that is more."""
    named = getattr(domain, "longest", None)
    if named is None:
        held = [domain.heldout("dev", depth)[0] for depth in domain.depths]
        texts = (t for p in held for t in (p.text, domain.solve_prompt(p, ()), domain.solution(p)))
        named = max(MAX_TEXT, ROOM * max(map(len, texts), default=0))
    return int(named) + (PROSE if chat else 0)


def _grade_reason(agrees: bool | None) -> str:
    if agrees is None:
        return "no answer, no vote"
    return "agrees with execution" if agrees else "disagrees with execution"


def parallel_env(*args: Any, **kwargs: Any) -> RoundEnv:
    """One round in which all agents act at once. The arguments are those of `RoundEnv`."""
    return RoundEnv(*args, **kwargs)


def env(*args: Any, **kwargs: Any) -> Any:
    """The same as an AECEnv, in which agents act in turn; PettingZoo's wrapper refuses calls out of order."""
    return parallel_to_aec(parallel_env(*args, **kwargs))


def round_of(environment: Any) -> Round:
    """The round of an environment that `parallel_env` or `env` made, however it is wrapped."""
    found: Round = environment.unwrapped.round
    return found
