"""The examinee: answers a question from a user's set. The prompt is the same for all models, so that different answers
come from the models."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from agents.prompt import Chat, Prompt
from arena.rounds.roles import solver
from arena.rounds.roles.reply import part
from arena.rounds.roles.solver import NOTES, PART, SCHEMA
from arena.rounds.roles.voice import Voice, nowhere
from curricula.domain import Domain, Problem, quoted

ROLE = "You answer a question. Only the answer itself is read, and it has to be right."
NOBODY = "an agent"
_MARK = re.compile(r"\banswer\b(?:\s+is\b)?\s*[:.,]?", re.IGNORECASE)
"""The word behind which the answer stands in the shipped notation."""


def ask(voice: Voice, question: str, system: str, notes: Sequence[str]) -> Prompt:
    """The prompt for a question, after the set's own system text if there is one."""
    if not voice.chat:
        return "\n".join([*([system] if system else []), *notes, question])
    shown = "\n\n".join(quoted(note) for note in notes)
    asked = f"{NOTES}\n\n{shown}\n\n{question}" if notes else question
    return Chat(f"{system or ROLE}\n{voice.form(PART)}", asked, SCHEMA if voice.structured else "", voice.thinking)


def ask_problem(voice: Voice, domain: Domain, problem: Problem, notes: Sequence[str]) -> Prompt:
    """The prompt for a domain's problem, as solvers get it, without agent name and persona."""
    return solver.ask(replace(voice, personas=(), place=nowhere), domain, NOBODY, problem, notes)


def read(voice: Voice, text: str) -> str:
    """The answer in a reply: between tags in a chat; else what stands behind the last word `answer`, or all of it."""
    if voice.chat:
        return part(text, PART)
    return _MARK.split(text)[-1].strip()
