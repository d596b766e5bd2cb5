"""Overrides of a config: `a.b=value`, in the types of the keys they set, and paths as users write them.

A value of a key that holds text is the text as written, except for quotes that enclose all of it. Any other value is
YAML.

Left out: keys whose own name holds a dot, such as a domain's import path; set them in a file.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel

from arena.config.bounded_yaml import LostError, yaml_data
from arena.config.section import variants_of

Overrides = Sequence[str] | Mapping[str, Any]
"""`key=value` texts, or values by dotted key."""


def apply_overrides(data: dict[str, Any], overrides: Overrides, model: type[BaseModel]) -> None:
    """Set the keys of nested data, in order; of one key given several times, the last value counts.

    Raises ValueError that names the override: it has no value, is not YAML, or replaces a section in which an earlier
    one has set a key.
    """
    before = list[str]()
    for key, value, override in _parsed(overrides, model):
        for other in before:
            if other.startswith(f"{key}."):
                raise ValueError(f"the override of {other!r} would be lost, because a later one sets {key!r}: keep one")
        before.append(key)
        _set(data, key.split("."), value, override)


def flat(data: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Nested mappings as one with dotted keys."""
    out: dict[str, Any] = {}
    for key, value in data.items():
        out |= flat(value, f"{above}{key}.") if isinstance(value, dict) else {above + key: value}
    return out


def path_text(text: str) -> str:
    """A path with `~` and `~user` replaced by the home folder. Raises ValueError for a path that cannot be one."""
    if not text.strip() or not text.isprintable():
        raise ValueError("a path must not be empty" if not text.strip() else "a path must be printable text")
    if not text.startswith("~"):
        return text
    try:
        return str(Path(text).expanduser())
    except RuntimeError:
        raise ValueError(
            f"no home folder is known for {Path(text).parts[0]!r}; for a folder of that name write './{text}'"
        ) from None


def _parsed(overrides: Overrides, model: type[BaseModel]) -> Iterable[tuple[str, Any, str]]:
    """Key, value and wording of each override."""
    if isinstance(overrides, Mapping):
        for key, value in overrides.items():
            yield key, copy.deepcopy(value), f"{key}={value}"  # a later override may set a key inside it
        return
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key:
            raise ValueError(f"override {override!r} is not of the form key.subkey=value")
        yield key, _value(text, key, override, model), override


def _value(text: str, key: str, override: str, model: type[BaseModel]) -> Any:
    if _holds_text(key.split("."), model):
        return _unquoted(text)
    try:
        return yaml_data(text, one_line=True)
    except LostError as error:
        raise ValueError(f"override {override[:100]!r}: {error}") from None
    except ValueError as error:
        raise ValueError(f"override {override[:100]!r}: the value is not YAML: {error}") from None


def _unquoted(text: str) -> str:
    """The text as written, without quotes that enclose all of it, which YAML would remove."""
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        try:
            return str(yaml_data(text))
        except ValueError:
            pass
    return text


def _holds_text(path: Sequence[str], model: type[BaseModel]) -> bool:
    """Whether a key holds text: `str`, or a choice of texts."""
    at: Any = model
    for key in path:
        for variant in variants_of(at).values():
            at = variant if key in variant.model_fields else at
        if isinstance(at, type) and issubclass(at, BaseModel):
            at = field.annotation if (field := at.model_fields.get(key)) else None
        else:
            at = get_args(at)[1] if get_origin(at) is dict else None
    return at is str or (get_origin(at) is Literal and all(isinstance(choice, str) for choice in get_args(at)))


def _set(data: dict[str, Any], path: list[str], value: Any, override: str) -> None:
    for key in path[:-1]:
        data = data.setdefault(key, {})
        if not isinstance(data, dict):
            raise ValueError(f"override {override!r}: {key!r} is not a section")
    data[path[-1]] = value
