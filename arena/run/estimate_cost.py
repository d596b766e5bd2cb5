"""Estimates of requests, tokens and cost of a run before it starts, and of the limits that it will reach.

Bare prompts and replies are assumed to be as long as the seed model's. Chat prompts are worded as in the run, for one
held-out problem per depth, and counted at four bytes per token; replies are assumed to have their maximum length. Left
out: library posts in prompts, and retries.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agents.prompt import Prompt
from arena.config.schema import Config, LimitsSection
from arena.rounds.roles import setter, solver
from arena.rounds.roles.voice import make_voice
from arena.run.budget import amount, price, short
from curricula.domain import Domain

PROMPT_SHARE = 0.4
"""Share of prompt tokens in a run through a server; configs/tiny.yaml: 1,409 of 3,519."""


@dataclass(frozen=True)
class Whole:
    """Estimated totals of a run; None where unknown."""

    requests: float
    tokens: float
    money: float | None
    seconds: float | None = None

    @staticmethod
    def of(limits: LimitsSection, requests: float, tokens: float, seconds: float | None = None) -> Whole:
        cost = price(limits.prices, tokens * PROMPT_SHARE, tokens * (1 - PROMPT_SHARE))
        return Whole(requests, tokens, cost, seconds)


def requests_of(config: Config, depths: int) -> float:
    """Maximum number of completions; `depths` is the number of held-out sets."""
    r, m, agents = config.rounds, config.measure, config.population.agents
    asked = r.setter in ("self", "frozen")
    guesses = r.guesses if config.named_domain else 0
    each = agents * (r.per_agent * (asked + r.solvers * r.attempts + r.grade) + guesses + depths * m.per_depth)
    return config.generations * each + 2 * depths * m.final_per_depth * (1 + m.passes)


def served(config: Config, domains: Mapping[str, Domain], requests: float, tokens: float) -> list[str]:
    """Lines on requests to a server over the whole run; `tokens` is their number in the bare notation."""
    where, most = config.engine.openai.url, config.rounds.max_tokens
    asked = f"asked of {where} in all: at most {requests:,.0f} requests"
    if config.prompts.style == "chat":
        prompts = requests * chat_prompt_tokens(config, domains)
        replies = requests * most
        cost = price(config.limits.prices, prompts, replies)
        whole = Whole(requests, prompts + replies, cost)
        said = (
            f"{asked}, with about {short(prompts)} prompt tokens, what is read from the library apart, "
            f"and at most {short(replies)} generated ones ({most} a request)"
        )
        priced = "price: at most about {}, if every reply is as long as it may be"
    else:
        whole = Whole.of(config.limits, requests, tokens)
        said = (
            f"{asked}, about {tokens:,.0f} tokens if they are as short as the seed model's; "
            f"no completion is longer than {most}"
        )
        priced = "price: about {} if so"
    lines = [said, "time: the server's; no request is sent to estimate it"]
    if whole.money is not None:
        lines.append(priced.format(amount(whole.money, config.limits.prices.currency)))
    return [*lines, *stops(config.limits, whole)]


@dataclass(frozen=True)
class Spoken:
    """Sample prompts of one domain, worded as in a run, each with the completion that would be trained on."""

    share: float
    setting: list[tuple[Prompt, str]]
    solving: list[tuple[Prompt, str]]


def spoken(config: Config, domains: Mapping[str, Domain]) -> list[Spoken]:
    """Prompts of setters and solvers for one held-out problem per depth, without library posts."""
    voice, found = make_voice(config, lambda agent: 0), list[Spoken]()
    for domain, section in zip(domains.values(), config.domains.values(), strict=True):
        problems = [p for d in domain.depths for p in list(domain.heldout("dev", d))[:1]]
        solving = [
            (solver.ask(voice, domain, "an-agent", p, ()), solver.say(voice, domain.solution(p))) for p in problems
        ]
        setting = [
            (setter.ask(voice, domain, "an-agent", parent), setter.say(voice, p.text))
            for p in problems[:1]
            for parent in (None, p.text)
        ]
        found.append(Spoken(section.share, setting, solving))
    return found


def chat_prompt_tokens(config: Config, domains: Mapping[str, Domain]) -> float:
    """Mean number of tokens of a prompt, weighted by how often setters and solvers are asked."""
    r, total = config.rounds, 0.0
    solves, proposes = r.solvers * r.attempts + r.grade, r.setter in ("self", "frozen")
    for each in spoken(config, domains):
        solve, propose = (
            sum(len(str(p).encode()) / 4 for p, _ in pairs) / max(1, len(pairs))
            for pairs in (each.solving, each.setting)
        )
        total += each.share * (solves * solve + proposes * propose) / (solves + proposes)
    return total


def stops(limits: LimitsSection, whole: Whole) -> list[str]:
    """One line per limit: whether the run will reach it."""
    lines = []
    for name in ("requests", "tokens", "money", "seconds"):
        most, need = getattr(limits, name), getattr(whole, name)
        if most is not None and need is not None:
            met = f"would stop the run after {most / need:.0%} of it" if need > most else "is not met, by this estimate"
            lines.append(f"limits.{name} ({most:g}) {met}")
    return lines
