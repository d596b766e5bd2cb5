"""The limits of a run, what it has spent, and the stop when a limit is reached.

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

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from agents.engine import Completion, Halted
from arena.config.schema import LimitsSection, PricesSection
from arena.run.journal import Entry, Journal
from arena.run.store import Store

NAMES = ("requests", "tokens", "money", "seconds")


@dataclass(frozen=True)
class Spent:
    """Completions asked for, their tokens, and seconds of playing."""

    requests: int = 0
    prompt: int = 0
    generated: int = 0
    seconds: float = 0.0

    def __add__(self, other: Spent) -> Spent:
        return Spent(
            self.requests + other.requests,
            self.prompt + other.prompt,
            self.generated + other.generated,
            self.seconds + other.seconds,
        )

    @property
    def tokens(self) -> int:
        return self.prompt + self.generated

    def of(self, name: str, prices: PricesSection) -> float:
        """The amount that counts against the limit `name`."""
        return price(prices, self.prompt, self.generated) or 0.0 if name == "money" else float(getattr(self, name))


def price(prices: PricesSection, prompt: float, generated: float) -> float | None:
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
    return Spent(int(row["r"]), int(row["p"]), int(row["g"]), float(row["s"]))


class Budget:
    """The limits of one run and what it has spent; also the meter of an engine whose completions cost money."""

    def __init__(
        self,
        limits: LimitsSection,
        stored: Spent = Spent(),
        journal: Journal | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limits, self.stored, self.journal, self.clock = limits, stored, journal, clock
        self.stopped = ""  # the reason, after the run was stopped
        self._limited = tuple(n for n in NAMES if getattr(limits, n) is not None)
        self._phase = (0, "")
        self._began: float | None = None
        self._pending = Spent()
        if journal:
            self._pending = _unused(journal)
            for entry in journal.entries.values():
                self._pending += _cost(entry.completion)

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
        return [n for n in self._limited if now.of(n, self.limits.prices) >= getattr(self.limits, n)]

    def check(self) -> None:
        """Raise Halted if a limit is reached."""
        if self._limited and self.reached():
            raise Halted(self.why())

    # -- a phase -------------------------------------------------------------------------------------------------

    def begin(self, generation: int, phase: str) -> None:
        self._phase, self._began = (generation, phase), self.clock()

    def interrupt(self) -> float:
        """End a phase that is not stored. Returns its seconds so far, which count."""
        assert self._began is not None
        seconds, self._began = self.clock() - self._began, None
        self.stored += Spent(seconds=seconds)
        return seconds

    def end(self, row: dict[str, Any], seconds: float) -> None:
        """End a phase that was stored with `row` of table `phases`."""
        self._began = None
        self.stored += Spent(row["requests"], row["prompt_tokens"], row["generated_tokens"], seconds)
        if self.journal:
            self.journal.empty()
            self._pending = _unused(self.journal)

    def close(self) -> None:
        if self.journal:
            self.journal.close()

    # -- the engine's meter --------------------------------------------------------------------------------------

    def found(self, key: str, digest: str) -> Completion | None:
        return self.journal.found(key, digest) if self.journal else None

    def admits(self, under_way: int) -> bool:
        most = self.limits.requests
        if most is not None and self.stored.requests + self._pending.requests + under_way >= most:
            return False
        return not self._limited or not self.reached()

    def keep(self, digest: str, completion: Completion) -> None:
        self._pending += _cost(completion)
        if self.journal:
            self.journal.keep(Entry(*self._phase, digest, completion))

    def seconds_left(self) -> float | None:
        most = self.limits.seconds
        return None if most is None else max(0.0, most - self.spent.seconds)

    # -- in words ------------------------------------------------------------------------------------------------

    def why(self) -> str:
        """One sentence: which limits are reached, and what was spent."""
        names = self.reached()
        limits = " and ".join(f"limits.{n} ({self._limit(n)})" for n in names)
        return f"{limits} {'is' if len(names) == 1 else 'are'} reached: {self.summary()}"

    def summary(self) -> str:
        """What was spent, for example `5.01 USD for 1,234 requests and 8.1 M tokens in 60 s`."""
        now = self.spent
        cost = price(self.limits.prices, now.prompt, now.generated)
        paid = "" if cost is None else f"{amount(cost, self.limits.prices.currency)} for "
        return f"{paid}{now.requests:,} requests and {short(now.tokens)} tokens in {now.seconds:,.0f} s"

    def status(self) -> str:
        """What was spent of each limit, for example `spent 5.01/10 USD, 1,234/5,000 requests`; empty without limits and
        prices."""
        now, parts = self.spent, []
        prices = self.limits.prices
        if "money" in self._limited or prices.known:
            spent = f"{now.of('money', prices):,.2f}"
            parts.append(f"{spent}/{self._limit('money')}" if self.limits.money else f"{spent} {prices.currency}")
        for name in self._limited:
            if name != "money":
                parts.append(f"{short(now.of(name, prices))}/{self._limit(name)} {name}")
        return f"spent {', '.join(parts)}" if parts else ""

    def raised_limits(self) -> str:
        """Overrides with which a stopped run can be resumed: each reached limit, doubled."""
        now, given = self.spent, []
        for n in self.reached():
            more = 2 * max(getattr(self.limits, n), now.of(n, self.limits.prices))
            given.append(f"limits.{n}={more:.15g}" if more == int(more) else f"limits.{n}={more:.2f}")
        return " ".join(given)

    def _limit(self, name: str) -> str:
        most = getattr(self.limits, name)
        if name == "money":
            return f"{most:g} {self.limits.prices.currency}"
        return f"{most:g} s" if name == "seconds" else short(most)


def amount(money: float, currency: str) -> str:
    """For example `5.01 USD`; sums below a cent with two significant digits."""
    return f"{money:,.2f} {currency}" if money >= 0.01 or not money else f"{money:.2g} {currency}"


def short(number: float) -> str:
    """For example `1,234`; from a million on `8.1 M`."""
    return f"{number / 1e6:,.1f} M" if number >= 1e6 else f"{number:,.0f}"


def _cost(completion: Completion) -> Spent:
    return Spent(1, completion.prompt_tokens, completion.generated_tokens)


def _unused(journal: Journal) -> Spent:
    u = journal.unused
    return Spent(u.requests, u.prompt_tokens, u.generated_tokens)
