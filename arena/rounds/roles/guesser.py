"""The guesser of hidden names: its prompt, and how its guess is read."""

from __future__ import annotations

from agents.prompt import Prompt
from arena.rounds.roles.reply import object_schema, part
from arena.rounds.roles.voice import Voice
from curricula.domain import Guess
from curricula.list_programs import RULES
from curricula.list_prose import guessing, short_guessing

PART = "body"
SCHEMA = object_schema(body={"type": "string"})
BRIEF = "You guess hidden names."
ROLE = "Now you guess what a hidden name means. A right guess is written into the library under your name."


def ask(voice: Voice, agent: str, guess: Guess) -> Prompt:
    if not voice.chat:
        return guess.prompt
    if voice.brief:
        return voice.say(agent, BRIEF, short_guessing(guess), SCHEMA)
    return voice.say(agent, f"{ROLE} {voice.form(PART)}", guessing(RULES, guess), SCHEMA)


def say(voice: Voice, text: str) -> str:
    """The reply that guesses `text`: a training target."""
    return voice.mark(PART, text)


def read(voice: Voice, text: str) -> str:
    return part(text, PART) if voice.chat else text
