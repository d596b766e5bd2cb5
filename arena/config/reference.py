"""The reference of all config keys, generated from the schema: type, default, range and meaning.

`lines` is what `config-help` prints, `markdown` is docs/config_reference.md, and `explained_yaml` writes a config with
the same texts as comments. The texts are the docstrings below the fields. Left out: options of domains and engines,
which belong to their classes.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import annotated_types
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from arena.config.registries import nearest
from arena.config.schema import Config
from arena.config.section import variants_of

WIDTH = 100
NAMED = "NAME"
"""Stands for the name of a domain in a key."""


HEAD = """
    # Config reference

    All keys of a config: type, range, default and meaning. This page is generated from the schema in `arena/config/`;
    `config-help KEY` prints the same for one key or section. The configs that ship with the program are described in
    [configs.md](configs.md). A key `a.b` stands for `b` in section `a` of a YAML file, and for itself in an override
    `a.b=value`. An override takes text as written (`'run.folder=out/exp #3'`); lists and mappings are YAML. `~` at the
    beginning of a path is the home folder.
"""


@dataclass(frozen=True)
class Entry:
    """One key. A section has no type, default or range."""

    key: str
    text: str
    kind: str = ""
    default: str = ""

    @property
    def section(self) -> bool:
        return not self.kind

    @property
    def facts(self) -> str:
        return f"{self.kind}; default {self.default}"


def entries() -> list[Entry]:
    """All sections and keys in the order of the schema, the keys of each section before its subsections."""
    return list(_entries(Config, ""))


def lines(key: str | None = None) -> list[str]:
    """The reference as lines of text: of one key, of all keys of one section, or of all.

    Raises ValueError, naming the nearest key, if there is no such key.
    """
    found = entries()
    if key is not None:
        wanted = [e for e in found if e.key == key or e.key.startswith(f"{key}.")]
        if not wanted:
            near = nearest(key, [e.key for e in found]) or "; config-help without a key lists all"
            raise ValueError(f"unknown key {key!r}{near}")
        found = wanted
    out: list[str] = []
    for entry in found:
        if entry.section:
            out += ["", *textwrap.wrap(f"[{entry.key}] {entry.text}", WIDTH), ""]
        else:
            out += textwrap.wrap(f"{entry.key}: {entry.facts}", WIDTH, **_indent("    ", first=""))
            out += textwrap.wrap(entry.text, WIDTH, **_indent("    "))
    return out[1:] if out[0] == "" else out


def markdown() -> str:
    """The page docs/config_reference.md."""
    out = [*textwrap.dedent(HEAD).strip().split("\n"), ""]
    for entry in entries():
        if entry.section:
            out += ["", f"## {entry.key}", "", *textwrap.wrap(entry.text, WIDTH), ""]
        else:
            out += textwrap.wrap(f"- `{entry.key}`: {entry.facts}. {entry.text}", WIDTH, **_indent("  ", first=""))
    return "\n".join(out) + "\n"


def explained_yaml(config: Config) -> str:
    """A config as YAML, with type, default, range and meaning of each key as comments. Loads as the same config."""
    known = {e.key: e for e in entries()}
    return "\n".join(_yaml(config.model_dump(mode="json"), "", known)) + "\n"


def _yaml(data: dict[str, Any], at: str, known: dict[str, Entry]) -> Iterator[str]:
    indent = "  " * (at.count(".") + 1 if at else 0)
    for name, value in data.items():
        key = f"{at}.{name}" if at else name
        entry = known.get(key)
        if entry and not entry.section:
            text = f"{entry.facts}. {entry.text}"
            yield from textwrap.wrap(text, WIDTH, **_indent(f"{indent}# "))
        elif entry:
            yield from ["", *textwrap.wrap(entry.text, WIDTH, **_indent(f"{indent}# "))]
        if entry and entry.section and isinstance(value, dict) and value:
            yield f"{indent}{name}:"
            yield from _yaml(value, key, known)
        else:
            dumped = yaml.safe_dump({name: value}, sort_keys=False, allow_unicode=True, width=10_000)
            yield from (indent + line for line in dumped.rstrip("\n").split("\n"))


def _entries(model: type[BaseModel], at: str) -> Iterator[Entry]:
    sections = []
    for name, field in model.model_fields.items():
        key, below = f"{at}.{name}" if at else name, _model(field.annotation)
        if variants := variants_of(field.annotation):
            sections.append((Entry(key, _text(field.description)), variants))
            continue
        if below is not None and get_origin(field.annotation) is not dict:
            sections.append((Entry(key, _text(field.description or below.__doc__)), {"": below}))
            continue
        yield Entry(key, _text(field.description), _kind(field), _default(field))
        if below is not None:
            yield from _entries(below, f"{key}.{NAMED}")
    for entry, belows in sections:
        yield entry
        if len(belows) > 1:
            yield _choice(entry.key, belows)
        for kind, below in belows.items():
            for found in _entries(below, entry.key):
                if not kind:
                    yield found
                elif found.key != f"{entry.key}.kind":
                    yield replace(found, text=f"With `{kind}`: {found.text}")


def _choice(key: str, variants: Mapping[str, type[BaseModel]]) -> Entry:
    """The key `kind` of a choice between sections; the first one describes all."""
    first = next(iter(variants))
    text = _text(variants[first].model_fields["kind"].description)
    return Entry(f"{key}.kind", text, f"one of {', '.join(variants)}", first)


def _model(kind: Any) -> type[BaseModel] | None:
    """The section that a field holds, by itself or by name; None if it holds values."""
    if get_origin(kind) is dict:
        kind = get_args(kind)[1]
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _kind(field: FieldInfo) -> str:
    extra = field.json_schema_extra
    if isinstance(extra, dict) and isinstance(choices := extra.get("choices"), list):
        many = "list of " if get_origin(field.annotation) in (list, tuple) else "one of "
        return f"{many}{', '.join(map(str, choices))}, or an import path"
    base = _type(field.annotation)
    limits = _range(field.metadata)
    return f"{base}, {limits}" if limits else base


def _type(kind: Any) -> str:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return "one of " + ", ".join(str(a) or "''" for a in arguments)
    if origin in (Union, UnionType):
        return " or ".join(_type(a) if a is not type(None) else "null" for a in arguments)
    if origin in (list, tuple):
        return f"list of {_plural(arguments[0])}"
    if origin is dict:
        return f"mapping of names to {_plural(arguments[1])}"
    return {bool: "true or false", int: "integer", float: "number", str: "text"}.get(kind, "value")


def _plural(kind: Any) -> str:
    if _model(kind) is not None:
        return "sections"
    text = _type(kind)
    return {"integer": "integers", "number": "numbers", "text": "texts", "value": "values"}.get(text, text)


def _range(metadata: list[Any]) -> str:
    low = high = ""
    for limit in metadata:
        if isinstance(limit, annotated_types.Ge):
            low = f"at least {limit.ge:g}"  # type: ignore[str-format]
        elif isinstance(limit, annotated_types.Gt):
            low = f"above {limit.gt:g}"  # type: ignore[str-format]
        elif isinstance(limit, annotated_types.Le):
            high = f"at most {limit.le:g}"  # type: ignore[str-format]
        elif isinstance(limit, annotated_types.Lt):
            high = f"below {limit.lt:g}"  # type: ignore[str-format]
        elif (pattern := getattr(limit, "pattern", None)) is not None:
            low = f"matching `{pattern}`"
    return " and ".join(filter(None, (low, high)))


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if isinstance(value, dict):
        value = {k: v.model_dump(mode="json") if isinstance(v, BaseModel) else v for k, v in value.items()}
    if isinstance(value, tuple):
        value = list(value)
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...").strip()


def _text(text: str | None) -> str:
    return " ".join((text or "").split())


def _indent(indent: str, first: str | None = None) -> dict[str, Any]:
    """Arguments of `textwrap.wrap`; words are never broken."""
    return {
        "initial_indent": indent if first is None else first,
        "subsequent_indent": indent,
        "break_long_words": False,
        "break_on_hyphens": False,
    }
