"""The sections of a config that limit a run and what it keeps on disk. Both may change when a run is resumed."""

from __future__ import annotations

from pydantic import Field

from arena.config.section import Section


class TokenPrices(Section):
    """Prices of one model, in the currency of `limits.prices`."""

    prompt: float | None = Field(None, ge=0)
    """Price of a million prompt tokens."""
    generated: float | None = Field(None, ge=0)
    """Price of a million generated tokens."""

    @property
    def known(self) -> bool:
        return self.prompt is not None and self.generated is not None


class PricesSection(TokenPrices):
    """Prices of a model server. Cached prompt tokens are charged in full, so the cost is an upper estimate."""

    currency: str = Field("USD", pattern=r"^\S{1,8}$")
    """Currency to print."""


class LimitsSection(Section):
    """When a run ends or stops. `compute` ends the run. The other limits also count evaluation; they stop the run where
    it is, and it can be resumed under a higher limit (docs/servers.md)."""

    compute: float | None = Field(None, gt=0)
    """Compute units after which the run ends with the current generation. One unit per prompt or generated token, three
    per trained token; evaluation is not counted."""
    requests: int | None = Field(None, ge=1)
    """Maximum number of completions."""
    tokens: int | None = Field(None, ge=1)
    """Maximum number of prompt and generated tokens. Trained tokens are not counted."""
    money: float | None = Field(None, gt=0)
    """Maximum cost of these tokens at `prices`."""
    seconds: float | None = Field(None, gt=0)
    """Maximum running time. Pauses and interruptions are not counted."""
    invalid_generations: int | None = Field(3, ge=1)
    """Maximum number of generations in a row without a valid proposal and without a correct guess, after which the
    model evidently does not do what it is asked. null: no limit."""
    prices: PricesSection = PricesSection()
    """Price of a million tokens, such as {prompt: 0.15, generated: 0.60}."""


class StoreSection(Section):
    """What a long run keeps on disk (docs/long_runs.md). May be changed when a run is resumed."""

    retention: int = Field(0, ge=0)
    """Number of generations whose texts are kept: proposals, attempts, grades, guesses and their contexts. Of older
    generations verdicts and counts remain; the library and its log are always kept. 0: keep all."""
    adapters: int = Field(10, ge=0)
    """Keep every Nth generation's adapters; the last two are always kept. 0: keep only the last two."""
    most_adapters: int = Field(0, ge=0)
    """Maximum number of those older generations; beyond it, every second one is deleted. 0: no limit."""
