"""The base class of all sections of a config, and choices between sections."""

from __future__ import annotations

from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Frozen, and strict about unknown keys. The text below each field becomes its description."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


def variants_of(annotation: Any) -> dict[str, type[BaseModel]]:
    """The sections of which a field holds one, by their key `kind`; empty for other fields."""
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    found = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else ()
    sections = [a for a in found if isinstance(a, type) and issubclass(a, BaseModel)]
    return {s.model_fields["kind"].default: s for s in sections} if found and len(sections) == len(found) else {}
