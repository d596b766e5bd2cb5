"""Messages between the islands and the coordinator: bytes, never pickled objects.

A message is a magic line, the length and SHA-256 of a JSON header, the header, and the blobs that the header names, one
after another, each with its SHA-256. Adapters are sent as the bytes of their safetensors file. Reading is strict:
anything that is not exactly one such message raises a ValueError that names the fault. Nothing in a message is run, and
no path in it leads out of the folder that it is unpacked into.

Left out: encryption and authentication. A `Package` holds an island's private keys and is sent between that island and
the coordinator only; anybody who can read the cluster's network can read it (docs/islands.md). Posts are signed, and
checked when they are admitted; adapters are checked when they are loaded (`agents.untrusted_adapter`).
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from culture.posts import SignedPost

MAGIC = b"RATCHET PARCEL 1\n"
MAX_HEADER = 64 << 20
"""Bytes of a header, which holds posts and names, but no rows and no weights."""
MAX_ROWS = 1 << 30
"""Bytes of one table's rows, decompressed."""
MAX_BLOBS = 100_000
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_HEX = re.compile(r"[0-9a-f]{64}")

Value = str | int | float | None


@dataclass(frozen=True)
class Table:
    """New rows of one table in the order they were written, with their rowids."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]
    rowids: tuple[int, ...]


@dataclass(frozen=True)
class SentPost:
    """A signed post, the island that sends it and, for a worked example, the solve rate of its problem."""

    signed: SignedPost
    island: int
    solve_rate: float | None = None


@dataclass(frozen=True)
class SentAgent:
    """An agent's acting adapter: its name, island, public key, reward, and the bytes of the safetensors file."""

    name: str
    island: int
    public_key: str
    reward: float
    adapter: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.adapter).hexdigest()


@dataclass(frozen=True)
class Arrivals:
    """Posts and agents that reach `island` in `generation`; empty if nothing is exchanged."""

    island: int
    generation: int
    posts: tuple[SentPost, ...] = ()
    agents: tuple[SentAgent, ...] = ()

    def to_bytes(self) -> bytes:
        head, blobs = _exchange(self.posts, self.agents)
        return pack("arrivals", {"island": self.island, "generation": self.generation, **head}, blobs)

    @staticmethod
    def from_bytes(data: bytes) -> Arrivals:
        """Raises ValueError if `data` is not such a message."""
        head, blobs = unpack("arrivals", data)
        with _strict("arrivals"):
            posts, agents = _read_exchange(head, blobs)
            return Arrivals(_count(head["island"]), _count(head["generation"]), posts, agents)


@dataclass(frozen=True)
class Package:
    """An island's run folder after `generation`, with which it can be resumed on another machine. Paths are relative,
    with slashes; `run.db` is a whole database file."""

    island: int
    generation: int
    files: Mapping[str, bytes]

    def to_bytes(self) -> bytes:
        return pack("package", {"island": self.island, "generation": self.generation}, dict(self.files))

    @staticmethod
    def from_bytes(data: bytes) -> Package:
        """Raises ValueError if `data` is not such a message."""
        head, blobs = unpack("package", data)
        with _strict("package"):
            return Package(
                _count(head["island"]), _count(head["generation"]), {safe_path(n): b for n, b in blobs.items()}
            )


@dataclass(frozen=True)
class Result:
    """One generation of an island: new rows by table, new files, the posts and agents it sends to others, and the last
    rowid of each table before it (`marks`). `arrivals` is the SHA-256 of the arrivals that it was played with."""

    island: int
    generation: int
    arrivals: str
    marks: Mapping[str, int]
    rows: Mapping[str, Table]
    files: Mapping[str, bytes] = field(default_factory=dict)
    posts: tuple[SentPost, ...] = ()
    agents: tuple[SentAgent, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """New rows by table."""
        return {name: len(table.rows) for name, table in self.rows.items()}

    def to_bytes(self) -> bytes:
        head, blobs = _exchange(self.posts, self.agents)
        blobs |= {f"file/{name}": data for name, data in self.files.items()}
        for name, table in self.rows.items():
            body = {"columns": table.columns, "rowids": table.rowids, "rows": table.rows}
            text = json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
            blobs[f"rows/{name}"] = zlib.compress(text.encode(), 1)
        head |= {"island": self.island, "generation": self.generation, "arrivals": self.arrivals}
        return pack("result", {**head, "marks": dict(self.marks)}, blobs)

    @staticmethod
    def from_bytes(data: bytes) -> Result:
        """Raises ValueError if `data` is not such a message."""
        head, blobs = unpack("result", data)
        with _strict("result"):
            posts, agents = _read_exchange(head, blobs)
            files = {safe_path(n[5:]): b for n, b in blobs.items() if n.startswith("file/")}
            rows = {_word(n[5:]): _table(b) for n, b in blobs.items() if n.startswith("rows/")}
            marks = {_word(n): _count(v + 1) - 1 for n, v in dict(head["marks"]).items()}
            if not _HEX.fullmatch(head["arrivals"]):
                raise ValueError("the digest of its arrivals is not SHA-256")
            where = _count(head["island"]), _count(head["generation"])
            return Result(*where, head["arrivals"], marks, rows, files, posts, agents)


def digest(data: bytes) -> str:
    """SHA-256, 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def safe_path(name: str) -> str:
    """Return a relative path that cannot leave the folder it is unpacked into. Raises ValueError for any other."""
    parts = name.split("/")
    if len(parts) > 6 or not all(_PART.fullmatch(p) for p in parts):
        raise ValueError(f"a path that may lead elsewhere: {name[:80]!r}")
    return name


# -- the container -------------------------------------------------------------------------------------------------


def pack(kind: str, head: Mapping[str, Any], blobs: Mapping[str, bytes]) -> bytes:
    """One message of `kind`: a header with `head`, and the blobs by name."""
    named = [[name, len(data), digest(data)] for name, data in blobs.items()]
    text = json.dumps({"kind": kind, **head, "blobs": named}, separators=(",", ":"), allow_nan=False).encode()
    return b"".join([frame(text), *blobs.values()])


def frame(header: bytes) -> bytes:
    """The bytes before the blobs."""
    return b"".join([MAGIC, len(header).to_bytes(8, "big"), hashlib.sha256(header).digest(), header])


def unpack(kind: str, data: bytes) -> tuple[dict[str, Any], dict[str, bytes]]:
    """(header, blobs by name). Raises ValueError for anything but one complete message of this kind."""
    with _strict(kind):
        start = len(MAGIC) + 8 + 32
        if data[: len(MAGIC)] != MAGIC:
            raise ValueError("it begins otherwise, or is of another version")
        length = int.from_bytes(data[len(MAGIC) : len(MAGIC) + 8], "big")
        if length > MAX_HEADER or start + length > len(data):
            raise ValueError(f"its header of {length} bytes is cut short or too long")
        if hashlib.sha256(data[start : start + length]).digest() != data[start - 32 : start]:
            raise ValueError("its header is damaged")
        head = json.loads(data[start : start + length], parse_constant=_no_constant)
        if not isinstance(head, dict) or head.get("kind") != kind:
            raise ValueError("its kind is another")
        named = head.pop("blobs")
        if not isinstance(named, list) or len(named) > MAX_BLOBS:
            raise ValueError("its list of blobs is missing or too long")
        blobs, at = dict[str, bytes](), start + length
        for name, size, sha in named:
            size = _count(size)
            if not isinstance(name, str) or name in blobs or at + size > len(data):
                raise ValueError(f"blob {str(name)[:80]!r} is there twice, or cut short")
            blobs[name] = data[at : at + size]
            at += size
            if digest(blobs[name]) != sha:
                raise ValueError(f"blob {name[:80]!r} is damaged")
        if at != len(data):
            raise ValueError(f"{len(data) - at} bytes too many")
        return head, blobs


class _strict:
    """Turn any error in reading a message into a ValueError that names the kind of the message."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: Any, error: BaseException | None, __: Any) -> None:
        caught = (
            ValueError,
            TypeError,
            KeyError,
            IndexError,
            AttributeError,
            RecursionError,
            OverflowError,
            zlib.error,
        )
        if isinstance(error, caught) and not str(error).startswith("not a message"):
            told = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            raise ValueError(f"not a message of kind {self.kind}: {told}") from None


def _exchange(posts: Sequence[SentPost], agents: Sequence[SentAgent]) -> tuple[dict[str, Any], dict[str, bytes]]:
    head = {
        "posts": [{"row": p.signed.to_row(), "island": p.island, "solve_rate": p.solve_rate} for p in posts],
        "agents": [
            {"name": a.name, "island": a.island, "public_key": a.public_key, "reward": a.reward} for a in agents
        ],
    }
    return head, {f"adapter/{i}": a.adapter for i, a in enumerate(agents)}


def _read_exchange(
    head: Mapping[str, Any], blobs: Mapping[str, bytes]
) -> tuple[tuple[SentPost, ...], tuple[SentAgent, ...]]:
    posts = tuple(
        SentPost(SignedPost.from_row(p["row"]), _count(p["island"]), _rate(p["solve_rate"])) for p in head["posts"]
    )
    agents = tuple(
        SentAgent(
            _word(a["name"]), _count(a["island"]), _key(a["public_key"]), _number(a["reward"]), blobs[f"adapter/{i}"]
        )
        for i, a in enumerate(head["agents"])
    )
    return posts, agents


def _table(data: bytes) -> Table:
    unpacker = zlib.decompressobj()
    text = unpacker.decompress(data, MAX_ROWS)
    if not unpacker.eof or unpacker.unused_data:
        raise ValueError(f"a table's rows are cut short, or more than {MAX_ROWS} bytes")
    body = json.loads(text, parse_constant=_no_constant)
    columns = tuple(_word(c) for c in body["columns"])
    rows = tuple(tuple(map(_value, row)) for row in body["rows"])
    rowids = tuple(_count(i) for i in body["rowids"])
    if len(rowids) != len(rows) or any(len(row) != len(columns) for row in rows):
        raise ValueError("a table's rows do not have its columns")
    return Table(columns, rows, rowids)


def _no_constant(name: str) -> Any:
    raise ValueError(f"it holds {name}, which is not a number")


def _value(value: Any) -> Value:
    if value is None or isinstance(value, str | float) or (type(value) is int and -(2**63) <= value < 2**63):
        return value
    raise ValueError(f"{str(value)[:40]!r} is not a value of a table")


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**63:
        raise ValueError(f"{str(value)[:40]!r} is not a count")
    return value


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError(f"{str(value)[:40]!r} is not a number")
    return float(value)


def _rate(value: Any) -> float | None:
    if value is None:
        return None
    rate = _number(value)
    if not 0.0 <= rate <= 1.0:
        raise ValueError(f"{rate!r} is not a rate")
    return rate


def _word(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]{0,63}", value):
        raise ValueError(f"{str(value)[:40]!r} is not a name")
    return value


def _key(value: Any) -> str:
    if not isinstance(value, str) or not _HEX.fullmatch(value):
        raise ValueError(f"{str(value)[:40]!r} is not a public key")
    return value
