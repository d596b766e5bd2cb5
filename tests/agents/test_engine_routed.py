"""The engine of a mixed population: requests reach their agent's model, and completions keep their order."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from agents.adapters import Adapters
from agents.engine import Completion, Request
from agents.engine_routed import RoutedEngine


class Echo:
    """Answers with its name and the adapter it was asked for."""

    def __init__(self, name: str, calls: list[tuple[str, list[str]]]) -> None:
        self.name, self.calls, self.given, self.closed = name, calls, list[object](), False

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        self.calls.append((self.name, [r.key for r in requests]))
        return [Completion(r.key, f"{self.name}:{r.adapter}", "stop", 1, 1, 0.0) for r in requests]

    def set_adapters(self, adapters: Adapters) -> None:
        self.given.append(adapters)

    def count_tokens(self, text: str) -> int:
        return len(self.name)

    def rest(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True


def test_each_request_reaches_the_model_of_its_agent() -> None:
    calls: list[tuple[str, list[str]]] = []
    engines = {name: Echo(name, calls) for name in ("main", "teacher", "frozen")}
    engine = RoutedEngine(engines)
    engine.route = lambda agent: {"a0": "teacher", "a2": "frozen"}.get(agent, "main")
    agents = ["a1", "a0", None, "a2", "a0", "a1"]
    done = engine.generate([Request(str(i), "p", agent) for i, agent in enumerate(agents)])
    assert [c.key for c in done] == list("012345")
    assert [c.text for c in done] == [
        "main:a1", "teacher:None", "main:None", "frozen:None", "teacher:None", "main:a1",
    ]  # fmt: skip
    assert calls == [("frozen", ["3"]), ("teacher", ["1", "4"]), ("main", ["0", "2", "5"])]
    assert engine.generate([]) == [] and len(calls) == 3
    engine.set_adapters("adapters")  # type: ignore[arg-type]
    assert [e.given for e in engines.values()] == [["adapters"], [], []] and engine.count_tokens("x") == 4
    engine.close()
    assert all(e.closed for e in engines.values())


def test_an_error_of_a_server_comes_before_own_compute() -> None:
    class Gone(Echo):
        def generate(self, requests: Sequence[Request]) -> list[Completion]:
            raise OSError("gone")

    calls: list[tuple[str, list[str]]] = []
    engine = RoutedEngine({"main": Echo("main", calls), "teacher": Gone("teacher", calls)})
    engine.route = lambda agent: "teacher" if agent == "a0" else "main"
    with pytest.raises(OSError, match="gone"):
        engine.generate([Request("0", "p", "a1"), Request("1", "p", "a0")])
    assert calls == []
