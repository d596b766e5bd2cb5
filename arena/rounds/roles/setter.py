"""The setter: its prompt, and how its proposal is parsed."""

from __future__ import annotations

import random

from agents.prompt import Prompt
from arena.rounds.roles import examples
from arena.rounds.roles.reply import object_schema, part
from arena.rounds.roles.voice import Voice
from curricula import default_prose
from curricula.domain import Brief, Domain, Requestable

PART = "problem"
SCHEMA = object_schema(problem={"type": "string"})
ROLE = "Now you set a problem for other agents."
"""Followed by the sentence of the payment rule."""
BRIEF = "You set problems for others."


def ask(voice: Voice, domain: Domain, agent: str, parent: str | None, request: str = "") -> Prompt:
    """The prompt that asks `agent` for a problem, or for a variation of the problem text `parent`.

    `request`: the kind of problem that is wanted (`curricula.domain.Requestable`), or empty."""
    if not voice.chat:
        return domain.propose_prompt(parent)
    if voice.brief and isinstance(domain, Brief):
        return voice.say(agent, BRIEF, _wanted(domain.short_setting(parent), request), SCHEMA)
    asked = default_prose.setting(domain, parent)
    role = f"{ROLE} {voice.rule.prompt}, and one that is not in the asked form costs you."
    prompt = voice.say(agent, f"{role} {voice.form(PART)}", _wanted(asked, request), SCHEMA)
    return examples.proposed(voice, domain, prompt)


def request(voice: Voice, domain: Domain, round_: str, parent: str | None) -> str:
    """The kind of problem that is wanted in a round, by its id, so that it is the same in all runs; empty if the run
    does not ask for kinds, the domain has none, or a parent is varied."""
    if not voice.requests or parent is not None or not isinstance(domain, Requestable):
        return ""
    return domain.request(random.Random(f"ratchet/request/{round_}"))


def ask_for_round(voice: Voice, domain: Domain, agent: str, round_: str, parent: str | None) -> Prompt:
    """The setter's prompt of a round."""
    return ask(voice, domain, agent, parent, request(voice, domain, round_, parent))


def _wanted(asked: str, request: str) -> str:
    return f"{asked}\nWanted: {request}." if request else asked


def read(voice: Voice, text: str) -> str:
    """The proposal in a reply: the marked part, or the whole text in the bare notation."""
    return part(text, PART) if voice.chat else text


def say(voice: Voice, text: str) -> str:
    """The reply that proposes `text`: the completion to train on."""
    return voice.mark(PART, text)
