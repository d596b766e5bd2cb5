"""The setter: what it is asked and how its proposal is read."""

from __future__ import annotations

from agents.prompt import Prompt
from arena.rounds.roles.reply import object_schema, part
from arena.rounds.roles.voice import Voice, mark
from curricula.domain import Domain, Spoken

PART = "problem"
SCHEMA = object_schema(problem={"type": "string"})
ROLE = (
    "Now you set a problem for other agents. You are paid most when about half of their attempts solve it: a problem "
    "that everybody solves or nobody can solve pays nothing, and one that is not in the asked form costs you."
)


def ask(voice: Voice, domain: Domain, agent: str, parent: str | None) -> Prompt:
    if not voice.chat:
        return domain.propose_prompt(parent)
    asked = domain.setting(parent) if isinstance(domain, Spoken) else domain.propose_prompt(parent)
    return voice.say(agent, f"{ROLE} {voice.form(PART)}", asked, SCHEMA)


def read(voice: Voice, text: str) -> str:
    """The proposal in a reply, in the domain's own form or what was written in its place."""
    return part(text, PART) if voice.chat else text


def say(voice: Voice, text: str) -> str:
    """The reply that proposes `text`: what is learned from a proposal that was paid."""
    return mark(PART, text, voice.structured) if voice.chat else text
