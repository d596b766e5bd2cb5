"""The section of a config that says on how many islands a run is played, where they are, and how they trade
(docs/islands.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from arena.config.culture import Section

if TYPE_CHECKING:
    pass


class ClusterSection(Section):
    """Islands: populations of their own, each with its own engine and learner, that trade agents and posts.

    With more than one, `population.agents` is how many live on each.
    """

    address: Literal["", "auto", "local", "inline"] = ""
    """Where islands are played. Empty: no cluster. `auto`: on the Ray cluster that this machine belongs to, or that
    RAY_ADDRESS names; `local`: on a Ray started here; `inline`: in this process, one after another, without Ray."""
    islands: int = Field(1, ge=1, le=4096)
    """How many. With one, the run's records are those of a run without a cluster."""
    gpus_per_island: float = Field(1, ge=0, le=64)
    """GPUs an island is given, where the cluster has any."""
    every: int = Field(5, ge=1)
    """Generations between exchanges: what leaves after generations every, 2 every, ... is taken in with the next."""
    topology: Literal["ring", "all", "star", "none"] = "ring"
    """Who sends to whom: island i to i + 1; each to every other; all to island 0 and it to all; nobody to anybody."""
    agents: int = Field(1, ge=0)
    """Newborns with the weights of another island's agents that an island takes in at an exchange, each in the place
    of the one paid least; the best paid are sent. 0 where nobody learns."""
    posts: int = Field(8, ge=0)
    """Posts an island sends at an exchange: the most useful first, then definitions, then worked examples."""
    restarts: int = Field(3, ge=0)
    """How often a lost island is started again before the run goes on without it."""

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
        if self.islands == 1 or self.topology == "none":
            return False
        return 1 < generation < generations and (generation - 1) % self.every == 0

    def sources(self, island: int) -> list[int]:
        """The islands that send to this one, by number."""
        n, others = self.islands, [i for i in range(self.islands) if i != island]
        if self.topology == "ring":
            return [(island - 1) % n] if n > 1 else []
        if self.topology == "star":
            return others if island == 0 else [0]
        return others if self.topology == "all" else []
