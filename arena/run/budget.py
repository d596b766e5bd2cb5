"""The limits of a run, what it has spent, and the stop when a limit is reached.

Without output a run costs too: `invalid_generations` generations in a row without a valid proposal stop it before the
next one.

Four limits count everything a run does, evaluation included: `requests` (completions asked for), `tokens` (prompt and
generated), `money` (those tokens at `limits.prices`) and `seconds` (of playing). Every engine stops before a phase. A
model server is sent no further request once a limit is reached, and requests in flight are waited for: a limit can be
exceeded by the cost of `engine.openai.concurrency` requests, and `requests` not at all. `limits.compute` is different:
it ends a run with its generation, for experiments at equal compute (`arena.loop`).

What is spent is what is stored (tables `phases` and `telemetry`) plus, for the phase in progress, what the journal
holds. Left out: cheaper prices of cached prompts, and what a server charges for failed requests. Not guaranteed: that
the seconds of a phase count whose process was killed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from agents.engine import Completion, Halted
from arena.config.limits import LimitsSection, TokenPrices
from arena.run.journal import Entry, Journal
from arena.run.store import Store

NAMES = ("requests", "tokens", "money", "seconds")
ModelPrices = Mapping[str, TokenPrices]


@dataclass(frozen=True)
class Spent:
    """Completions asked for, their tokens, and seconds of playing."""

    requests: int = 0
    prompt: int = 0
    generated: int = 0
    seconds: float = 0.0
    models: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """In a mixed population, prompt and generated tokens by model; the totals include them."""
    invalid: int = 0
    """Generations up to the last one, in a row, without a valid proposal and without a correct guess."""

    def __add__(self, other: Spent) -> Spent:
        models = dict(self.models)
        for name, (prompt, generated) in other.models.items():
            p, g = models.get(name, (0, 0))
            models[name] = (p + prompt, g + generated)
        return Spent(
            self.requests + other.requests,
            self.prompt + other.prompt,
            self.generated + other.generated,
            self.seconds + other.seconds,
            models,
            self.invalid + other.invalid,
        )

    @property
    def tokens(self) -> int:
        return self.prompt + self.generated

    def of(self, name: str, prices: TokenPrices, by_model: ModelPrices | None = None) -> float:
        """The amount that counts against the limit `name`."""
        return self.cost(prices, by_model) or 0.0 if name == "money" else float(getattr(self, name))

    def cost(self, prices: TokenPrices, by_model: ModelPrices | None = None) -> float | None:
        """The cost of all tokens; None if no prices are set. `by_model`: in a mixed population, prices by model; models
        without one cost nothing."""
        if not by_model:
            return None if self.models else price(prices, self.prompt, self.generated)
        return math.fsum(price(by_model[name], *t) or 0.0 for name, t in self.models.items() if name in by_model)


def price(prices: TokenPrices, prompt: float, generated: float) -> float | None:
    """The cost of these tokens; None if no prices are set. Prices are per million tokens."""
    if prices.prompt is None or prices.generated is None:
        return None
    return (prompt * prices.prompt + generated * prices.generated) / 1e6


def spent_so_far(store: Store) -> Spent:
    """Requests, tokens and seconds of all stored phases."""
    row = store.query(
        "SELECT TOTAL(requests) AS r, TOTAL(prompt_tokens) AS p, TOTAL(generated_tokens) AS g,"
        " (SELECT TOTAL(seconds) FROM telemetry) AS s FROM phases"
    )[0]
    sums = int(row["r"]), int(row["p"]), int(row["g"]), float(row["s"])
    return Spent(*sums, tokens_by_model(store), invalid_generations(store))


def invalid_generations(store: Store) -> int:
    """The number of generations up to the last complete one, in a row, that set problems but had no valid proposal and
    no correct guess."""
    sql = (
        "SELECT p.generation FROM phases p WHERE p.phase = 'measure' AND p.generation > 0 AND EXISTS"
        " (SELECT 1 FROM problems q WHERE q.generation = p.generation)"
        " ORDER BY p.generation DESC"
    )
    found = 0
    for row in store.query(sql):
        g = row["generation"]
        good = "SELECT EXISTS (SELECT 1 FROM problems WHERE generation = ? AND valid) AS valid"
        if store.query(good, [g])[0]["valid"]:
            break
        if store.query("SELECT 1 FROM guesses WHERE generation = ? AND correct LIMIT 1", [g]):
            break
        found += 1
    return found


def tokens_by_model(store: Store) -> dict[str, tuple[int, int]]:
    """Prompt and generated tokens by model of all stored phases; empty unless the population is mixed."""
    if not store.mixed:
        return {}
    sql = "SELECT model, SUM(prompt_tokens) AS p, SUM(generated_tokens) AS g FROM model_tokens GROUP BY model"
    return {r["model"]: (int(r["p"]), int(r["g"])) for r in store.query(sql)}


class Budget:
    """The limits of one run and what it has spent; also the meter of an engine whose completions cost money."""

    def __init__(
        self,
        limits: LimitsSection,
        stored: Spent = Spent(),
        journal: Journal | None = None,
        clock: Callable[[], float] = time.monotonic,
        prices: ModelPrices | None = None,
    ) -> None:
        """`prices`: of each model of a mixed population that costs money; None for a population of one model."""
        self.limits, self.stored, self.journal, self.clock, self.prices = limits, stored, journal, clock, prices
        self.stopped = ""  # the reason, after the run was stopped
        self._limited = tuple(n for n in NAMES if getattr(limits, n) is not None)
        self._phase = (0, "")
        self._began: float | None = None
        self._pending = Spent()
        if journal:
            self._pending = _unused(journal)
            for entry in journal.entries.values():
                self._pending += _cost(entry.completion, entry.model)

    # -- what is spent -------------------------------------------------------------------------------------------

    @property
    def spent(self) -> Spent:
        """Everything spent until now, including what is known of the phase in progress."""
        running = 0.0 if self._began is None else self.clock() - self._began
        now = self.stored + self._pending
        return replace(now, seconds=now.seconds + running)

    def reached(self, spent: Spent | None = None) -> list[str]:
        """Names of the limits that are reached."""
        now = spent or self.spent
        return [n for n in self._limited if self._of(now, n) >= getattr(self.limits, n)]

    def _of(self, spent: Spent, name: str) -> float:
        return spent.of(name, self.limits.prices, self.prices)

    def check(self) -> None:
        """Raise Halted if a limit is reached."""
        if self._limited and self.reached():
            raise Halted(self.why())

    def check_proposals(self, store: Store) -> None:
        """Raise Halted if as many generations as the limit allows, the last ones in `store`, had no valid proposal."""
        self.stored = replace(self.stored, invalid=invalid_generations(store))
        if self._too_many_invalid():
            raise Halted(self.why())

    def _too_many_invalid(self) -> bool:
        most = self.limits.invalid_generations
        return most is not None and self.stored.invalid >= most

    # -- a phase -------------------------------------------------------------------------------------------------

    def begin(self, generation: int, phase: str) -> None:
        self._phase, self._began = (generation, phase), self.clock()

    def interrupt(self) -> float:
        """End a phase that is not stored. Returns its seconds so far, which count."""
        assert self._began is not None
        seconds, self._began = self.clock() - self._began, None
        self.stored += Spent(seconds=seconds)
        return seconds

    def end(self, row: dict[str, Any], seconds: float, models: Sequence[dict[str, Any]] = ()) -> None:
        """End a phase that was stored with `row` of table `phases` and `models`, rows of table `model_tokens`."""
        self._began = None
        by_model = {m["model"]: (m["prompt_tokens"], m["generated_tokens"]) for m in models}
        self.stored += Spent(row["requests"], row["prompt_tokens"], row["generated_tokens"], seconds, by_model)
        if self.journal:
            self.journal.empty()
            self._pending = _unused(self.journal)

    def close(self) -> None:
        if self.journal:
            self.journal.close()

    # -- the engine's meter --------------------------------------------------------------------------------------

    def meter(self, model: str) -> ModelMeter:
        """The meter of one model of a mixed population."""
        return ModelMeter(self, model)

    def found(self, key: str, digest: str) -> Completion | None:
        return self.journal.found(key, digest) if self.journal else None

    def admits(self, under_way: int) -> bool:
        most = self.limits.requests
        if most is not None and self.stored.requests + self._pending.requests + under_way >= most:
            return False
        return not self._limited or not self.reached()

    def keep(self, digest: str, completion: Completion, model: str = "") -> None:
        self._pending += _cost(completion, model)
        if self.journal:
            self.journal.keep(Entry(*self._phase, digest, completion, model))

    def seconds_left(self) -> float | None:
        most = self.limits.seconds
        return None if most is None else max(0.0, most - self.spent.seconds)

    # -- in words ------------------------------------------------------------------------------------------------

    def why(self) -> str:
        """One sentence: which limits are reached, and what was spent."""
        names = self.reached()
        if not names and self._too_many_invalid():
            n = self.stored.invalid
            last = "the last generation" if n == 1 else f"the last {n} generations"
            return (
                f"limits.invalid_generations ({self.limits.invalid_generations}) is reached: no proposal of {last} was "
                "valid. `analyze` shows reasons and examples; other prompts or another model need a new run"
            )
        limits = " and ".join(f"limits.{n} ({self._limit(n)})" for n in names)
        return f"{limits} {'is' if len(names) == 1 else 'are'} reached: {self.summary()}"

    def summary(self) -> str:
        """What was spent, for example `5.01 USD for 1,234 requests and 8.1 M tokens in 60 s`."""
        now = self.spent
        cost = now.cost(self.limits.prices, self.prices)
        paid = "" if cost is None else f"{amount(cost, self.limits.prices.currency)} for "
        return f"{paid}{now.requests:,} requests and {short(now.tokens)} tokens in {now.seconds:,.0f} s"

    def status(self) -> str:
        """What was spent of each limit, for example `spent 5.01/10 USD, 1,234/5,000 requests`; empty without limits and
        prices."""
        now, parts = self.spent, []
        prices = self.limits.prices
        if "money" in self._limited or prices.known or self.prices:
            spent = f"{self._of(now, 'money'):,.2f}"
            parts.append(f"{spent}/{self._limit('money')}" if self.limits.money else f"{spent} {prices.currency}")
        for name in self._limited:
            if name != "money":
                parts.append(f"{short(self._of(now, name))}/{self._limit(name)} {name}")
        return f"spent {', '.join(parts)}" if parts else ""

    def raised_limits(self) -> str:
        """Overrides with which a stopped run can be resumed: each reached limit, doubled."""
        now, given = self.spent, []
        if self._too_many_invalid():
            given.append(f"limits.invalid_generations={2 * self.stored.invalid}")
        for n in self.reached():
            more = 2 * max(getattr(self.limits, n), self._of(now, n))
            given.append(f"limits.{n}={more:.15g}" if more == int(more) else f"limits.{n}={more:.2f}")
        return " ".join(given)

    def _limit(self, name: str) -> str:
        most = getattr(self.limits, name)
        if name == "money":
            return f"{most:g} {self.limits.prices.currency}"
        return f"{most:g} s" if name == "seconds" else short(most)


@dataclass(frozen=True)
class ModelMeter:
    """The budget as one model of a mixed population sees it: what it completes is noted as its own."""

    budget: Budget
    model: str

    def found(self, key: str, digest: str) -> Completion | None:
        return self.budget.found(key, f"{self.model}/{digest}")

    def admits(self, under_way: int) -> bool:
        return self.budget.admits(under_way)

    def keep(self, digest: str, completion: Completion) -> None:
        self.budget.keep(f"{self.model}/{digest}", completion, self.model)

    def seconds_left(self) -> float | None:
        return self.budget.seconds_left()

    def why(self) -> str:
        return self.budget.why()


def amount(money: float, currency: str) -> str:
    """For example `5.01 USD`; sums below a cent with two significant digits."""
    return f"{money:,.2f} {currency}" if money >= 0.01 or not money else f"{money:.2g} {currency}"


def short(number: float) -> str:
    """For example `1,234`; from a million on `8.1 M`."""
    return f"{number / 1e6:,.1f} M" if number >= 1e6 else f"{number:,.0f}"


def _cost(completion: Completion, model: str = "") -> Spent:
    tokens = completion.prompt_tokens, completion.generated_tokens
    return Spent(1, *tokens, models={model: tokens} if model else {})


def _unused(journal: Journal) -> Spent:
    whole = Spent()
    for model, u in journal.unused.items():
        tokens = u.prompt_tokens, u.generated_tokens
        whole += Spent(u.requests, *tokens, models={model: tokens} if model else {})
    return whole
