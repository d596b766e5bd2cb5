"""What the agents of a run speak and learn with: engine, learner, and the voice that words their prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from agents.engine import Completion, Engine, Request
from agents.learner import Learner
from arena.rounds.roles.voice import Voice


@dataclass
class Tokens:
    """Tokens that one phase used, and the completions it requested."""

    prompt: int = 0
    generated: int = 0
    trained: int = 0
    requests: int = 0


class Models:
    """Generates for the agents and counts their tokens. `learner` is None where nobody trains."""

    def __init__(self, engine: Engine, learner: Learner | None, voice: Voice) -> None:
        self.engine, self.learner, self.voice = engine, learner, voice
        self.tokens = Tokens()  # of the phase in progress
        self.commons: Tensor | None = None  # the adapter of the last consolidation, from which newborns start

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """One engine call; its tokens are counted. Without a learner every agent is the base model."""
        if self.learner is None:
            requests = [replace(r, adapter=None) for r in requests]
        completions = self.engine.generate(requests) if requests else []
        self.tokens.prompt += sum(c.prompt_tokens for c in completions)
        self.tokens.generated += sum(c.generated_tokens for c in completions)
        self.tokens.requests += len(completions)
        return completions

    def initial_adapter(self, seed: str) -> Tensor:
        """The adapter of an agent that inherits no weights: the consolidated one, or one that changes nothing."""
        assert self.learner is not None
        return self.learner.layout.fresh(seed) if self.commons is None else self.commons.clone()

    def act(self) -> None:
        """Load the learner's averaged adapters into the engine."""
        if self.learner:
            self.engine.set_adapters(self.learner.acting())
