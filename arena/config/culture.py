"""The sections of a config that say how knowledge lasts: library, sleep, turnover, and what is measured of them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

KIND = Literal["definition", "worked_example", "lesson", "failure", "question", "review", "book"]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LibrarySection(Section):
    """What is written, what stays in the index, and who reads what of it (docs/library.md)."""

    kinds: tuple[KIND, ...] = ("definition", "worked_example", "lesson", "failure", "review")
    """Kinds of posts agents write. Retractions and supersessions are always open to an author."""
    quota: int = Field(0, ge=0)
    """Most posts of an author in a generation; 0: no limit."""
    network: Literal["all", "ring", "islands", "line", "self"] = "all"
    """Whose posts an agent reads and sleeps on, by the places agents live in (a newborn takes the place of the one who
    retired): everybody's; its own place's and the one before it; its island's; its own place's; its own only."""
    islands: int = Field(2, ge=1)
    """Islands of `network: islands`; place i is on island i modulo this."""
    reading: bool = True
    """Solvers and guessers are shown posts. false: what an agent knows is what its weights know."""
    budget: int = Field(40, ge=0)
    """Tokens of posts put in a solver's context."""
    limit: int = Field(3, ge=0)
    """Posts put in a solver's context."""
    by_words: bool = False
    """Also show worked examples found by words, to models that were taught to read them (the shipped seed was not)."""
    distractors: int = Field(1, ge=0)
    """Other definitions shown beside the ones a problem needs."""
    withhold: float = Field(0.05, ge=0.0, lt=1.0)
    """Share of the posts chosen for a reader that is left out at random, so that what a post does for its readers is a
    causal estimate."""
    explore: float = Field(0.1, gt=0.0, le=1.0)
    """Where several posts could serve: the share of choices made at random, the rest goes to the most useful."""
    forget: Literal["keep", "decay", "budget", "books"] = "keep"
    """What leaves the index (never the log): nothing; what is older than `half_life` says and useful to nobody; the
    least useful and fresh beyond `index` tokens; the same, after books have taken the place of what they compile."""
    index: int = Field(2000, ge=1)
    """Tokens of definitions the index holds under `forget: budget` or `books`."""
    half_life: float = Field(8.0, gt=0)
    """Generations in which a post's freshness halves."""
    lasts: int = Field(0, ge=0)
    """Generations a post can be read after the one it was written in; 0: for good. 1 wipes the library every
    generation: what was found in one is read in the next and never again."""
    burn: int = Field(0, ge=0)
    """In this generation the library burns: nothing written before it is read or slept on. 0: it does not."""
    restore: int = Field(0, ge=0)
    """In this generation what burned is given back. 0: never."""
    content: Literal["own", "another_world", "shuffled", "filler"] = "own"
    """A control: what a reader of a definition sees in its place. `another_world`: what that name means in another
    world; `shuffled`: the body of another definition; `filler`: as many words that say nothing."""

    @model_validator(mode="after")
    def _fire(self) -> LibrarySection:
        if self.restore and not 0 < self.burn < self.restore:
            raise ValueError(f"restore is {self.restore}, but burn is {self.burn}: it must burn before, from 1 on")
        return self


class SleepSection(Section):
    enabled: bool = True
    """Agents learn while they sleep. false: nothing is trained, every agent speaks as the base model all its life; a
    server (engine.kind openai) cannot be trained, so there it is false unless it is set."""
    rank: int = Field(32, ge=1)
    alpha: float = Field(64.0, gt=0)
    learning_rate: float = Field(1e-3, gt=0)
    batch: int = Field(16, ge=1)
    """Examples an agent and optimiser step."""
    clip: float = Field(1.0, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    tokens: int = Field(4096, ge=1)
    """About so many tokens in a micro-batch of the learner: a matter of speed and memory, not of what is learned."""
    average: float = Field(0.95, ge=0, lt=1)
    """Decay, a step, of the averaged weights that act."""
    fresh: int = Field(96, ge=0)
    """Worked examples of this generation an agent sleeps on."""
    archive: int = Field(96, ge=0)
    """Worked examples of earlier generations."""
    memory: Literal["accumulate", "replace", "budget"] = "accumulate"
    """Which earlier worked examples there are to sleep on: all; those of the last generation alone; the last
    `memory_size`."""
    memory_size: int = Field(512, ge=1)
    lore: int = Field(0, ge=0)
    """Exercises an agent draws from what else its library holds: recalling a definition, guessing what is known."""
    seed_examples: int = Field(32, ge=0)
    """Examples from the seed model's own school, against forgetting."""
    proposals: int = Field(48, ge=0)
    """At most this many of an agent's own proposals, the best paid first; each weighs what it was paid."""
    proposal_weight: float = Field(0.5, ge=0)
    newborn: int = Field(256, ge=0)
    """Examples of the library that a newborn sleeps on before its first day, where it inherits the library."""


class TurnoverSection(Section):
    policy: Literal["tournament", "age", "none"] = "tournament"
    """Who retires: every `every` generations the one paid least; whoever has lived `life` generations; nobody."""
    every: int = Field(12, ge=0)
    """Generations between retirements of the tournament; 0: nobody retires."""
    life: int = Field(1, ge=1)
    """Generations an agent lives under `policy: age`."""
    inherit: Literal["weights", "library", "both", "nothing"] = "weights"
    """A newborn starts from its parents' weights; from the seed, with the library to sleep on; from its parents'
    weights, with the library to sleep on; from the seed. Reading is a channel of its own: library.reading."""
    crossing: Literal["copy", "mutation", "crossover", "average"] = "copy"
    """How weights are inherited: the best agent's; the same with noise; each adapter module from one of the two best;
    the mean of all."""
    mutation: float = Field(0.02, ge=0)
    """Noise of `mutation`, and of `crossover`, as a share of each module's own standard deviation."""
    window: int = Field(4, ge=1)
    """Generations over which agents are compared."""
    consolidate: int = Field(0, ge=0)
    """Every so many generations the big sleep: what the population knows becomes one adapter, from which every agent
    goes on and every newborn starts; 0: never."""
    consolidate_from: Literal["adapters", "library"] = "adapters"
    """What is distilled: the average of the agents' adapters, or the library, by a mind that starts from the seed."""


class RatchetSection(Section):
    """The ratchet meter: what a frozen newborn does with the library of each generation (docs/library.md)."""

    every: int = Field(0, ge=0)
    """Generations between readings; 0: none is taken. It is made larger where a reading would cost more than
    `share`."""
    per_depth: int = Field(8, ge=1)
    """Held-out problems a depth and arm."""
    stale: int = Field(5, ge=1)
    """Age in generations of the stale library."""
    school: int = Field(0, ge=0)
    """After the last generation, newborns go to school on so many worked examples each: of the first third of the
    generations, of the last, of any; what that taught them is measured. 0: no school."""
    share: float = Field(0.1, gt=0)
    """Most tokens of a reading, as a share of those of the generations between readings."""


class MeasureSection(Section):
    per_depth: int = Field(12, ge=0)
    """Held-out problems a depth and agent, greedy, each generation."""
    final_per_depth: int = Field(100, ge=1)
    """Held-out problems a depth, dealt to the agents in turn, before the first and after the last generation."""
    passes: int = Field(8, ge=1)
    """k of pass@k, before and after."""
    split: Literal["dev", "test"] = "dev"
    """`test` is sealed: it is opened by `experiment --final` only."""
    collapse: int = Field(0, ge=0)
    """Generations between looks for collapse, against the base model without an adapter; 0: none."""
    ratchet: RatchetSection = RatchetSection()
