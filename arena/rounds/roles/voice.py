"""How prompts are worded: in the domains' own notation, or in prose through a model's chat template."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agents.prompt import Chat
from arena.rounds.roles.latex_json import to_json
from curricula.learnability import RULES, PaymentRule

if TYPE_CHECKING:
    from arena.config.schema import Config


def nowhere(agent: str) -> int:
    return 0


@dataclass(frozen=True)
class Voice:
    """`chat` False: the bare notation that the shipped model was trained on. The other fields apply to chat only."""

    chat: bool = False
    thinking: bool = False
    structured: bool = False
    personas: tuple[str, ...] = ()
    place: Callable[[str], int] = nowhere  # of an agent; a persona belongs to a place
    rule: PaymentRule = RULES["variance"]  # what setters are told they are paid by
    brief: bool = False  # short requests and replies without marks, for models that were trained on them
    requests: bool = False  # whether setters are asked for kinds of problems
    examples: int = 0  # solved examples before the request

    def persona(self, agent: str) -> str:
        return self.personas[self.place(agent) % len(self.personas)] if self.personas else ""

    def say(self, agent: str, role: str, asked: str, schema: str) -> Chat:
        """A chat prompt: the system text with name, persona and role, and the user text `asked`.

        A brief one has only the role and the persona, and asks for no mark."""
        persona = self.persona(agent)
        if self.brief:
            return Chat(f"{role} {persona}".strip(), asked)
        who = (
            f"You are {agent}, one of a population of agents that set problems for one another, solve them, and write "
            "down what they learned for those who come after them."
        )
        system = "\n".join([f"{who} {persona}".strip(), role])
        return Chat(system, asked, schema if self.structured else "", self.thinking)

    def form(self, name: str) -> str:
        """The instruction how to mark the part `name` in a reply; empty if replies have no marks."""
        if self.brief:
            return ""
        if self.structured:
            return f'Reply with one JSON object that has the key "{name}".'
        return f"End your reply with your {name} between <{name}> and </{name}>."

    def mark(self, name: str, text: str) -> str:
        """A part of a reply as a model should mark it: `reply.part` reads it back, and the schema allows it."""
        if not self.chat or self.brief:
            return text
        return to_json({name: text}) if self.structured else f"<{name}>\n{text}\n</{name}>"


BARE = Voice()


def make_voice(config: Config, place: Callable[[str], int]) -> Voice:
    """How a config words its prompts; `place` gives the place of an agent."""
    p = config.prompts
    brief = p.style == "chat" and p.detail == "brief"
    personas, rule = tuple(p.personas), config.rewards.rule
    requests = config.rounds.requests
    return Voice(p.style == "chat", p.thinking, p.structured, personas, place, rule, brief, requests, p.examples)
