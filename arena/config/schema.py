"""The run's configuration: typed, documented where it is declared, strict.

A YAML file and dotted `key=value` overrides become one frozen `Config`. An unknown key is an error that names the
nearest valid one. The resolved copy is saved in the run folder; running that copy again repeats the run. The sections
are declared in the other modules of this package; `arena.config.reference` lists all keys.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args, get_origin

import yaml
from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from agents.stored_file import find_substitute
from arena.config.bounded_yaml import LostError, yaml_data
from arena.config.cluster import ClusterSection
from arena.config.culture import LibrarySection, MeasureSection, SleepSection, TurnoverSection
from arena.config.engine import EngineSection, ModelSection
from arena.config.limits import LimitsSection, PricesSection, StoreSection, TokenPrices
from arena.config.overrides import Overrides, apply_overrides, path_text
from arena.config.population import MAIN, PopulationSection, check_population
from arena.config.registries import check_sink, domain_class, find_domain, find_engine, is_named, is_path, nearest
from arena.config.rounds import (
    DomainSection,
    PromptsSection,
    ReviewSection,
    RewardsSection,
    RoundsSection,
)
from arena.config.section import Section, variants_of
from arena.config.shipped import find_config, nearest_config
from curricula.default_prose import description, missing

__all__ = [
    "Config",
    "LimitsSection",
    "PricesSection",
    "PromptsSection",
    "RewardsSection",
    "StoreSection",
    "load_config",
    "make_config",
    "nearest",
    "notices",
    "read_yaml",
]

PRIVATE = ("engine.openai.url", "engine.openai.api_key_env")
"""Ends of keys whose values errors do not repeat: somebody may have put an API key there by mistake."""


class RunSection(Section):
    """Name and folder of the run."""

    name: str = Field("run", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    """Name of the run. Its folder is `<folder>/<name>`."""
    folder: str = "runs"
    """Folder that holds run folders."""

    @field_validator("folder")
    @classmethod
    def _path(cls, folder: str) -> str:
        return path_text(folder)


class Config(Section):
    """All of it."""

    run: RunSection = RunSection()
    seed: int = Field(0, ge=0)
    """Random seed of the run. It determines hidden worlds, plans and samples."""
    generations: int = Field(40, ge=0)
    """Number of generations to play. A run can be extended when it is resumed (docs/configs.md, What may change in a
    run)."""
    domains: dict[str, DomainSection] = Field(default_factory=lambda: {"list_programs": DomainSection(share=1.0)})
    """Domains by name, each with its share of the rounds; the first is the main one. A domain of your own is named by
    import path, such as mypackage.mydomain:MyDomain (docs/add_a_domain.md)."""
    population: PopulationSection = PopulationSection()
    model: ModelSection = ModelSection()
    engine: EngineSection = EngineSection()
    rounds: RoundsSection = RoundsSection()
    prompts: PromptsSection = PromptsSection()
    rewards: RewardsSection = RewardsSection()
    library: LibrarySection = LibrarySection()
    sleep: SleepSection = SleepSection()
    turnover: TurnoverSection = TurnoverSection()
    measure: MeasureSection = MeasureSection()
    review: ReviewSection = ReviewSection()
    limits: LimitsSection = LimitsSection()
    store: StoreSection = StoreSection()
    cluster: ClusterSection = ClusterSection()
    sinks: list[str] = Field(default_factory=list)
    """Where to send metrics during the run, in addition to run.db, such as [tensorboard] (docs/sinks.md). A sink of
    your own is named by import path, such as mypackage.sinks:JsonLines."""

    @property
    def main_domain(self) -> str:
        """The domain of which held-out skill and diversity are reported: the first of `domains`."""
        return self.domain_names[0]

    @property
    def named_domain(self) -> str | None:
        """The first domain with hidden names, or None."""
        return next((n for n, key in zip(self.domain_names, self.domains, strict=True) if is_named(key)), None)

    @field_validator("sinks")
    @classmethod
    def _known_sinks(cls, names: list[str]) -> list[str]:
        for name in names:
            check_sink(name)
        return list(dict.fromkeys(names))

    @field_validator("review", mode="before")
    @classmethod
    def _short_review(cls, review: Any) -> Any:
        return _review(review)

    @field_validator("domains")
    @classmethod
    def _shares(cls, domains: dict[str, DomainSection]) -> dict[str, DomainSection]:
        total = sum(d.share for d in domains.values())
        if not domains or abs(total - 1.0) > 1e-6:
            raise ValueError(f"the domains' shares must add up to 1, they add up to {total:g}")
        names = [domain_name(key) for key in domains]
        if twice := [n for n in names if names.count(n) > 1]:
            raise ValueError(f"two domains have the name {twice[0]!r}")
        return domains

    @model_validator(mode="before")
    @classmethod
    def _defaults(cls, data: Any) -> Any:
        """Defaults that depend on other keys: no training with an engine that cannot train, and no seed examples with
        chat prompts, because they are in the bare notation."""
        parts = ("engine", "sleep", "prompts")
        engine, sleep, prompts = (data.get(k, {}) for k in parts) if isinstance(data, dict) else ({}, {}, {})
        if isinstance(prompts, dict) and prompts.get("style") == "chat" and isinstance(sleep, dict):
            data = {**data, "sleep": {"seed_examples": 0, **sleep}}
            sleep = data["sleep"]
        if isinstance(engine, dict) and isinstance(sleep, dict) and not _trains(engine.get("kind")):
            return {**data, "sleep": {"enabled": False, **sleep}}
        return data

    @model_validator(mode="after")
    def _trainable(self) -> Config:
        if self.sleep.enabled and not self.engine.spec.trains:
            raise ValueError(
                f"sleep.enabled is true, but engine.kind is {self.engine.kind}: {_untrained(self)}, leave it out"
            )
        return self

    @model_validator(mode="after")
    def _chat(self) -> Config:
        engine = self.engine
        if self.prompts.style == "chat" and engine.spec.section == "openai" and engine.openai.api != "chat":
            raise ValueError(
                "prompts.style is chat, but engine.openai.api is completions: chat prompts need engine.openai.api=chat"
            )
        for key in self.domains if self.prompts.style == "chat" else ():
            kind = domain_class(key)  # None: an unknown name, which fails when the domain is built
            if kind is not None and (lacks := missing(kind)) and not description(kind):
                raise ValueError(
                    f"prompts.style is chat, but the domain {key} has no {' and no '.join(lacks)}, and no docstring "
                    "from which chat prompts could be worded (docs/add_a_domain.md)"
                )
        if self.prompts.posts and self.prompts.style != "chat":
            raise ValueError("prompts.posts needs prompts.style chat: the bare notation has no free text")
        if self.prompts.shortest_post > self.prompts.longest_post:
            raise ValueError(
                f"prompts.shortest_post is {self.prompts.shortest_post}, but prompts.longest_post is "
                f"{self.prompts.longest_post}"
            )
        return self

    @model_validator(mode="after")
    def _solvers(self) -> Config:
        if self.rounds.solvers >= self.population.agents:
            raise ValueError(
                f"rounds.solvers is {self.rounds.solvers}, but only {self.population.agents - 1} agents "
                "are not the author"
            )
        return self

    @model_validator(mode="after")
    def _priced(self) -> Config:
        of_all = not self.population.others or any(name not in self.model_prices for name in self.remote_models)
        needed = self.limits.money is not None and of_all  # else every model that costs money has its own prices
        self._both_prices("limits.prices", self.limits.prices, needed)
        for name, one in self.population.others.items():
            self._both_prices(f"population.models.{name}.prices", one.prices, False)
        return self

    def _both_prices(self, key: str, prices: TokenPrices, needed: bool) -> None:
        for name, price, other in (
            ("prompt", prices.prompt, prices.generated),
            ("generated", prices.generated, prices.prompt),
        ):
            if price is None and (needed or other is not None):
                why = "limits.money is set, but " if needed else ""
                raise ValueError(f"{why}{key}.{name} is missing, the price of a million {name} tokens")

    @model_validator(mode="after")
    def _valued(self) -> Config:
        if self.sleep.value.examples and self.sleep.enabled and not self.engine.spec.in_process:
            raise ValueError(
                f"sleep.value.examples is {self.sleep.value.examples}, but engine.kind {self.engine.kind} shows no "
                "hidden states: use engine.kind=torch, or sleep.value.examples=0"
            )
        return self

    @model_validator(mode="after")
    def _clustered(self) -> Config:
        check_cluster(self)
        check_population(self.population, self.rounds.solvers, self.prompts.style == "chat", self.cluster)
        return self

    def of_model(self, name: str) -> Config:
        """The config with the model `name` of a mixed population as its own, and without the others: its engine is
        opened, and its weights are loaded, as those of a run of its own."""
        if name == MAIN:
            return self
        one, run = self.population.others[name], self.engine
        engine = one.engine.model_copy(update={"device": run.device, "threads": run.threads})
        model = ModelSection.model_construct(**one.model.model_dump())
        population = self.population.model_copy(update={"models": {}})
        return self.model_copy(update={"model": model, "engine": engine, "population": population})

    @property
    def remote_models(self) -> list[str]:
        """Names of the models that a server holds."""
        return [name for name in (MAIN, *self.population.others) if self.of_model(name).engine.spec.remote]

    @property
    def model_prices(self) -> dict[str, TokenPrices]:
        """In a mixed population, the prices of each model that costs money, by name; otherwise empty."""
        own = {name: one.prices for name, one in self.population.others.items() if one.prices.known}
        if not self.population.others or not self.limits.prices.known:
            return own
        return dict.fromkeys(self.remote_models, self.limits.prices) | own

    @property
    def domain_names(self) -> tuple[str, ...]:
        """The domains' own names, in order: what is stored with problems."""
        return tuple(map(domain_name, self.domains))

    def to_yaml(self) -> str:
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)


def domain_name(key: str) -> str:
    """The name of the domain that a key of `domains` names."""
    return find_domain(key).name if is_path(key) else key


def _trains(kind: Any) -> bool:
    """Whether adapters can be trained for this engine; true for what is no engine, which fails later by its key."""
    try:
        return kind is None or find_engine(str(kind)).trains
    except ValueError:
        return True


def _untrained(config: Config) -> str:
    """Why nothing is trained."""
    spec = config.engine.spec
    if spec.trains:
        return "as configured"
    return "a server's model cannot be trained" if spec.remote else "this engine cannot train adapters"


def notices(config: Config) -> list[str]:
    """Sentences on settings that have no effect or an unexpected one, each with its key."""
    found = []
    for key in config.domains if config.prompts.style == "chat" else ():
        kind = domain_class(key)
        if kind is not None and (lacks := missing(kind)):
            found.append(
                f"domains.{key}: the class has no {' and no '.join(lacks)}; chat prompts are worded from its docstring "
                "and examples"
            )
    if config.review.mode == "gate":
        found.append(
            "review.mode is gate: no post is readable before a person approves it; "
            + ("the run waits for decisions before each generation" if config.review.wait else "the run does not wait")
        )
    if config.prompts.structured and not config.engine.spec.structured:
        found.append(
            f"prompts.structured: engine.kind {config.engine.kind} cannot constrain replies; agents are only asked "
            "for JSON"
        )
    if config.sleep.enabled:
        if config.sleep.needs_logprobs and not config.sleep.attempts:
            found.append(
                "sleep.attempts is 0: the policy gradient sees no attempts, and solvers only imitate worked examples"
            )
        if config.prompts.style == "chat" and config.sleep.lore:
            found.append("sleep.lore: these examples are in the bare notation, though prompts.style is chat")
        return found
    found.append(f"sleep.enabled is false ({_untrained(config)}): nothing is learned and no adapters are written")
    t = config.turnover
    if t.inherit != "nothing" and (t.policy == "age" or (t.policy == "tournament" and t.every)):
        found.append("turnover.inherit is not used: there are no weights to inherit, newborns begin like everyone else")
    return found


def load_config(path: str | Path, overrides: Overrides = ()) -> Config:
    """Read a YAML file and apply overrides: `a.b=value` (values of keys that hold text are taken as written, others are
    YAML), or a mapping of dotted keys. Raises ValueError that names the key and the file."""
    return make_config(read_yaml(path, "config"), overrides, str(path))


def read_yaml(path: str | Path, what: str) -> Any:
    """The data of a YAML file or of a shipped one, by name. Raises ValueError that names the file and the nearest one,
    or what is wrong."""
    folder = "experiments" if what == "experiment" else ""
    try:
        data = find_config(path, folder).read_bytes()
        if data and (found := find_substitute(data[:200])):
            raise LostError(f"this is {found}")
        return yaml_data(data.decode("utf-8"))
    except OSError as error:
        near = nearest_config(path, folder)
        raise ValueError(f"cannot read the {what} {path}: {error.strerror or error}{near}") from None
    except LostError as error:
        raise ValueError(f"{path}: {error}") from None
    except ValueError as error:
        raise ValueError(f"{path} is not YAML: {' '.join(str(error).split())}") from None


def make_config(data: Any, overrides: Overrides = (), source: str = "config") -> Config:
    """Build a config from plain data. Raises ValueError that names the offending key and the nearest right one."""
    data = {} if data is None else data
    if not isinstance(data, dict):
        raise ValueError(f"{source} must hold a mapping of keys, found {type(data).__name__}")
    if "review" in data:
        data = {**data, "review": _review(data["review"])}
    apply_overrides(data, overrides, Config)
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        raise ValueError(f"{source}: {_explain(error)}") from None


def _review(section: Any) -> Any:
    """The long form of `review: sample`."""
    return {"mode": section} if isinstance(section, str | bool) else section


def _explain(error: ValidationError) -> str:
    first = error.errors()[0]
    path, section = _location([str(p) for p in first["loc"]])
    where = ".".join(path) or "the config"
    if first["type"] == "extra_forbidden":
        names = list(section.model_fields)
        return f"unknown key {where!r}{nearest(path[-1], names) or '; expected one of ' + ', '.join(names)}"
    if first["type"] == "literal_error":
        expected = str(first.get("ctx", {}).get("expected", ""))
        choices = expected.replace("'", "").replace(" or ", ", ").split(", ")
        return f"{where} is {first['input']!r}: expected {expected}{nearest(str(first['input']), choices)}"
    if first["type"] == "string_type" and isinstance(first["input"], bool | int | float | None):
        return f"{where}: expected text, but YAML reads this as {first['input']!r}: put it in quotes"
    says = first["msg"].removeprefix("Value error, ")
    if not path or where.endswith(PRIVATE):
        return f"{where}: {says}" if path else says
    return f"{where}: {says} (got {str(first['input'])[:60]!r})"


def _location(parts: list[str]) -> tuple[list[str], Any]:
    """The key of an error as users write it, without the name of the variant of a section, and the section it is in."""
    at: Any = Config
    section, path = at, list[str]()
    for key in parts:
        if variants := variants_of(at):
            at = variants.get(key, at)
            continue
        path.append(key)
        if isinstance(at, type) and issubclass(at, BaseModel):
            section, field = at, at.model_fields.get(key)
            at = field.annotation if field else None
        else:
            at = get_args(at)[1] if get_origin(at) is dict else None
    return path, section


def check_cluster(config: Config) -> None:
    """Raises ValueError for what cannot work on a cluster, or on several islands."""
    cluster = config.cluster
    if not cluster.clustered:
        return
    if config.review.mode != "off":
        raise ValueError(
            f"review.mode is {config.review.mode}, but the run is played on a cluster (cluster.address "
            f"{cluster.address}): what a reviewer decides does not reach the islands; use review=off"
        )
    if cluster.islands > 1 and config.library.network != "all":
        raise ValueError(
            f"library.network is {config.library.network}, but cluster.islands is {cluster.islands}: on each island "
            "everybody reads everybody; use library.network=all"
        )
    if config.store.retention:
        raise ValueError(
            f"store.retention is {config.store.retention}, but the run is played on a cluster (cluster.address "
            f"{cluster.address}): islands keep all they wrote; use store.retention=0"
        )
    if cluster.agents >= config.population.agents and cluster.islands > 1:
        raise ValueError(
            f"cluster.agents is {cluster.agents}, but only {config.population.agents} live on an island: an exchange "
            "must leave some of them"
        )
