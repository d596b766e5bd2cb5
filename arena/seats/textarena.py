"""Agents of Ratchet in TextArena's games. Nothing of TextArena is imported: an agent there is anything that takes an
observation as text and gives an action as text, and so is a seat here (`arena.seats.play`), which lets its agents sit
in our rounds as they are.

Left out: batches, as its games ask one agent at a time. Not guaranteed: that an agent plays well what it was not
taught; the shipped model knows the words of the shipped domains alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from agents.engine import Engine, Request
from agents.prompt import Chat, Prompt
from arena.roles.reply import spoken

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
