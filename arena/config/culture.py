"""The sections of a config for how knowledge lasts: library, sleep, turnover, and the measurements of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from arena.config.objectives import LikelihoodSection, ObjectiveSection, PolicyGradientSection
from arena.config.registries import WRITTEN, find_kind, nearest
from arena.config.section import Section, variants_of
from culture.kinds import POST_KINDS
from curricula.domain import Domain, heldout_depths


class LibrarySection(Section):
    """What agents write, what stays in the index, and who reads it (docs/library.md)."""

    kinds: tuple[str, ...] = Field(
        tuple(kind.name for kind in POST_KINDS.values() if kind.default), json_schema_extra={"choices": list(WRITTEN)}
    )
    """Kinds of posts that agents write. A kind of your own is named by the import path of a `PostKind`, such as
    mypackage.posts:HINT. Authors may always retract or supersede their own posts."""
    quota: int = Field(0, ge=0)
    """Maximum number of posts per author and generation. 0: no limit."""
    most: dict[str, int] = Field(default_factory=lambda: {k.name: k.most for k in POST_KINDS.values() if k.most})
    """Maximum number of posts per author and generation, by kind. Kinds that are not named are limited by `quota`
    only."""
    network: Literal["all", "ring", "islands", "line", "self"] = "all"
    """Whose posts an agent reads and is trained on, by place (a newborn takes the place of the agent that retired).
    `all`: everybody's. `ring`: those of its own place and of the place before it. `islands`: those of its island.
    `line`: those of its own place. `self`: only its own."""
    islands: int = Field(2, ge=1)
    """Number of islands of `network: islands`. Place i is on island i modulo this number."""
    reading: bool = True
    """Show posts to solvers and guessers. If false, agents know only what their weights hold."""
    budget: int = Field(40, ge=0)
    """Maximum number of tokens of posts in a solver's context."""
    limit: int = Field(3, ge=0)
    """Maximum number of posts in a solver's context."""
    by_words: bool = False
    """Also retrieve posts by full-text search. For models that can use them; the shipped seed model was not trained
    to."""
    distractors: int = Field(1, ge=0)
    """Number of other definitions shown with the ones that a problem needs."""
    withhold: float = Field(0.05, ge=0.0, lt=1.0)
    """Share of retrieved posts that is withheld at random, so that the effect of a post on its readers is a causal
    estimate."""
    explore: float = Field(0.1, gt=0.0, le=1.0)
    """Where several posts match: share of choices made at random. The others take the post with the highest uplift."""
    uplift_window: int = Field(12, ge=1)
    """Number of past generations whose reads count for the uplift by which posts are chosen."""
    forget: Literal["keep", "decay", "budget", "books"] = "keep"
    """What is removed from the index (the log keeps everything). `keep`: nothing. `decay`: posts that are old by
    `half_life` and of no use. `budget`: the least useful and oldest beyond `index` tokens. `books`: the same, after
    books have replaced the posts that they compile."""
    index: int = Field(2000, ge=1)
    """Maximum number of tokens of definitions in the index under `forget: budget` or `books`."""
    half_life: float = Field(8.0, gt=0)
    """Number of generations in which the freshness of a post halves."""
    decay_below: float = Field(0.05, ge=0)
    """Score (uplift times freshness) below which `forget: decay` removes a post."""
    book_every: int = Field(4, ge=1)
    """Number of generations between books compiled from definitions."""
    lesson_window: int = Field(12, ge=0)
    """Number of past generations searched for an equivalent, shorter problem when lessons are written."""
    lasts: int = Field(0, ge=0)
    """Number of generations after its own in which a post can be read. 0: no limit. With 1, what is found in one
    generation is readable in the next and never again."""
    burn: int = Field(0, ge=0)
    """Generation in which the library burns: from then on, earlier posts are neither read nor trained on. 0: never."""
    restore: int = Field(0, ge=0)
    """Generation in which the burned posts become readable again. 0: never."""
    content: Literal["own", "another_world", "shuffled", "filler"] = "own"
    """Control: what readers of a definition see instead of it. `own`: the definition. `another_world`: what the name
    means in another world. `shuffled`: the body of another definition. `filler`: as many words without meaning."""

    @field_validator("kinds")
    @classmethod
    def _known_kinds(cls, kinds: tuple[str, ...]) -> tuple[str, ...]:
        for kind in kinds:
            find_kind(kind)
        return kinds

    @property
    def kind_names(self) -> frozenset[str]:
        """Names of the kinds that agents write."""
        return frozenset(find_kind(kind).name for kind in self.kinds)

    @model_validator(mode="after")
    def _burned(self) -> LibrarySection:
        if self.restore and not 0 < self.burn < self.restore:
            raise ValueError(f"restore is {self.restore}, but burn is {self.burn}: burn must be at least 1 and earlier")
        return self


Exercise = Literal["solve", "set", "vary", "grade", "notes", "post", "guess"]
"""A role in which `arena.rounds.school` has exercises."""


class ValueSection(Section):
    """The value function: each agent's estimate that its attempt will be right (docs/learning.md)."""

    examples: int = Field(0, ge=0)
    """Number of its own attempts of a generation, drawn at random, to which an agent's value function is fitted after
    training. 0: no value function. Needs an engine in this process (`torch`)."""
    prior: float = Field(3.0, gt=0)
    """How strongly a new fit is held to the one before."""
    stop_below: float = Field(0.0, ge=0, lt=1)
    """End an attempt when its estimate falls below this after a step; it counts as wrong. 0: never."""
    spared: float = Field(0.1, ge=0, le=1)
    """Share of attempts that are never ended, so that the estimates can be judged by what would have come of them."""


class SleepSection(Section):
    """How agents are fine-tuned after each generation."""

    enabled: bool = True
    """Train adapters. If false, every agent is the base model for its whole life. With a remote model the default is
    false, and true is an error."""
    objective: Annotated[ObjectiveSection, Field(discriminator="kind")] = LikelihoodSection()
    """What is made of experience. Its name alone, such as `objective: policy_gradient`, stands for its defaults."""
    credit: Literal["answer", "trace", "prefix", "step"] = "trace"
    """What counts as right in a solver's own attempts. `answer`: the whole attempt, if its answer is right. `trace`:
    the whole attempt, if its answer and all its steps are. `prefix`: also the verified steps before the first mistake.
    `step`: each step by itself, compared with the same step of other attempts at the problem; what follows the first
    mistake does not count (`policy_gradient` only)."""
    attempts: int = Field(0, ge=0)
    """Maximum number of attempts of this generation that an agent is trained on, drawn at random from those that teach
    something: not all attempts at the problem came out alike. Worked examples (`fresh`, `archive`) come on top."""
    attempts_of: Literal["own", "read"] = "own"
    """Whose attempts these are. `own`: the agent's. `read`: also those of agents whose posts it reads
    (`library.network`), which makes them more and more varied."""
    review: int = Field(0, ge=0)
    """Maximum number of its failed attempts of this generation that an agent rewrites from the first wrong step before
    it is trained, drawn at random. Those that are right then are examples."""
    review_of: Literal["own", "read"] = "own"
    """Whose corrections an agent is trained on. `own`: the agent's. `read`: also those of agents whose posts it reads
    (`library.network`), one per problem, its own first."""
    review_tries: int = Field(1, ge=1)
    """Maximum number of times that an attempt is rewritten, each time from the first step that is wrong then."""
    review_step: Literal["wrong", "random"] = "wrong"
    """Which step is called wrong in a review. `random`: any step, as a control."""
    grades: int = Field(0, ge=0)
    """Maximum number of its own grades of this generation that an agent is trained on (`policy_gradient` only)."""
    rank: int = Field(32, ge=1)
    """LoRA rank."""
    alpha: float = Field(64.0, gt=0)
    """LoRA alpha; updates are scaled by alpha / rank."""
    learning_rate: float = Field(1e-3, gt=0)
    """Learning rate of AdamW."""
    batch: int = Field(16, ge=1)
    """Number of examples per agent and optimiser step."""
    clip: float = Field(1.0, gt=0)
    """Maximum norm of an agent's gradient."""
    weight_decay: float = Field(0.0, ge=0)
    """Weight decay of AdamW."""
    tokens: int = Field(4096, ge=1)
    """Approximate number of tokens in a micro-batch. Affects speed and memory, not results."""
    average: float = Field(0.95, ge=0, lt=1)
    """Decay per step of the exponential moving average of the weights. Agents act with the average."""
    fresh: int = Field(96, ge=0)
    """Number of worked examples of this generation that an agent is trained on."""
    archive: int = Field(96, ge=0)
    """Number of worked examples of earlier generations."""
    memory: Literal["accumulate", "replace", "budget"] = "accumulate"
    """Which earlier worked examples are available. `accumulate`: all. `replace`: those of the last generation.
    `budget`: the last `memory_size`."""
    memory_size: int = Field(512, ge=1)
    """Number of worked examples under `memory: budget`."""
    lore: int = Field(0, ge=0)
    """Number of exercises on definitions per agent: recalling a definition, guessing a known one."""
    dreams: float = Field(0.45, ge=0.0, le=1.0)
    """Share of these exercises that guess synthetic names, whose bodies are assembled from known ones."""
    unknown: float = Field(0.375, ge=0.0)
    """Exercises on names without a definition, whose answer is that the name is unknown, per exercise that uses a known
    name."""
    seed_examples: int = Field(32, ge=0)
    """Number of examples against forgetting: from the training data of the seed model, or in chat runs `exercises`."""
    exercises: dict[Exercise, Annotated[float, Field(gt=0)]] = Field(default={"set": 3.0, "vary": 1.0}, min_length=1)
    """Kinds of these examples in chat runs, with their weights. By default they show how problems are set, and solving
    is learned in rounds alone."""
    proposals: int = Field(48, ge=0)
    """Maximum number of an agent's own proposals. `likelihood`: the highest paid, each weighted by its reward.
    `policy_gradient`: drawn at random, each weighted by its reward less the agent's mean reward as a setter."""
    proposal_weight: float = Field(0.5, ge=0)
    """Factor on that weight."""
    value: ValueSection = ValueSection()
    references: int = Field(0, ge=0)
    """Maximum number of reference solutions that an agent is trained on: of this generation's problems that it set or
    attempted, or whose author it reads (`library.network`), and that not every attempt solved. A reference solution is
    what the setter's program computes, step by step. It counts if the problem is not doubted and, in word_problems, an
    attempt takes the same steps or the first of them, right or wrong in their arithmetic. Domains with hidden names
    have none."""
    newborn: int = Field(256, ge=0)
    """Number of worked examples that a newborn is trained on before its first generation, if it inherits the
    library."""

    @property
    def needs_logprobs(self) -> bool:
        """Whether the log-probabilities of sampled tokens are needed for training."""
        return self.enabled and isinstance(self.objective, PolicyGradientSection)

    @field_validator("objective", mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        """A kind alone is the kind with its defaults."""
        found = {"kind": value} if isinstance(value, str) else value
        if isinstance(found, dict):
            kinds, kind = variants_of(ObjectiveSection), found.get("kind")
            if kind is None:
                raise ValueError(f"it needs a key kind: {' or '.join(kinds)}")
            if kind not in kinds:
                raise ValueError(f"unknown kind {kind!r}: expected {' or '.join(kinds)}{nearest(str(kind), [*kinds])}")
        return found

    @model_validator(mode="after")
    def _signed(self) -> SleepSection:
        if isinstance(self.objective, PolicyGradientSection):
            if self.objective.baseline == "value" and not self.value.examples:
                raise ValueError("objective.baseline is value, but there is no value function: set value.examples")
        else:
            for key, given in (("credit", self.credit == "step"), ("grades", self.grades > 0)):
                if given:
                    raise ValueError(
                        f"{key} is {getattr(self, key)}, but the objective is {self.objective.kind}: "
                        "set objective to policy_gradient"
                    )
        return self


class TurnoverSection(Section):
    """How agents retire and are replaced."""

    policy: Literal["tournament", "age", "none"] = "tournament"
    """Which agents retire. `tournament`: every `every` generations, the lowest paid. `age`: agents that have lived
    `life` generations. `none`: none."""
    every: int = Field(12, ge=0)
    """Number of generations between retirements under `policy: tournament`. 0: nobody retires."""
    life: int = Field(1, ge=1)
    """Number of generations that an agent lives under `policy: age`."""
    inherit: Literal["weights", "library", "both", "nothing"] = "weights"
    """What a newborn starts from. `weights`: its parents' weights. `library`: the base model, trained on the library.
    `both`: its parents' weights, trained on the library. `nothing`: the base model. Reading is separate:
    `library.reading`."""
    crossing: Literal["copy", "mutation", "crossover", "average"] = "copy"
    """How weights are inherited. `copy`: from the best agent. `mutation`: the same with noise. `crossover`: each
    adapter module from one of the two best. `average`: the mean of all agents."""
    mutation: float = Field(0.02, ge=0)
    """Noise of `mutation` and `crossover`, relative to the standard deviation of each module."""
    window: int = Field(4, ge=1)
    """Number of generations over which agents are compared."""
    consolidate: int = Field(0, ge=0)
    """Number of generations between consolidations: the population's knowledge becomes one adapter, from which all
    agents and later newborns continue. 0: never."""
    consolidate_from: Literal["adapters", "library"] = "adapters"
    """Source of a consolidation. `adapters`: the average of the agents' adapters. `library`: a new adapter trained on
    the library."""


class RatchetSection(Section):
    """The ratchet meter: what a frozen newborn can do with the library of each generation (docs/library.md)."""

    every: int = Field(0, ge=0)
    """Number of generations between ratchet measurements. 0: none. It is increased if a measurement would cost more
    than `share`."""
    per_depth: int = Field(8, ge=1)
    """Number of held-out problems per depth and arm."""
    stale: int = Field(5, ge=1)
    """Age of the stale library, in generations."""
    school: int = Field(0, ge=0)
    """After the last generation, train newborns on this many worked examples each (from the first third of the
    generations, the last third, or any) and measure what they learned. 0: skip."""
    share: float = Field(0.1, gt=0)
    """Maximum cost of a measurement, as a share of the tokens of the generations between two."""


class MeasureSection(Section):
    """What is measured on held-out problems. Evaluation is never trained on and not counted as compute."""

    per_depth: int = Field(12, ge=0)
    """Number of held-out problems per depth, agent and generation, solved greedily."""
    final_per_depth: int = Field(100, ge=1)
    """Number of held-out problems per depth, distributed over the agents, before the first and after the last
    generation."""
    depths: list[int] | None = None
    """Depths that are measured; others of a domain are left out. Empty (null): the usual depths of each domain, in
    list_programs 1 to 8 of 12."""
    passes: int = Field(8, ge=1)
    """k of pass@k, before the first and after the last generation."""
    split: Literal["dev", "test"] = "dev"
    """Held-out split. `test` is sealed: only `experiment --final` uses it."""
    collapse: int = Field(0, ge=0)
    """Number of generations between checks for collapse against the base model without an adapter. 0: none."""
    ratchet: RatchetSection = RatchetSection()

    def depths_of(self, domain: Domain) -> list[int]:
        """The depths of a domain that are measured."""
        return list(domain.depths) if self.depths is None else [d for d in heldout_depths(domain) if d in self.depths]
