"""The section of a config for the agents of one population, and the models at its places.

In a mixed population some places name another model. The agent at a place speaks with the model of that place, and so
do those that follow it there. The config's own `model` and `engine` are called `main`: they have every other place, and
are the only model that is trained and measured. Left out: several trained models, several styles of prompts.
"""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import Field, field_validator

from arena.config.cluster import ClusterSection
from arena.config.engine import EngineSection, ModelSection
from arena.config.limits import TokenPrices
from arena.config.section import Section

MAIN = "main"
"""Name of the config's own model and engine among those of a mixed population."""
Role = Literal["set", "solve", "grade", "guess", "write"]
ROLES: tuple[Role, ...] = get_args(Role)


class OtherModelSection(ModelSection):
    """The base model of these places, unless a server holds it."""

    path: str = ""
    """A folder, a Hugging Face name or `seed`, as `model.path`. Empty with an engine that has its model elsewhere."""

    @field_validator("path")
    @classmethod
    def _path(cls, path: str) -> str:
        return ModelSection._path(path) if path else path


class PlacesSection(Section):
    """One model of a mixed population. It is never trained."""

    places: list[int] = Field(default_factory=list)
    """Places of the population whose agents are this model, counted from 0. `main` has all that are left."""
    roles: list[Role] = Field(default_factory=lambda: list(ROLES))
    """What its agents do: `set` problems, `solve` them, `grade`, `guess` at hidden names, `write` posts in free text.
    Posts about a problem (worked examples, failures) come from those who solve."""
    model: OtherModelSection = OtherModelSection()
    engine: EngineSection = EngineSection()
    """Its engine. Device and threads are those of the run."""
    prices: TokenPrices = TokenPrices()
    """Price of a million of its tokens. Without one, a model behind a server has `limits.prices` and one on this
    machine costs nothing."""


class PopulationSection(Section):
    """The agents of one population."""

    agents: int = Field(4, ge=3, le=512)
    """Number of agents alive at a time. At least 3: an author and two solvers."""
    models: dict[str, PlacesSection] = Field(default_factory=dict)
    """Other models at some of the places, by a name of your choice (docs/servers.md). `main` stands for the config's
    own `model` and `engine`, which have the other places; only its roles can be set."""

    @property
    def others(self) -> dict[str, PlacesSection]:
        """The models beside the config's own, by name."""
        return {name: one for name, one in self.models.items() if name != MAIN}

    def at(self, place: int) -> str:
        """Name of the model at a place."""
        return next((name for name, one in self.others.items() if place in one.places), MAIN)

    def may(self, place: int, role: Role) -> bool:
        """Whether the agent at a place has a role."""
        found = self.models.get(self.at(place))
        return found is None or role in found.roles

    def having(self, role: Role) -> list[int]:
        """Places whose agents have a role."""
        return [place for place in range(self.agents) if self.may(place, role)]


def check_population(population: PopulationSection, solvers: int, chat: bool, cluster: ClusterSection) -> None:
    """Raises ValueError for roles that leave nobody to play, and for models that cannot play together.

    `solvers` are needed for each problem; `chat`: prompts are chats.
    """
    if not population.models:
        return
    _check_places(population)
    setting, solving = population.having("set"), population.having("solve")
    if not setting:
        raise ValueError("population.models: no agent has the role set, so nobody sets problems")
    fewest = min(len(solving) - (place in solving) for place in setting)
    if solvers > fewest:
        raise ValueError(
            f"rounds.solvers is {solvers}, but by population.models only {fewest} of those who solve are not the author"
        )
    for name, one in population.models.items():
        if "write" in one.roles and "solve" not in one.roles:
            raise ValueError(
                f"population.models.{name}.roles has write without solve: a post in free text is about a problem that "
                "its author tried"
            )
    if cluster.clustered and population.others:
        raise ValueError(
            f"population.models names {', '.join(population.others)}, but the run is played on a cluster "
            f"(cluster.address {cluster.address}): islands have one model"
        )
    for name, one in population.others.items():
        if chat and one.engine.spec.section == "openai" and one.engine.openai.api != "chat":
            raise ValueError(
                f"prompts.style is chat, but population.models.{name}.engine.openai.api is completions: chat prompts "
                "need chat"
            )


def _check_places(population: PopulationSection) -> None:
    taken: dict[int, str] = {}
    for name, one in population.models.items():
        key = f"population.models.{name}"
        if not (name.isascii() and name.replace("-", "_").isidentifier() and len(name) <= 32):
            raise ValueError(f"{key}: a name has letters, digits, - and _, at most 32, and does not begin with a digit")
        if name == MAIN:
            if one.places or one.model.path or one.engine != EngineSection():
                raise ValueError(f"{key} is the config's own model and engine: only its roles can be set here")
            continue
        if one.model.path and not one.engine.spec.has_weights:
            raise ValueError(f"{key}: engine.kind {one.engine.kind} has its model elsewhere: leave out model.path")
        if not one.model.path and one.engine.spec.has_weights:
            raise ValueError(f"{key}.model.path is missing: name the model of its agents, or an engine that has one")
        if not one.places:
            raise ValueError(f"{key}.places is empty: name the places of its agents, such as [0]")
        for place in one.places:
            if not 0 <= place < population.agents:
                raise ValueError(f"{key}.places has {place}: places are 0 to {population.agents - 1}")
            if place in taken:
                raise ValueError(f"{key}.places has {place}, which {taken[place]} has already")
            taken[place] = name
    if len(taken) == population.agents:
        raise ValueError(
            "population.models gives every place away: at least one must be left to the config's own model, which is "
            "the one that is trained and measured"
        )
