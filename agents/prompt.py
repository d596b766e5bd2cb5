"""Prompts of a model: a text to continue, or a chat that the model's own template renders."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Chat:
    """A chat for an instruction-tuned model, rendered by its own chat template.

    `user` may quote other agents; special tokens in either text are treated as plain text. `schema` is a JSON schema,
    as JSON text, for the answer; engines without structured output ignore it. `thinking` permits models with a
    thinking mode to use it.
    """

    system: str
    user: str
    schema: str = ""
    thinking: bool = False

    def __str__(self) -> str:
        """Both texts in readable form, independent of any template."""
        return f"{self.system}\n\n{self.user}" if self.system else self.user


Prompt = str | Chat
"""A text to continue, or a chat to answer."""
