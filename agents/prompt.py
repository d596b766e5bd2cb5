"""Prompts of a model: a text to continue, or a chat that the model's own template renders."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Chat:
    """A chat for an instruction-tuned model, rendered by its own chat template.

    `user` may quote other agents; special tokens in any text are treated as plain text. `schema` is a JSON schema,
    as JSON text, for the answer; engines without structured output ignore it. `thinking` permits models with a
    thinking mode to use it. `examples` are earlier turns: what the user said, and a reply of the wanted form.
    """

    system: str
    user: str
    schema: str = ""
    thinking: bool = False
    examples: tuple[tuple[str, str], ...] = ()

    @property
    def turns(self) -> list[tuple[str, str]]:
        """The messages as (role, text), in order; the reply is to the last one."""
        shown = [(role, text) for turn in self.examples for role, text in zip(("user", "assistant"), turn, strict=True)]
        return [*([("system", self.system)] if self.system else []), *shown, ("user", self.user)]

    def __str__(self) -> str:
        """All texts in readable form, independent of any template."""
        return "\n\n".join(text for _, text in self.turns)


Prompt = str | Chat
"""A text to continue, or a chat to answer."""
