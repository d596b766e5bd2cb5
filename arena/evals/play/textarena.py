"""Agents of a run as TextArena players.

TextArena is not imported. Its agents are callables from an observation (text) to an action (text). Seats of a round
(`arena.rounds.seats`) have the same signature, so TextArena's agents can also take seats in a round.

Left out: batching, since TextArena queries one agent at a time. Not guaranteed: useful play in games that an agent was
not trained on; the shipped model's vocabulary covers the shipped domains only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from agents.engine import Engine, Request
from agents.prompt import Chat, Prompt
from arena.config.schema import load_config
from arena.evals.play.run_agents import open_agents
from arena.rounds.roles.reply import spoken
from arena.run.paths import check_folder
from arena.run.store import Store

SYSTEM = "You play a game of text. Read its rules and what has happened so far, and reply with your next move."


@dataclass
class EngineAgent:
    """One agent of an engine, as a callable from observation to action.

    Actions are reproducible: a new instance that gets the same observations returns the same actions. Reasoning of the
    model is removed from the action.

    Attributes:
        engine: generates the text.
        adapter: name of the agent's adapter in the engine; None: the base model.
        system: system prompt for chat models; empty: the observation is the whole prompt, to be continued.
        max_tokens: maximum tokens of an action.
        temperature: sampling temperature; 0: greedy.
        key: seed of sampling.
        asked: number of observations so far.
    """

    engine: Engine
    adapter: str | None = None
    system: str = SYSTEM
    max_tokens: int = 256
    temperature: float = 0.0
    key: str = "textarena"
    asked: int = field(default=0, init=False)

    def __call__(self, observation: str) -> str:
        prompt: Prompt = Chat(self.system, observation) if self.system else observation
        self.asked += 1
        key = f"{self.key}/{self.adapter}/{self.asked}"
        request = Request(key, prompt, self.adapter, self.max_tokens, self.temperature)
        return spoken(self.engine.generate([request])[0].text)


def agent_of(run: str | Path, number: int = 0) -> EngineAgent:
    """Agent `number` of the run in folder `run`, with its newest stored adapter.

    If the run does not use chat prompts, the agent continues the observation. Raises ValueError or OSError as
    `open_agents`, and ValueError if the run has no agent of this number.
    """
    folder = Path(run)
    check_folder(folder)
    config, store = load_config(folder / "config.yaml"), Store(folder / "run.db")
    agents = open_agents(folder, store, config, 512, None)
    store.close()
    if not 0 <= number < len(agents.names):
        raise ValueError(f"{folder} has agents 0 to {len(agents.names) - 1}, got {number}")
    name = agents.names[number]
    system = SYSTEM if agents.voice.chat else ""
    return EngineAgent(agents.engine, agents.adapter(name), system, config.rounds.max_tokens)
