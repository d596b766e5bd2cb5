"""The section of a config for several islands: how many, where they run, and what they exchange (docs/islands.md)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from arena.config.section import Section


class ClusterSection(Section):
    """Islands: separate populations, each with its own engine and learner, that exchange agents and posts.

    With more than one island, `population.agents` is the number of agents on each.
    """

    address: Literal["", "auto", "local", "inline"] = ""
    """Where islands run. Empty: no cluster. `auto`: the Ray cluster that this machine belongs to, or that RAY_ADDRESS
    names. `local`: a Ray instance started on this machine. `inline`: this process, one island after another, without
    Ray."""
    islands: int = Field(1, ge=1, le=4096)
    """Number of islands. With one, the run's records are the same as without a cluster."""
    gpus_per_island: float = Field(1, ge=0, le=64)
    """Number of GPUs reserved per island, if the cluster has any."""
    every: int = Field(5, ge=1)
    """Number of generations between exchanges. What is sent after generation `every`, 2 `every`, ... arrives in the
    next."""
    topology: Literal["ring", "all", "star", "none"] = "ring"
    """Direction of exchange. `ring`: island i to i + 1. `all`: each to every other. `star`: all to island 0 and
    island 0 to all. `none`: no exchange."""
    agents: int = Field(1, ge=0)
    """Number of agents that an island receives per exchange: newborns with the weights of the sender's best paid
    agents, in the places of its own lowest paid. 0 if nothing is trained."""
    posts: int = Field(8, ge=0)
    """Number of posts that an island sends per exchange: highest uplift first, then definitions, then worked
    examples."""
    restarts: int = Field(3, ge=0)
    """Number of restarts of a lost island before the run continues without it."""

    @property
    def clustered(self) -> bool:
        return bool(self.address)

    @model_validator(mode="after")
    def _placed(self) -> ClusterSection:
        if self.islands > 1 and not self.address:
            raise ValueError(
                f"islands is {self.islands}, but address is empty: auto (a running Ray cluster), local (Ray on this "
                "machine) or inline (in this process, one after another)"
            )
        return self

    def exchanges(self, generation: int, generations: int) -> bool:
        """Whether islands take in what others sent after the generation before this one, of `generations` in all."""
        return generation < generations and self.departs(generation - 1)

    def departs(self, generation: int) -> bool:
        """Whether islands send posts and agents after this generation. What leaves at the end of a run arrives if the
        run is extended."""
        if self.islands == 1 or self.topology == "none":
            return False
        return generation > 0 and generation % self.every == 0

    def sources(self, island: int) -> list[int]:
        """The islands that send to this one, by number."""
        n, others = self.islands, [i for i in range(self.islands) if i != island]
        if self.topology == "ring":
            return [(island - 1) % n] if n > 1 else []
        if self.topology == "star":
            return others if island == 0 else [0]
        return others if self.topology == "all" else []
