"""Estimates of requests, tokens and cost of a run before it starts, and of the limits that it will reach.

Bare prompts and replies are assumed to be as long as the seed model's. Chat prompts are worded as in the run, for one
held-out problem per depth, and counted at four bytes per token; replies are assumed to have their maximum length. Left
out: library posts in prompts, and retries.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agents.prompt import Prompt
from arena.config.limits import TokenPrices
from arena.config.population import MAIN, Role
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
    def of(prices: TokenPrices, requests: float, tokens: float, seconds: float | None = None) -> Whole:
        cost = price(prices, tokens * PROMPT_SHARE, tokens * (1 - PROMPT_SHARE))
        return Whole(requests, tokens, cost, seconds)

    def __add__(self, other: Whole) -> Whole:
        known = [w.money for w in (self, other) if w.money is not None]
        seconds = None if self.seconds is None or other.seconds is None else self.seconds + other.seconds
        return Whole(self.requests + other.requests, self.tokens + other.tokens, sum(known) if known else None, seconds)


@dataclass(frozen=True)
class Part:
    """Requests to one model: per generation, except for `whole`, the evaluations before and after the run."""

    set: float
    solve: float
    grade: float
    guess: float
    measure: float
    whole: float

    def in_all(self, generations: int) -> float:
        """Maximum number of completions in a run."""
        return generations * (self.set + self.solve + self.grade + self.guess + self.measure) + self.whole


def part_of(config: Config, depths: int, model: str = MAIN) -> Part:
    """The requests of a model, MAIN for the run's own; `depths` is the number of held-out sets.

    In a mixed population, solvers and graders are assumed to be drawn evenly from those who have the role.
    """
    r, m, population = config.rounds, config.measure, config.population

    def agents(role: Role) -> int:
        return sum(population.at(place) == model for place in population.having(role))

    def share(role: Role) -> float:
        return agents(role) / max(1, len(population.having(role)))

    problems = r.per_agent * len(population.having("set"))
    measured = sum(population.at(place) == MAIN for place in range(population.agents)) * (model == MAIN)
    return Part(
        r.per_agent * agents("set") * (r.setter in ("self", "frozen")),
        problems * r.solvers * r.attempts * share("solve"),
        problems * r.grade * share("grade"),
        agents("guess") * (r.guesses if config.named_domain else 0),
        depths * measured * m.per_depth,
        2.0 * depths * m.final_per_depth * (1 + m.passes) * (model == MAIN),
    )


def served(
    config: Config, domains: Mapping[str, Domain], requests: float, tokens: float, model: str = MAIN
) -> tuple[list[str], Whole]:
    """Lines on the requests to a model's server over the whole run, and their totals; `tokens` is their number in the
    bare notation."""
    where, most = config.of_model(model).engine.openai.url, config.rounds.max_tokens
    prices = config.model_prices.get(model, TokenPrices()) if config.population.others else config.limits.prices
    name = f"{model} is asked" if config.population.others else "asked"
    asked = f"{name} of {where} in all: at most {requests:,.0f} requests"
    if config.prompts.style == "chat":
        prompts = requests * chat_prompt_tokens(config, domains)
        replies = requests * most
        cost = price(prices, prompts, replies)
        whole = Whole(requests, prompts + replies, cost)
        said = (
            f"{asked}, with about {short(prompts)} prompt tokens, what is read from the library apart, "
            f"and at most {short(replies)} generated ones ({most} a request)"
        )
        priced = "price: at most about {}, if every reply is as long as it may be"
    else:
        whole = Whole.of(prices, requests, tokens)
        said = (
            f"{asked}, about {tokens:,.0f} tokens if they are as short as the seed model's; "
            f"no completion is longer than {most}"
        )
        priced = "price: about {} if so"
    lines = [said, "time: the server's; no request is sent to estimate it"]
    if whole.money is not None:
        lines.append(priced.format(amount(whole.money, config.limits.prices.currency)))
    return lines, whole


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
