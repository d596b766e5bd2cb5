"""Agents of Ratchet in TextArena's games. Nothing of TextArena is imported: an agent there is anything that takes an
observation as text and gives an action as text, and so is a seat here (`arena.rounds.seats`), which lets its agents sit
in our rounds as they are.

Left out: batches, as its games ask one agent at a time. Not guaranteed: that an agent plays well what it was not
taught; the shipped model knows the words of the shipped domains alone.
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
    """One agent of an engine, as a callable. Equal games played from a new one get equal actions.

    `adapter` is the agent's name in the engine, None the base model. `system` is who it is told to be, for models that
    follow instructions; an empty one gives the observation as it is, to be gone on with. Thinking is left out of what
    it says.
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
    """One of a run's living agents, as it was when the run last kept adapters. A run whose agents are not spoken to as
    chats gives one that goes on with the observation as it is. Raises ValueError or OSError as `open_agents` does, and
    ValueError for a number that is not one of theirs."""
    folder = Path(run)
    check_folder(folder)
    config, store = load_config(folder / "config.yaml"), Store(folder / "run.db")
    agents = open_agents(folder, store, config, 512, None)
    store.close()
    if not 0 <= number < len(agents.names):
        raise ValueError(f"{folder} has agents 0 to {len(agents.names) - 1}, not {number}")
    name = agents.names[number]
    system = SYSTEM if agents.voice.chat else ""
    return EngineAgent(agents.engine, agents.adapter(name), system, config.rounds.max_tokens)
