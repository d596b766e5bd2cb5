"""Several models behind one engine: each request goes to the model of its agent, and the order is kept.

A request of a batch names its agent as its adapter. The first model is the one that has adapters; requests without one
are its own. Agents of the other models have no adapters: their name only says which model speaks for them.

Left out: several models at a time. They generate one after another, the first model last, so that a server that does
not answer is noticed before this machine has computed its part of the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from agents.adapters import Adapters
from agents.engine import Completion, Engine, Request, Resting


class RoutedEngine:
    """The engines of a mixed population by the name of their model, the one with adapters first.

    `route` gives the model of an agent, and the first one's name for anybody else.
    """

    def __init__(self, engines: Mapping[str, Engine], route: Callable[[str], str] | None = None) -> None:
        self.engines = dict(engines)
        self.first = next(iter(self.engines))
        self.route: Callable[[str], str] = route or (lambda agent: self.first)

    def model_of(self, request: Request) -> str:
        """Name of the model that completes a request."""
        return self.first if request.adapter is None else self.route(request.adapter)

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """Completions in the order of the requests; one call per model that has any."""
        by_model: dict[str, list[int]] = {}
        for at, request in enumerate(requests):
            by_model.setdefault(self.model_of(request), []).append(at)
        done: dict[int, Completion] = {}
        for name in reversed(self.engines):
            where = by_model.get(name, [])
            asked = [requests[at] if name == self.first else replace(requests[at], adapter=None) for at in where]
            done.update(zip(where, self.engines[name].generate(asked) if asked else [], strict=True))
        return [done[at] for at in range(len(requests))]

    def set_adapters(self, adapters: Adapters) -> None:
        self.engines[self.first].set_adapters(adapters)

    def count_tokens(self, text: str) -> int:
        """Number of tokens of the text in a prompt of the first model."""
        return self.engines[self.first].count_tokens(text)

    def rest(self) -> None:
        for engine in self.engines.values():
            if isinstance(engine, Resting):
                engine.rest()

    def close(self) -> None:
        for engine in self.engines.values():
            if isinstance(engine, Resting):
                engine.close()
