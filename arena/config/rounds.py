"""The sections of a config for what agents play: domains, rounds, prompts, rewards and human review."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from arena.config.registries import find_rule
from arena.config.section import Section
from curricula.learnability import RULES, PaymentRule

SETTERS = Literal["self", "frozen", "mutator", "uniform", "seed"]


class DomainSection(Section):
    """One domain. Further keys are options of the domain's class."""

    model_config = ConfigDict(extra="allow")

    share: float = Field(1.0, ge=0.0, le=1.0)
    """Share of the rounds that use this domain. All shares must add up to 1."""

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class RoundsSection(Section):
    """How problems are proposed, solved and graded."""

    per_agent: int = Field(60, ge=1)
    """Number of problems that each agent proposes per generation."""
    solvers: int = Field(2, ge=1)
    """Number of solvers per problem, never including its author."""
    attempts: int = Field(2, ge=1)
    """Number of attempts per solver and problem."""
    setter: SETTERS = "self"
    """Source of proposals. `self`: the agents. `frozen`: the untrained base model. `mutator`: programmatic mutation of
    library problems. `uniform`: random problems of depth 1 to 8. `seed`: problems like those the seed model was trained
    on. The last three use no tokens."""
    vary: float = Field(0.75, ge=0.0, le=1.0)
    """Share of proposals that vary a parent problem from the library."""
    parent_fade: float = Field(0.8, gt=0.0, le=1.0)
    """Factor by which the weight of a library problem as a parent falls per generation of age."""
    requests: bool = False
    """Ask setters for a kind of problem (operation and subject) where the domain has kinds and no parent is varied;
    all kinds equally often. A problem of another kind is played and pays its author nothing. For chat prompts."""
    from_name: float = Field(0.5, ge=0.0, le=1.0)
    """In domains with hidden names: share of proposals that start from a bare name instead of a library problem."""
    temperature: float = Field(0.8, ge=0.0, le=4.0)
    """Sampling temperature of attempts."""
    set_temperature: float = Field(1.0, ge=0.0, le=4.0)
    """Sampling temperature of proposals and guesses."""
    top_p: float = Field(1.0, gt=0.0, le=1.0)
    """Nucleus sampling: probability mass that is kept."""
    grade: float = Field(0.1, ge=0.0, le=1.0)
    """Share of problems for which a third agent grades one attempt, by solving the problem without seeing it."""
    guesses: int = Field(12, ge=0)
    """In domains with hidden names: number of guesses at names per agent and generation."""
    guess_tokens: int = Field(16, ge=1)
    """Maximum number of tokens of a guess with `prompts.style: bare`; chat uses `max_tokens`."""
    guesser: Literal["self", "program", "search"] = "self"
    """Source of guesses. `self`: the agents. `program`: a program that extends a known definition by a random
    primitive. `search`: a program that tries every extension on the examples first. The last two use no tokens."""
    recall: bool = False
    """Before agents guess, ask them what each name means with nothing to read. What they answer, right or wrong,
    counts as known to them."""
    recall_tokens: int = Field(16, ge=1)
    """Maximum number of tokens of such an answer."""
    max_tokens: int = Field(112, ge=8)
    """Maximum number of tokens of a completion."""


class PromptsSection(Section):
    """How prompts are worded (docs/chat.md)."""

    style: Literal["bare", "chat"] = "bare"
    """`bare`: the notation of the domains, which the shipped model was trained on. `chat`: prose for models that follow
    instructions, formatted by the model's chat template or by the server."""
    detail: Literal["full", "brief"] = "full"
    """`full`: requests with rules, examples and marks for replies. `brief`: short requests and no marks, for models
    that were trained on them (`ratchet make-seed --from MODEL`), in domains that have short requests."""
    examples: int = Field(0, ge=0, le=8)
    """Number of solved examples that are shown as earlier turns of the chat, for small models (`detail: full`)."""
    thinking: bool = False
    """Let models that can reason do so before they answer. The reasoning is recorded and not used."""
    structured: bool = False
    """Ask for JSON replies, and constrain them to a JSON schema if the engine can: vLLM, and servers that support
    it."""
    personas: list[str] = Field(default_factory=list)
    """Sentences that describe an agent to itself. They are assigned to the population's places in turn."""
    posts: int = Field(0, ge=0)
    """Maximum number of free-text posts per agent and generation: lessons, failures, recipes, books (chat only)."""
    episodes: int = Field(4, ge=1)
    """Number of its own problems that an author of free-text posts is shown."""
    own_posts: int = Field(8, ge=0)
    """Number of its earlier free-text posts whose titles an author is shown."""
    excerpt: int = Field(700, ge=1)
    """Maximum number of characters of a question or answer that an author is shown."""
    shortest_post: int = Field(20, ge=1)
    """Minimum number of characters of a free-text post."""
    longest_post: int = Field(1500, ge=1, le=4000)
    """Maximum number of characters of a free-text post."""


class RewardsSection(Section):
    """What agents are paid."""

    setter: str = Field("variance", json_schema_extra={"choices": list(RULES)})
    """Payment rule: how the solve rate p of a problem pays its author. `variance`: 4p(1-p). `inverse`: 1-p for p > 0,
    else 0. Or the import path of a `PaymentRule`, such as mypackage.rules:RULE. Setters are shown the sentence of the
    rule."""
    invalid: float = Field(-0.25, le=0.0)
    """Reward of a rejected proposal."""
    diversity: float = Field(0.0, ge=0.0, le=4.0)
    """Exponent e of the factor (1 + n)^-e on a setter's pay, where n counts similar problems: those of the same
    generation, by other agents too, and of the last `diversity_window` generations. 0: no factor."""
    diversity_window: int = Field(4, ge=0)
    """Number of earlier generations whose problems count."""
    review: float = Field(0.5, ge=0.0)
    """Reward of a review that the post's measured uplift confirms; a review that it contradicts costs as much."""
    review_lag: int = Field(4, ge=1)
    """Number of generations after which a review is paid."""

    @field_validator("setter")
    @classmethod
    def _known(cls, setter: str) -> str:
        find_rule(setter)
        return setter

    @property
    def rule(self) -> PaymentRule:
        """The payment rule itself."""
        return find_rule(self.setter)


class ReviewSection(Section):
    """Review by people (docs/review.md). Short form: `review: sample`."""

    mode: Literal["off", "sample", "gate"] = "off"
    """`off`: no human decisions. `sample`: some attempts and posts of each generation are queued for review; the run
    never waits. `gate`: in addition, posts that pass the admission check need approval before they are readable; the
    run continues without them, unless `wait` is true."""
    per_generation: int = Field(8, ge=1)
    """Maximum number of items queued per generation, not counting posts that wait for approval."""
    wait: bool = False
    """With `gate`: before each generation after the first, wait until every waiting post is decided."""

    @field_validator("mode", mode="before")
    @classmethod
    def _off(cls, mode: Any) -> Any:
        return "off" if mode is False else mode  # YAML reads a bare off as false

    @model_validator(mode="after")
    def _waits(self) -> ReviewSection:
        if self.wait and self.mode != "gate":
            raise ValueError(f"wait is true, but mode is {self.mode}: posts wait with review.mode=gate only")
        return self
