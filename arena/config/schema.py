"""The run's configuration: typed, documented where declared, strict.

A YAML file plus dotted `key=value` overrides become one frozen `Config`. An unknown key fails and names the nearest
right one. The resolved copy is saved in the run folder; running that copy again repeats the run.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from arena.config.bounded_yaml import yaml_data
from arena.config.cluster import ClusterSection
from arena.config.culture import LibrarySection, MeasureSection, Section, SleepSection, TurnoverSection
from arena.config.registries import SINKS

SETTERS = Literal["self", "frozen", "mutator", "uniform", "seed"]


PRIVATE = ("engine.openai.url", "engine.openai.api_key_env")  # a key put here by mistake is not repeated


class RunSection(Section):
    name: str = Field("run", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    """The run's folder is `<folder>/<name>`."""
    folder: str = "runs"
    """Where run folders lie."""


class PopulationSection(Section):
    agents: int = Field(4, ge=3, le=512)
    """How many agents live at a time. At least 3: an author and two solvers."""


class ModelSection(Section):
    path: str = "seed"
    """A Llama, Qwen2 or Qwen3: its folder in Hugging Face format, or its Hugging Face name such as Qwen/Qwen3-0.6B
    (looked up in the local cache, else downloaded: pip install .[hub]). `seed` is the model that ships with Ratchet."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """In what the base weights are held; `auto`: float32 on the CPU, elsewhere what the checkpoint is stored in."""


class OpenAISection(Section):
    """The server of `engine.kind: openai`."""

    url: str = "http://localhost:8000/v1"
    """Where its API begins, in most cases with /v1 at the end. No key and no password in it: it is stored."""
    model: str = ""
    """The model's name in the server's own list."""
    api: Literal["completions", "chat"] = "completions"
    """`completions` goes on with the prompt's text, `chat` sends the prompt as one message of a user."""
    api_key_env: str = ""
    """The NAME of the environment variable that holds the key, never the key itself; empty: no key is sent."""
    concurrency: int = Field(32, ge=1, le=4096)
    """Requests under way at a time."""
    retries: int = Field(6, ge=0, le=30)
    """Further tries of a request that failed in a way that may pass, each after a longer wait."""
    timeout_s: float = Field(120.0, gt=0)
    """Seconds that one try may take from its sending to the last byte of its answer."""
    logprobs: bool = False
    """Ask for log-probabilities; otherwise column `logprob` stays empty."""
    tokenize: bool = True
    """Count the tokens of posts with the server's /tokenize; where it has none, or if false, they are estimated."""
    extra: dict[str, Any] = Field(default_factory=dict)
    """Fields added to each request's body, such as {top_k: 40}; null takes one out, such as {seed: null}."""

    @field_validator("url")
    @classmethod
    def _plain_url(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is none, expected something like http://localhost:8000/v1")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError(
                "no user, password, query or fragment belongs in it: a key goes into api_key_env's variable"
            )
        return url.rstrip("/")

    @field_validator("api_key_env")
    @classmethod
    def _variable(cls, name: str) -> str:
        if name and not (name.isascii() and name.isidentifier()):
            raise ValueError("expected the name of an environment variable, not what it holds")
        return name

    @field_validator("extra")
    @classmethod
    def _free_fields(cls, extra: dict[str, Any]) -> dict[str, Any]:
        taken = {"model", "prompt", "messages", "stream", "n"} & set(extra)
        if taken:
            raise ValueError(f"{', '.join(sorted(taken))} cannot be set here")
        return extra


class VllmSection(Section):
    """What engine.kind vllm is started with; the others do not read it."""

    adapters: int = Field(32, ge=1)
    """Most adapters in one batch. A larger population takes turns; each slot takes memory of an adapter."""
    dtype: Literal["float32", "bfloat16", "float16", "auto"] = "float32"
    """Numbers of weights, adapters and cache. The greedy texts of the torch engine come of float32 only."""
    cache_gb: float = Field(1.0, gt=0)
    """Memory for keys and values, in 10^9 bytes. Requests that do not fit wait for their turn."""
    context: int = Field(4096, ge=16)
    """Longest prompt and completion together, in tokens, or what the model has, if less; `cache_gb` has to hold one."""
    eager: bool = True
    """No compiled graphs: starts in seconds. False is for GPUs; the CPU is eager always."""
    sleep: bool = False
    """Give the GPU's memory back while agents sleep, so that the learner can use it. GPU only, and not measured."""


class EngineSection(Section):
    kind: Literal["torch", "vllm", "openai"] = "torch"
    """Which engine generates: in-process torch, vLLM with one LoRA an agent, or any OpenAI-compatible server."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the torch engine and the learner compute; auto is the GPU where there is one."""
    max_rows: int = Field(96, ge=1)
    """Rows the torch engine writes at a time, on each thread; others wait for a row to end."""
    openai: OpenAISection = OpenAISection()
    threads: int = Field(2, ge=1)
    """Torch threads. Part of what makes a run repeatable: another number rounds differently."""
    vllm: VllmSection = VllmSection()


class DomainSection(BaseModel):
    """One domain: how large a share of the rounds it gets; every further key is an option of that domain."""

    model_config = ConfigDict(extra="allow", frozen=True)

    share: float = Field(1.0, ge=0.0, le=1.0)

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class RoundsSection(Section):
    per_agent: int = Field(60, ge=1)
    """Problems each agent sets in a generation."""
    solvers: int = Field(2, ge=1)
    """Solvers a problem, never its author."""
    attempts: int = Field(2, ge=1)
    """Attempts each solver makes."""
    setter: SETTERS = "self"
    """Who sets: the agents (self), the untrained seed model (frozen), a programmatic mutator of library parents,
    uniformly random problems of depth 1 to 8, or problems from the seed's own solve data (seed). The last three cost
    no tokens."""
    vary: float = Field(0.75, ge=0.0, le=1.0)
    """Share of proposals that vary a parent problem taken from the library."""
    temperature: float = Field(0.8, ge=0.0, le=4.0)
    """Sampling temperature of attempts."""
    set_temperature: float = Field(1.0, ge=0.0, le=4.0)
    """Sampling temperature of proposals and guesses."""
    top_p: float = Field(1.0, gt=0.0, le=1.0)
    grade: float = Field(0.1, ge=0.0, le=1.0)
    """Share of the problems of which one attempt is graded by a third agent that solves again, blind."""
    guesses: int = Field(12, ge=0)
    """Guesses at hidden names each agent makes in a generation (hidden_words only)."""
    guesser: Literal["self", "program", "search"] = "self"
    """Who guesses: the agents; a program that extends what the library holds by a random primitive; a program that
    tries every extension on the examples first. The last two cost no tokens."""
    recall: bool = False
    """Before they guess, agents are asked what each name means without anything to read; what they answer counts as
    known to them, right or wrong."""
    max_tokens: int = Field(112, ge=8)
    """Longest completion."""


class PromptsSection(Section):
    """How agents are spoken to (docs/chat.md)."""

    style: Literal["bare", "chat"] = "bare"
    """`bare`: the domains' own notation, which the shipped model was taught. `chat`: prose, for models that follow
    instructions, worded by the model's own chat template or by the server."""
    thinking: bool = False
    """Let models that can think do so before they answer; what they thought is recorded and not read."""
    structured: bool = False
    """Hold replies to JSON of the asked form, where the engine can: vLLM, and servers that offer it."""
    personas: list[str] = Field(default_factory=list)
    """Sentences that tell an agent who it is, dealt to the places agents live in."""
    posts: int = Field(0, ge=0)
    """Posts in its own words an agent may write in a generation: lessons, failures, recipes, books (chat only)."""


class RewardsSection(Section):
    setter: Literal["variance", "inverse"] = "variance"
    """How a problem's solve rate p pays its author: 4p(1-p), or 1-p for p > 0."""
    invalid: float = Field(-0.25, le=0.0)
    """What a rejected proposal costs its author."""


class ReviewSection(Section):
    """How far the arena goes alone (docs/review.md). Short form: `review: sample`."""

    mode: Literal["off", "sample", "gate"] = "off"
    """`off`: no human decision is taken. `sample`: some attempts and posts of each generation are put on the desk, and
    the run never waits. `gate`: besides, posts that pass the admission check wait for approval, and the run goes on
    without them."""
    per_generation: int = Field(8, ge=1)
    """At most so many items of a generation are put on the desk; posts that wait come on top."""

    @field_validator("mode", mode="before")
    @classmethod
    def _off(cls, mode: Any) -> Any:
        return "off" if mode is False else mode  # what YAML makes of a bare off


class PricesSection(Section):
    """What a model server charges. Tokens of cached prompts are reckoned in full, so the sum is rather too high."""

    prompt: float | None = Field(None, ge=0)
    """Of a million prompt tokens."""
    generated: float | None = Field(None, ge=0)
    """Of a million generated tokens."""
    currency: str = Field("USD", pattern=r"^\S{1,8}$")
    """What it is called in lines and tables."""

    @property
    def known(self) -> bool:
        return self.prompt is not None and self.generated is not None


class LimitsSection(Section):
    """Where a run ends or stops. `compute` ends it; the other four count evaluation too, and stop it where it is, to
    be gone on with under a higher limit (docs/servers.md)."""

    compute: float | None = Field(None, gt=0)
    """Compute units (1 a prompt or generated token, 3 a trained token, evaluation apart) after which the run ends
    with the generation in progress."""
    requests: int | None = Field(None, ge=1)
    """Completions the run may ask for."""
    tokens: int | None = Field(None, ge=1)
    """Prompt and generated tokens the run may take; trained ones are not counted here."""
    money: float | None = Field(None, gt=0)
    """What those tokens may cost at `prices`."""
    seconds: float | None = Field(None, gt=0)
    """How long the run may be played, pauses and interruptions not counted."""
    prices: PricesSection = PricesSection()
    """What a million tokens cost: {prompt: 0.15, generated: 0.60}."""


class StoreSection(Section):
    """What of a long run stays on disk (docs/long_runs.md). May be changed when a run goes on."""

    retention: int = Field(0, ge=0)
    """Generations whose words are kept: proposals, attempts, grades, guesses and what stood in their context. Of older
    ones verdicts and counts stay, and the library and its log are never touched. 0: all are kept."""
    adapters: int = Field(10, ge=0)
    """Of generations before the last two, each so manyeth keeps its adapters; 0: none of them does."""
    most_adapters: int = Field(0, ge=0)
    """Most of those older generations; where there would be more, each second goes. 0: no bound."""


class Config(Section):
    run: RunSection = RunSection()
    seed: int = Field(0, ge=0)
    generations: int = Field(40, ge=0)
    domains: dict[str, DomainSection] = Field(default_factory=lambda: {"list_programs": DomainSection(share=1.0)})
    """Domains by name with their share of the rounds; the first is the main one."""
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
    """Where figures go while the run is played, beside its own store, such as [tensorboard] (docs/sinks.md)."""

    @property
    def main_domain(self) -> str:
        """The domain of which held-out skill and diversity are reported: the first of `domains`."""
        return next(iter(self.domains))

    @field_validator("sinks")
    @classmethod
    def _known_sinks(cls, names: list[str]) -> list[str]:
        for name in names:
            if name not in SINKS:
                near = nearest(name, list(SINKS)) or f"; expected one of {', '.join(SINKS)}"
                raise ValueError(f"unknown sink {name!r}{near}")
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
        return domains

    @model_validator(mode="before")
    @classmethod
    def _awake(cls, data: Any) -> Any:
        """Behind a server nobody sleeps; whoever asks for it is told (`_server`). The shipped model's school is in bare
        notation, so who is chatted with does not go there unless it is asked for."""
        parts = ("engine", "sleep", "prompts")
        engine, sleep, prompts = (data.get(k, {}) for k in parts) if isinstance(data, dict) else ({}, {}, {})
        if isinstance(prompts, dict) and prompts.get("style") == "chat" and isinstance(sleep, dict):
            data = {**data, "sleep": {"seed_examples": 0, **sleep}}
            sleep = data["sleep"]
        if isinstance(engine, dict) and engine.get("kind") == "openai" and isinstance(sleep, dict):
            return {**data, "sleep": {"enabled": False, **sleep}}
        return data

    @model_validator(mode="after")
    def _server(self) -> Config:
        if self.engine.kind == "openai":
            if self.sleep.enabled:
                raise ValueError(
                    "sleep.enabled is true, but engine.kind is openai: a server's model cannot be trained, leave it out"
                )
            if not self.engine.openai.model:
                raise ValueError("engine.kind openai needs engine.openai.model, the model's name in the server's list")
        return self

    @model_validator(mode="after")
    def _spoken(self) -> Config:
        if self.prompts.style == "chat" and self.engine.kind == "openai" and self.engine.openai.api != "chat":
            raise ValueError(
                "prompts.style is chat, but engine.openai.api is completions: chat prompts need engine.openai.api=chat"
            )
        if self.prompts.posts and self.prompts.style != "chat":
            raise ValueError("prompts.posts needs prompts.style chat: the shipped notation has no words of its own")
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
        prices, missing = self.limits.prices, "limits.prices.{} is missing, the price of a million {} tokens"
        for name, price, other in (
            ("prompt", prices.prompt, prices.generated),
            ("generated", prices.generated, prices.prompt),
        ):
            if price is None and (self.limits.money is not None or other is not None):
                why = "limits.money is set, but " if self.limits.money is not None else ""
                raise ValueError(why + missing.format(name, name))
        return self

    @model_validator(mode="after")
    def _clustered(self) -> Config:
        check_cluster(self)
        return self

    def to_yaml(self) -> str:
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)


def notices(config: Config) -> list[str]:
    """What a config leaves out that its reader may count on, each with the key that says so."""
    if config.sleep.enabled:
        school = [key for key in ("seed_examples", "lore") if getattr(config.sleep, key)]
        if config.prompts.style == "chat" and school:
            told = " and ".join(f"sleep.{key}" for key in school)
            return [f"{told}: these examples are in the bare notation, though prompts.style is chat"]
        return []
    why = "a server's model cannot be trained" if config.engine.kind == "openai" else "as configured"
    found = [f"sleep.enabled is false ({why}): nothing is learned and no adapters are written"]
    t = config.turnover
    if t.inherit != "nothing" and (t.policy == "age" or (t.policy == "tournament" and t.every)):
        found.append("turnover.inherit is not used: there are no weights to inherit, newborns begin like everyone else")
    return found


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read a YAML file and apply `a.b=value` overrides (values are YAML). Raises ValueError that names the key and
    the file."""
    return make_config(read_yaml(path, "config"), overrides, str(path))


def read_yaml(path: str | Path, what: str) -> Any:
    """The data of a YAML file. Raises ValueError that names the file and the nearest one there, or what is wrong."""
    try:
        return yaml_data(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        near = nearest(Path(path).stem, [p.stem for p in Path(path).parent.glob("*.yaml")])
        raise ValueError(f"cannot read the {what} {path}: {error.strerror or error}{near}") from None
    except ValueError as error:
        raise ValueError(f"{path} is not YAML: {' '.join(str(error).split())}") from None


def make_config(data: Any, overrides: Sequence[str] = (), source: str = "config") -> Config:
    """Build a config from plain data. Raises ValueError that names the offending key and the nearest right one."""
    data = {} if data is None else data
    if not isinstance(data, dict):
        raise ValueError(f"{source} must hold a mapping of keys, found {type(data).__name__}")
    if "review" in data:
        data = {**data, "review": _review(data["review"])}
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals or not key:
            raise ValueError(f"override {override!r} is not of the form key.subkey=value")
        try:
            parsed = yaml_data(value)
        except ValueError:
            raise ValueError(f"override {override[:100]!r}: the value is not YAML") from None
        _set(data, key.split("."), parsed, override)
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        raise ValueError(f"{source}: {_explain(error)}") from None


def nearest(word: str, choices: Sequence[str]) -> str:
    """`; did you mean X?` if something is near, else empty."""
    found = difflib.get_close_matches(word, choices, n=1, cutoff=0.5)
    return f"; did you mean {found[0]!r}?" if found else ""


def _review(section: Any) -> Any:
    """The long form of `review: sample`."""
    return {"mode": section} if isinstance(section, str | bool) else section


def _set(data: dict[str, Any], path: list[str], value: Any, override: str) -> None:
    for key in path[:-1]:
        data = data.setdefault(key, {})
        if not isinstance(data, dict):
            raise ValueError(f"override {override!r}: {key!r} is not a section")
    data[path[-1]] = value


def _explain(error: ValidationError) -> str:
    first = error.errors()[0]
    path = [str(p) for p in first["loc"]]
    where = ".".join(path) or "the config"
    if first["type"] == "extra_forbidden":
        section: Any = Config
        for key in path[:-1]:
            section = section.model_fields[key].annotation
        names = list(section.model_fields)
        return f"unknown key {where!r}{nearest(path[-1], names) or '; expected one of ' + ', '.join(names)}"
    if first["type"] == "literal_error":
        expected = str(first.get("ctx", {}).get("expected", ""))
        choices = expected.replace("'", "").replace(" or ", ", ").split(", ")
        return f"{where} is {first['input']!r}: expected {expected}{nearest(str(first['input']), choices)}"
    says = first["msg"].removeprefix("Value error, ")
    if not path or where in PRIVATE:
        return f"{where}: {says}" if path else says
    return f"{where}: {says} (got {str(first['input'])[:60]!r})"


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
