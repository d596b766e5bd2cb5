"""What a model is given: a text to be gone on with, or a chat that its own template words."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Chat:
    """What a model that follows instructions is asked, to be worded by its own chat template.

    `user` may quote other agents: neither text ever holds what a template would take for one of its own marks.
    `schema` is a JSON schema, as JSON text, that the answer should fit; engines that cannot hold a model to it ignore
    it. `thinking` allows models that can to think before they answer.
    """

    system: str
    user: str
    schema: str = ""
    thinking: bool = False

    def __str__(self) -> str:
        """Both texts, as people read them: no engine's wording."""
        return f"{self.system}\n\n{self.user}" if self.system else self.user


Prompt = str | Chat
"""A text to be gone on with, or something to be answered."""
