"""Find a model's chat template, and render the messages of a chat with it.

Templates are Jinja programs that come with models. They run in Jinja's sandbox in a separate process with limits on
time and memory (`agents/template_child.py`), with the variables that such templates expect and a fixed date, so that
the result is deterministic. Templates never see text of agents: they get placeholders, which are replaced after
rendering, so that messages can neither affect the template nor be changed by it, except for surrounding white space.
Left out: tools, documents, and images.
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

FILES = ("chat_template.jinja", "tokenizer_config.json", "chat_template.json")  # the first file with a template is used
SHAPES = 512  # number of cached renderings


@dataclass(frozen=True)
class RenderedChat:
    """A rendered chat. `text` has placeholders `names` for the messages `words`, which `fill` inserts."""

    text: str
    names: tuple[str, ...]
    words: tuple[str, ...] = ()

    def fill(self, text: str) -> str:
        """Insert the messages into `text`, which is a part of `self.text`."""
        if not self.names:
            return text
        found = dict(zip(self.names, self.words, strict=True))
        return re.sub("|".join(self.names), lambda m: found[m.group()], text)


class ChatTemplate:
    """A chat template.

    Args:
        source: Jinja source.
        place: path of the file, for error messages.
        tokens: named special tokens of the model, such as bos_token, which the template may use.

    Raises:
        ValueError: the source is not a valid template.
    """

    def __init__(self, source: str, place: str, tokens: dict[str, str]) -> None:
        self.place, self._tokens = place, tokens
        number, taken = 0, source + "".join(tokens.values())
        while f"Words{number}" in taken:
            number += 1
        self._mark = f"Words{number}"
        self._source = source
        kind, why = WORKER.ask(source, None, False, {})
        if kind != "text":
            raise ValueError(f"the chat template in {place} cannot be read: {why}")
        self._shape: Callable[..., RenderedChat] = lru_cache(SHAPES)(self._shape_of)

    def render(self, chat: Chat) -> RenderedChat:
        """Render a chat up to the start of the answer.

        If the template does not support a system message, its text is put in front of the user message.

        Raises:
            ValueError: the template fails or omits the user message.
        """
        for turns in (chat.turns, _without_system(chat)):
            shape = self._shape(tuple((role, *_around(text)) for role, text in turns), chat.thinking)
            if shape.text:
                return RenderedChat(shape.text, shape.names, tuple(text.strip() for _, text in turns))
        raise AssertionError("a shape without a system is a text or an error")

    def after_answer(self) -> str:
        """The text that the template puts after an answer; empty if that cannot be determined."""
        try:
            text = self._render([("user", self._name(0)), ("assistant", self._name(1))], False, False)
        except ValueError:
            return ""
        return text.rpartition(self._name(1))[2] if self._name(1) in text else ""

    def _name(self, number: int) -> str:
        """The placeholder of a message; none is a part of another one."""
        return f"{self._mark}Message{number}End"

    def _shape_of(self, turns: tuple[tuple[str, str, str], ...], thinking: bool) -> RenderedChat:
        """Render placeholders. Each turn: role, and the white space around the message. Empty: the template does not
        support a system message."""
        names = tuple(self._name(i) for i in range(len(turns)))
        messages = [(role, before + n + after) for n, (role, before, after) in zip(names, turns, strict=True)]
        has_system = turns[0][0] == "system"
        try:
            text = self._render(messages, True, thinking)
        except ValueError:
            if not has_system:
                raise
            return RenderedChat("", ())
        missing = [role for n, (role, _, _) in zip(names, turns, strict=True) if n not in text and role != "system"]
        if missing:
            raise ValueError(f"the chat template in {self.place} omits the {missing[0]} message")
        return RenderedChat("", ()) if has_system and names[0] not in text else RenderedChat(text, names)

    def _render(self, messages: list[tuple[str, str]], prompt: bool, thinking: bool) -> str:
        """Render messages. Raises ValueError for any error in the template."""
        given = [{"role": role, "content": content} for role, content in messages]
        known: dict[str, Any] = {"tools": None, "documents": None, "enable_thinking": thinking, **self._tokens}
        kind, text = WORKER.ask(self._source, given, prompt, known)
        if kind != "text":
            raise ValueError(f"the chat template in {self.place} fails: {text}")
        return text


def find_template(folder: Path, settings: dict[str, Any], tokens: dict[str, str]) -> ChatTemplate | None:
    """Find the chat template of a model.

    Args:
        folder: folder of the model.
        settings: content of tokenizer_config.json.
        tokens: named special tokens of the model.

    Returns:
        The template, or None if there is none.

    Raises:
        ValueError: a template cannot be read; the message names the file.
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
    """The template; if there are several, the one named default."""
    if isinstance(found, list) and all(isinstance(t, dict) for t in found):
        found = {t.get("name"): t.get("template") for t in found}
    if isinstance(found, dict):
        only = next(iter(found.values())) if len(found) == 1 else None
        found = found.get("default", only)
    if not isinstance(found, str):
        raise ValueError(f"{path} has chat templates, but none that is text and called default")
    return found


def _without_system(chat: Chat) -> list[tuple[str, str]]:
    """The turns of a chat with the system text in front of the first user message."""
    if not chat.system:
        return chat.turns
    _, (_, first), *others = chat.turns
    return [("user", f"{chat.system}\n\n{first}"), *others]


def _around(text: str) -> tuple[str, str]:
    """Leading and trailing white space of a text."""
    words = text.strip()
    before = text.index(words)
    return text[:before], text[before + len(words) :]
