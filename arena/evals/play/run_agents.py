"""Load the living agents of a run, with their newest stored adapters, to generate text outside of the run.

Nothing is written to the run. Left out: fine-tuning on the game. Not guaranteed: that the agents are those of the run's
last generation. For a run in progress they are the agents of the generation that last stored adapters.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from agents.engine import Engine, Request
from agents.prompt import Prompt
from arena.config.population import MAIN
from arena.config.schema import Config, nearest
from arena.config.shipped import typed_command
from arena.library.definitions import definitions_in
from arena.rounds.roles.voice import Voice
from arena.run.adapters import stored_adapters
from arena.run.agents import RunModels, checked_path, voice_of_run
from arena.run.state import make_domains
from arena.run.store import Store
from culture.library import Library
from curricula.domain import Domain, Problem

PARENTS = 500
"""Number of newest valid problems of the run from which parents of new problems are drawn."""


@dataclass(frozen=True)
class TextRequest:
    """A request for one text of an agent. `key` is the sampling seed: equal requests give equal texts."""

    agent: str
    key: str
    prompt: Prompt
    temperature: float


class RunAgents:
    """Some agents of a run with their engine, prompt format, domain and library.

    `names` are the agents' names; `adapted`: those that the engine knows by name, because they have an adapter or
    another model; for the rest the base model is used.
    """

    def __init__(
        self,
        store: Store,
        config: Config,
        domain: Domain,
        engine: Engine,
        names: Sequence[str],
        adapted: Collection[str],
    ) -> None:
        self.config, self.domain, self.engine, self.names = config, domain, engine, tuple(names)
        self._adapted, self._library = adapted, Library(store.db)
        self.voice: Voice = voice_of_run(config, store)
        self._meanings = {name: " ".join(held.body) for name, held in definitions_in(self._library).items()}
        sql = "SELECT text, author FROM problems WHERE valid AND domain = ? ORDER BY generation DESC, round LIMIT ?"
        self.stored = [(r["author"], r["text"]) for r in store.query(sql, [domain.name, PARENTS])]

    def adapter(self, agent: str) -> str | None:
        """Name of the agent's adapter in the engine; None: the base model."""
        return agent if agent in self._adapted else None

    def say(self, wanted: Sequence[TextRequest]) -> list[str]:
        """Generate all texts in one engine call. Raises ValueError if a prompt is too long for the model."""
        most = self.config.rounds.max_tokens
        requests = [
            Request(w.key, w.prompt, self.adapter(w.agent), most, w.temperature, self.config.rounds.top_p)
            for w in wanted
        ]
        return [done.text for done in self.engine.generate(requests)] if requests else []

    def notes(self, problem: Problem, by_words: bool | None = None) -> tuple[str, ...]:
        """Library texts for a problem: meanings of its names, then posts that share words with it.

        At most as many as readers get in the run. `by_words`: include posts found by words; None: as the run's config.
        """
        config = self.config.library
        found = [f"{name} = {self._meanings[name]}" for name in problem.names if name in self._meanings]
        if config.by_words if by_words is None else by_words:
            found += [post.body for post in self._library.search(problem.shown, limit=config.limit)]
        return tuple(dict.fromkeys(found))[: max(config.limit, len(problem.names))]

    def parent(self, rng: random.Random) -> str:
        """Text of a random stored problem of the run, to be varied; of a new random problem if none is stored."""
        if not self.stored:
            return self.domain.random_problem(rng).text
        return str(rng.choice(self.stored)[1])


def open_agents(folder: Path, store: Store, config: Config, count: int, domain: str | None) -> RunAgents:
    """Load up to `count` agents of a run for `domain` (None: the run's main domain).

    Raises:
        ValueError: if the run does not have the domain, has no agents yet, or its model or an adapter is missing.
        OSError: if the model server does not answer.
    """
    domains = make_domains(config)
    chosen = domain or next(iter(domains))
    if chosen not in domains:
        near = nearest(chosen, list(domains)) or f"; it has {', '.join(domains)}"
        raise ValueError(f"{folder} has no domain {chosen!r}{near}")
    sql = "SELECT name FROM agents WHERE name NOT IN (SELECT name FROM retirements) ORDER BY number"
    living = [r["name"] for r in store.query(sql)]
    if not living:
        raise ValueError(f"{folder} has no agents yet: play a generation first, with {typed_command('resume', folder)}")
    models = RunModels(folder, store, config)
    stored = stored_adapters(folder, store, config)
    rows = stored.find() if models.base is not None and config.sleep.enabled else []
    trained = {row["name"]: row for row in rows}
    of_agent = store.agent_models()
    others = {a for a in living if of_agent.get(a, MAIN) != MAIN}
    born = [r["name"] for r in store.query("SELECT name FROM agents ORDER BY number")]
    team = ([a for a in born if a in trained or a in others] if trained else living)[:count]
    stored.check(trained[a] for a in team if a in trained)
    models.use({a: checked_path(folder, trained[a]) for a in team if a in trained})
    models.join(team, of_agent)
    torch.set_num_threads(config.engine.threads)  # sampled texts may depend on the last bit of the logits
    return RunAgents(store, config, domains[chosen], models.engine, team, adapted={*trained, *others})
