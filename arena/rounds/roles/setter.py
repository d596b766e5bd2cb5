"""The setter: its prompt, and how its proposal is parsed."""

from __future__ import annotations

from agents.prompt import Prompt
from arena.rounds.roles.reply import object_schema, part
from arena.rounds.roles.voice import Voice, mark
from curricula.domain import Domain, Spoken

PART = "problem"
SCHEMA = object_schema(problem={"type": "string"})
ROLE = "Now you set a problem for other agents."
"""Followed by the sentence of the payment rule."""


def ask(voice: Voice, domain: Domain, agent: str, parent: str | None) -> Prompt:
    """The prompt that asks `agent` for a problem, or for a variation of the problem text `parent`."""
    if not voice.chat:
        return domain.propose_prompt(parent)
    asked = domain.setting(parent) if isinstance(domain, Spoken) else domain.propose_prompt(parent)
    role = f"{ROLE} {voice.rule.prompt}, and one that is not in the asked form costs you."
    return voice.say(agent, f"{role} {voice.form(PART)}", asked, SCHEMA)


def read(voice: Voice, text: str) -> str:
    """The proposal in a reply: the marked part, or the whole text in the bare notation."""
    return part(text, PART) if voice.chat else text


def say(voice: Voice, text: str) -> str:
    """The reply that proposes `text`: the completion to train on."""
    return mark(PART, text, voice.structured) if voice.chat else text
