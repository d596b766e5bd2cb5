"""A model's own chat template: where it lies, and the text it makes of a system's and a user's words.

Templates are Jinja programs that come with models. They run in Jinja's sandbox in a process of its own with limits of
time and memory (`agents/template_child.py`), with what such templates expect to find and without a clock, so that a
text is worded alike on any day. What agents wrote is never given to a template: it sees
names in its place, and the words are put in afterwards, so that a template can neither be confused by them nor change
them beyond the white space around them. Left out: tools, documents, pictures, and longer conversations.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from agents.json_file import read_json
from agents.prompt import Chat
from agents.template_worker import WORKER

FILES = ("chat_template.jinja", "tokenizer_config.json", "chat_template.json")  # the first that has one counts
SHAPES = 512  # so many wordings are kept


@dataclass(frozen=True)
class Wording:
    """A worded chat. `names` stand in `text` for the system's and the user's words, which `fill` puts there."""

    text: str
    names: tuple[str, ...]
    words: tuple[str, ...] = ()

    def fill(self, text: str) -> str:
        """`text`, a part of `self.text`, with the words in place of their names."""
        if not self.names:
            return text
        found = dict(zip(self.names, self.words, strict=True))
        return re.sub("|".join(self.names), lambda m: found[m.group()], text)


class ChatTemplate:
    """One template. `tokens` are a model's named special tokens, such as bos_token, which templates may write."""

    def __init__(self, source: str, place: str, tokens: dict[str, str]) -> None:
        """`place` is the file, for errors. Raises ValueError if the source is no template."""
        self.place, self._tokens = place, tokens
        number, taken = 0, source + "".join(tokens.values())
        while f"Words{number}" in taken:
            number += 1
        self._system, self._user = f"Words{number}System", f"Words{number}User"
        self._source = source
        kind, why = WORKER.ask(source, None, False, {})
        if kind != "text":
            raise ValueError(f"the chat template in {place} cannot be read: {why}")
        self._shape: Callable[..., Wording] = lru_cache(SHAPES)(self._shape_of)

    def word(self, chat: Chat) -> Wording:
        """How the model is asked, up to where its answer begins.

        Where a template knows no system, its words stand before the user's. Raises ValueError for a template that
        fails, or that leaves out what the user says.
        """
        for system, user in dict.fromkeys(((chat.system, chat.user), ("", str(chat)))):
            shape = self._shape(_around(system) if system else None, _around(user), chat.thinking)
            if shape.text:
                words = tuple(w.strip() for w in (system, user)[-len(shape.names) :])
                return Wording(shape.text, shape.names, words)
        raise AssertionError("a shape without a system is a text or an error")

    def after_answer(self) -> str:
        """What the template writes after an answer; empty if it cannot be told."""
        try:
            text = self._render([("user", self._system), ("assistant", self._user)], False, False)
        except ValueError:
            return ""
        return text.rpartition(self._user)[2] if self._user in text else ""

    def _shape_of(self, system: tuple[str, str] | None, user: tuple[str, str], thinking: bool) -> Wording:
        """The text with names in place of words, white space around them as it is. Empty: it knows no system."""
        messages = [("user", user[0] + self._user + user[1])]
        if system is not None:
            messages.insert(0, ("system", system[0] + self._system + system[1]))
        try:
            text = self._render(messages, True, thinking)
        except ValueError:
            if system is None:
                raise
            return Wording("", ())
        names = (self._system, self._user) if system is not None else (self._user,)
        if self._user not in text:
            raise ValueError(f"the chat template in {self.place} leaves out what the user says")
        return Wording(text, names) if names[0] in text else Wording("", ())

    def _render(self, messages: list[tuple[str, str]], prompt: bool, thinking: bool) -> str:
        """Raises ValueError, whatever goes wrong in the template."""
        given = [{"role": role, "content": content} for role, content in messages]
        known: dict[str, Any] = {"tools": None, "documents": None, "enable_thinking": thinking, **self._tokens}
        kind, text = WORKER.ask(self._source, given, prompt, known)
        if kind != "text":
            raise ValueError(f"the chat template in {self.place} fails: {text}")
        return text


def find_template(folder: Path, settings: dict[str, Any], tokens: dict[str, str]) -> ChatTemplate | None:
    """The template of the model in a folder, of which `settings` is tokenizer_config.json; None if it has none.

    Raises ValueError, naming the file, for one that cannot be read.
    """
    for name in FILES:
        path = folder / name
        found: Any = settings.get("chat_template") if name == "tokenizer_config.json" else None
        try:
            if name.endswith(".jinja") and path.is_file():
                found = path.read_text(encoding="utf-8")
            elif name == "chat_template.json" and path.is_file():
                data = read_json(path)
                found = data.get("chat_template") if isinstance(data, dict) else data
        except (OSError, ValueError) as error:
            raise ValueError(f"cannot read {path}: {error}") from None
        if found:
            return ChatTemplate(_chosen(found, path), str(path), tokens)
    return None


def _chosen(found: Any, path: Path) -> str:
    """The template, or of several by name the one called default."""
    if isinstance(found, list) and all(isinstance(t, dict) for t in found):
        found = {t.get("name"): t.get("template") for t in found}
    if isinstance(found, dict):
        only = next(iter(found.values())) if len(found) == 1 else None
        found = found.get("default", only)
    if not isinstance(found, str):
        raise ValueError(f"{path} has chat templates, but none that is text and called default")
    return found


def _around(text: str) -> tuple[str, str]:
    """The white space before and after a text's words."""
    words = text.strip()
    before = text.index(words)
    return text[:before], text[before + len(words) :]
