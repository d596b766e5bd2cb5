"""What the agents of a run speak and learn with: engine, learner, and the voice that words their prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from torch import Tensor

from agents.engine import Completion, Engine, Request
from agents.engine_routed import RoutedEngine
from agents.learner import Learner
from arena.rounds.roles.voice import Voice


@dataclass
class Tokens:
    """Tokens that one phase used, and the completions it requested. `others`: those of other models than the run's own,
    by name, which the totals include."""

    prompt: int = 0
    generated: int = 0
    trained: int = 0
    requests: int = 0
    others: dict[str, Tokens] = field(default_factory=dict)

    def add(self, completion: Completion) -> None:
        self.prompt += completion.prompt_tokens
        self.generated += completion.generated_tokens
        self.requests += 1


class Models:
    """Generates for the agents and counts their tokens. `learner` is None where nobody trains."""

    def __init__(self, engine: Engine, learner: Learner | None, voice: Voice) -> None:
        self.engine, self.learner, self.voice = engine, learner, voice
        self.tokens = Tokens()  # of the phase in progress
        self.commons: Tensor | None = None  # the adapter of the last consolidation, from which newborns start

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """One engine call; its tokens are counted. Without a learner every agent is its model as it is."""
        if self.learner is None:
            requests = [replace(r, adapter=self.unadapted(r.adapter)) for r in requests]
        completions = self.engine.generate(requests) if requests else []
        for request, completion in zip(requests, completions, strict=True):
            self.tokens.add(completion)
            if name := self._other(request.adapter):
                self.tokens.others.setdefault(name, Tokens()).add(completion)
        return completions

    @property
    def positions(self) -> int:
        """Tokens of prompt and completion that fit the model that is trained."""
        assert self.learner is not None
        return self.learner.base.config.max_position_embeddings

    def unadapted(self, agent: str | None) -> str | None:
        """The adapter of a request to an agent's model without what it learned: None for the run's own model."""
        return agent if self._other(agent) else None

    def _other(self, agent: str | None) -> str:
        """The model of an agent, if it is not the run's own."""
        engine = self.engine
        if agent is None or not isinstance(engine, RoutedEngine) or engine.route(agent) == engine.first:
            return ""
        return engine.route(agent)

    def initial_adapter(self, seed: str) -> Tensor:
        """The adapter of an agent that inherits no weights: the consolidated one, or one that changes nothing."""
        assert self.learner is not None
        return self.learner.layout.fresh(seed) if self.commons is None else self.commons.clone()

    def act(self) -> None:
        """Load the learner's averaged adapters into the engine."""
        if self.learner:
            self.engine.set_adapters(self.learner.acting())
