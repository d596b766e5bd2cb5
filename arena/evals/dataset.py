"""A user's evaluation set: JSON lines, parsed strictly.

Each line is one item: a question with its answer, a question with a checker program, or a problem of one of the run's
domains. No line is skipped: anything else is an error that names the file, the line and the nearest right key.
Repeated items are reported, not removed.

Left out: other formats, and several right answers to a question (use a checker).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.stored_file import find_substitute
from arena.config.schema import nearest
from arena.config.shipped import find_config
from curricula.answers import reference_answer
from curricula.domain import SPLITS, Domain, Problem, heldout_depths

KEYS = ("question", "answer", "checker", "domain", "problem", "id", "level", "depth", "system")
NO_LEVEL = "-"


@dataclass(frozen=True)
class Item:
    """One line of a set. Exactly one of `answer`, `checker` and `problem` is given; `text` is the question."""

    line: int  # from 1
    id: str  # given by the user; default: the line number
    level: str  # the group of the item; `-` if none is given
    text: str
    system: str = ""
    answer: str | None = None
    checker: str | None = None
    problem: Problem | None = None

    @property
    def key(self) -> str:
        """The question with normalized white space; equal for repeated items."""
        return " ".join(self.text.split())


@dataclass(frozen=True)
class ItemSet:
    """One file. `digest`: SHA-256 of its bytes; `total`: items in the file; `items`: those to evaluate."""

    name: str
    path: Path
    digest: str
    total: int
    items: tuple[Item, ...]

    def where(self, item: Item) -> str:
        return f"{self.path} line {item.line}"

    def levels(self) -> list[str]:
        """The levels: numbers in ascending order, then words in the order of the file."""
        found = dict.fromkeys(i.level for i in self.items)
        return sorted(found, key=lambda v: (0, int(v)) if v.isdecimal() else (1, 0))

    def repeated(self) -> list[tuple[Item, Item]]:
        """(first, repeated) pairs of items with the same question."""
        first: dict[str, Item] = {}
        return [(first[i.key], i) for i in self.items if first.setdefault(i.key, i) is not i]

    def limited(self, most: int | None) -> ItemSet:
        """At most `most` items, evenly spaced over the file, so that a file sorted by level keeps its levels."""
        n = len(self.items)
        if most is None or n <= most:
            return self
        at = [round(i * (n - 1) / (most - 1)) for i in range(most)] if most > 1 else [0]
        return ItemSet(self.name, self.path, self.digest, self.total, tuple(self.items[i] for i in at))


def read_sets(paths: Sequence[Path], domains: Mapping[str, Domain]) -> list[ItemSet]:
    """Read evaluation sets.

    Raises:
        ValueError: for an unreadable file, an invalid line (named with its file and number), or two sets of one name.
    """
    found = [read_set(path, domains) for path in paths]
    for i, s in enumerate(found):
        same = next((o for o in found[:i] if o.name.casefold() == s.name.casefold()), None)
        if same:
            raise ValueError(f"{same.path} and {s.path} would both be called {s.name!r}: give one another file name")
    return found


def read_set(path: Path, domains: Mapping[str, Domain]) -> ItemSet:
    """Read one set from a path or the name of a shipped one. Raises ValueError as `read_sets` does."""
    path = find_config(path, "eval", ".jsonl")
    try:
        data = path.read_bytes()
    except OSError as error:
        near = nearest(path.name, sorted(p.name for p in path.parent.glob("*.jsonl")))
        raise ValueError(f"cannot read the set {path}: {error.strerror or error}{near}") from None
    if data and (found := find_substitute(data[:200])):
        raise ValueError(f"{path} is {found}")
    lines = data.removeprefix(b"\xef\xbb\xbf").rstrip().split(b"\n") if data.strip() else []
    if not lines:
        raise ValueError(f"{path} is empty: expected one JSON object per line")
    sealed = {p.text_key for d in domains.values() for depth in heldout_depths(d) for p in d.heldout(SPLITS[1], depth)}
    items, lines_of = list[Item](), dict[str, int]()
    for number, line in enumerate(lines, start=1):
        try:
            item = read_item(line, number, domains)
        except ValueError as error:
            raise ValueError(f"{path} line {number}: {error}") from None
        if item.id in lines_of:
            raise ValueError(f"{path} line {number}: id {item.id!r} is already used by line {lines_of[item.id]}")
        if item.problem and item.problem.text_key in sealed:
            raise ValueError(
                f"{path} line {number}: this problem is in the sealed test set; only `experiment --final` may use it"
            )
        lines_of[item.id] = number
        items.append(item)
    return ItemSet(path.stem, path, hashlib.sha256(data).hexdigest(), len(items), tuple(items))


def read_item(line: bytes, number: int, domains: Mapping[str, Domain]) -> Item:
    """Parse one line. Raises ValueError with the reason, without file and line."""
    data = _object(line)
    for key in data:
        if key not in KEYS:
            raise ValueError(f"unknown key {key!r}{nearest(key, KEYS) or '; expected some of ' + ', '.join(KEYS)}")
    texts = ("question", "answer", "checker", "domain", "problem", "system")
    given: dict[str, str] = {k: _text(data, k) for k in texts if k in data}
    if "depth" in data and "level" in data:
        raise ValueError("has both 'level' and 'depth', which mean the same: leave one out")
    id_ = _label(data, "id") if "id" in data else str(number)
    said = next((k for k in ("level", "depth") if k in data), None)
    level = _label(data, said) if said else None
    if "problem" in given or "domain" in given:
        return _problem(given, number, id_, level, domains)
    if "question" not in given:
        raise ValueError("lacks a 'question' (or a 'domain' and a 'problem' of it)")
    judges = [k for k in ("answer", "checker") if k in given]
    if len(judges) != 1:
        raise ValueError("has both 'answer' and 'checker': one of them" if judges else "lacks an 'answer' or 'checker'")
    if "answer" in given:
        reference_answer(given["answer"])
    return Item(
        number,
        id_,
        level or NO_LEVEL,
        given["question"],
        given.get("system", ""),
        given.get("answer"),
        given.get("checker"),
    )


def _problem(given: Mapping[str, str], number: int, id_: str, level: str | None, domains: Mapping[str, Domain]) -> Item:
    for key in ("domain", "problem"):
        if key not in given:
            raise ValueError(f"lacks {key!r}: a problem of a domain needs both 'domain' and 'problem'")
    extra = [k for k in given if k not in ("domain", "problem")]
    if extra:
        raise ValueError(f"{extra[0]!r} is not allowed with a domain's problem, which is asked as in the run")
    name = given["domain"]
    if name not in domains:
        raise ValueError(
            f"{name!r} is no domain of this run{nearest(name, list(domains)) or '; it has ' + ', '.join(domains)}"
        )
    problem = domains[name].problem(given["problem"])
    return Item(number, id_, level or str(problem.depth), problem.text, problem=problem)


def _object(line: bytes) -> dict[str, Any]:
    """The JSON object of a line. Raises ValueError for anything else, including repeated keys."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        twice = next((k for i, (k, _) in enumerate(pairs) if any(k == other for other, _ in pairs[:i])), None)
        if twice is not None:
            raise ValueError(f"has the key {twice!r} twice")
        return dict(pairs)

    if not line.strip():
        raise ValueError("is empty")
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8") from None
    try:
        # numbers keep their spelling: as text, 0.10 differs from 0.1
        data = json.loads(text, object_pairs_hook=once, parse_int=_Number, parse_float=_Number, parse_constant=_Number)
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON: {error.msg} at letter {error.pos + 1}") from None
    except RecursionError:
        raise ValueError("is not JSON: nested too deep") from None
    if not isinstance(data, dict):
        raise ValueError(f'holds {_kind(data)}, expected an object such as {{"question": ..., "answer": ...}}')
    return data


class _Number(str):
    """A JSON number as it is spelled in the file."""


def _text(data: Mapping[str, Any], key: str) -> str:
    """A non-empty text; an answer may be a number. Raises ValueError otherwise."""
    value = data[key]
    if not isinstance(value, str) or (isinstance(value, _Number) and key != "answer"):
        raise ValueError(f"{key!r} is {_kind(value)}, expected a text")
    if not value.strip():
        raise ValueError(f"{key!r} is empty")
    if not value.isprintable() and any(0xD800 <= ord(c) <= 0xDFFF for c in value):
        raise ValueError(f"{key!r} contains a lone surrogate")
    return str(value)


def _label(data: Mapping[str, Any], key: str) -> str:
    """A name or a number on one line. Raises ValueError otherwise."""
    value = data[key]
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValueError(f"{key!r} is {_kind(value)}, expected a number or a text on one line")
    return value.strip()


def _kind(value: Any) -> str:
    if isinstance(value, _Number):
        return f"the number {value[:20]}"
    kinds = {str: "a text", dict: "an object", list: "a list", bool: "true or false", type(None): "null"}
    named = next((name for kind, name in kinds.items() if isinstance(value, kind)), "something else")
    return f"the text {value[:20]!r}" if isinstance(value, str) else named
