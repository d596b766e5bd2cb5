"""The ledger: every post, receipt and training is a leaf of one Merkle log, with a signed head for each generation.

`seal` returns the leaves that a generation adds, and its head. The loop stores them in the transaction of the
generation's last phase, so that a killed run holds whole generations of the log too. A leaf is the canonical JSON of

    {"kind": "post", "subject": its id, "content": its fields, "public_key": ..., "signature": ...}
    {"kind": "receipt", "subject": its id, "content": its fields, "public_key": ..., "signature": ...}
    {"kind": "training", "subject": "g0007/ada", "content": its fields}

Table `leaves` holds only the hash of a leaf: its content is in the other tables of the run, and `verify` compares the
two. The fields of a training are generation, agent, posts (the ids of the posts trained on, in alphabetical order),
examples, tokens, steps, and adapter, the SHA-256 of the resulting weights.

The leaves of a generation are its posts, then its receipts, both in the order of their `seq`, then its trainings by
generation and agent. Leaves that an earlier head missed (a post that a reviewer accepted late) come with the next head.
A head is the size and root of the log after a generation, signed with the arena's key over the SHA-256 of the canonical
JSON of {"generation", "kind": "head", "root", "size"}.

Left out: attempts, problems and evaluations, which the digest covers; publishing heads. Not guaranteed: protection
against somebody with the arena's private key who changes a run of which nobody kept a head. To be sure later, keep the
last line that `library RUN verify` prints. Opening a run reads all stored hashes once (a million: about a second).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from itertools import groupby
from typing import TYPE_CHECKING, Any

from agents.identity import KeyRing, is_signed
from arena.run.integrity import FAILURES, diagnose
from culture.library import Library
from culture.merkle import (
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
)
from culture.posts import Post

if TYPE_CHECKING:  # imports torch, which reading a run does not need
    from arena.run.state import Arena
    from arena.run.store import Row, Store

KINDS = ("post", "receipt", "training")
_POST = tuple(field.name for field in fields(Post))
_RECEIPT = ("seq", "generation", "kind", "subject", "decision", "note", "body")


@dataclass(frozen=True)
class Leaf:
    """One leaf of the log; `place` orders the leaves of one kind."""

    kind: str
    subject: str
    data: str
    place: tuple[int, str]

    @property
    def hash(self) -> bytes:
        """RFC 6962's hash of the leaf, 32 bytes."""
        return leaf_hash(self.data.encode("utf-8", "surrogatepass"))


# -- sealing -------------------------------------------------------------------------------------------------------


def seal(arena: Arena) -> dict[str, list[Row]]:
    """Rows of `leaves` and `heads` for the generation that ends; none if it already has a head.

    Must be called, and its rows stored, in the transaction that stores the rest of the generation.
    """
    size = arena.store.query("SELECT COALESCE(MAX(seq), 0) AS n FROM leaves")[0]["n"]
    if arena.log is None or arena.log.size != size:  # the run was just opened, or the last rows were not stored
        arena.log = Frontier(_hashes(arena.store))
    return seal_generation(arena.store, arena.keys, arena.state.generation.index, arena.log)


def seal_generation(store: Store, keys: KeyRing, g: int, log: Frontier | None = None) -> dict[str, list[Row]]:
    """`seal` for generation `g` of any store. `keys` signs the head; `log` is the frontier of all stored leaves, read
    from the store if None."""
    from arena.run.receipts import ARENA

    if store.query("SELECT 1 FROM heads WHERE generation = ?", [g]):
        return {}
    log = log or Frontier(_hashes(store))
    leaves: list[Row] = []
    for leaf in _all(store, *_logged(store)):
        log.append(leaf.hash)
        row = {"seq": log.size, "generation": g, "kind": leaf.kind, "subject": leaf.subject, "hash": leaf.hash.hex()}
        leaves.append(row)
    head = {"generation": g, "size": log.size, "root": log.root().hex()}
    key = keys.ensure(ARENA).public_key
    signature = keys.sign(ARENA, head_statement(head)).hex()
    return {"leaves": leaves, "heads": [{**head, "public_key": key, "signature": signature}]}


def seal_rest(arena: Arena) -> None:
    """Seal what is stored and not in the log yet, in its own transaction."""
    with arena.store.transaction():
        arena.store.insert(seal(arena))


def _logged(store: Store) -> tuple[int, int, int]:
    """The last leaves of the log: `seq` of the last post and of the last receipt, generation of the last training."""
    last = "SELECT subject FROM leaves WHERE kind = ? ORDER BY seq DESC LIMIT 1"
    found = []
    for kind, table in (("post", "posts"), ("receipt", "receipts")):
        rows = store.query(f"SELECT seq FROM {table} WHERE id = ({last})", [kind]) if _any(store, table) else []
        found.append(rows[0]["seq"] if rows else 0)
    slept = store.query(last, ["training"]) if _any(store, "sleeps") else []
    return found[0], found[1], int(slept[0]["subject"][1:].split("/")[0]) if slept else -1


def _any(store: Store, table: str) -> bool:
    """Whether a table has rows. Without any, the search for its last leaf would read the whole log."""
    return bool(store.query(f"SELECT 1 FROM {table} LIMIT 1"))


def _hashes(store: Store) -> list[bytes]:
    return [bytes.fromhex(row[0]) for row in store.db.conn.execute("SELECT hash FROM leaves ORDER BY seq")]


# -- content of leaves -----------------------------------------------------------------------------------------------


def _all(store: Store, post: int = 0, receipt: int = 0, slept: int = -1) -> Iterator[Leaf]:
    """All leaves after the given post, receipt and training, in the order of the log."""
    yield from _posts(store, post)
    yield from _receipts(store, receipt)
    yield from _trainings(store, slept)


def _posts(store: Store, after: int = 0, id: str | None = None) -> Iterator[Leaf]:
    where, value = ("id = ?", id) if id is not None else ("seq > ?", after)
    names = (*_POST, "public_key", "signature", "id", "seq")
    for row in store.db.conn.execute(f"SELECT {', '.join(names)} FROM posts WHERE {where} ORDER BY seq", [value]):
        values = dict(zip(names, row, strict=True))
        content = {name: values[name] for name in _POST} | {"cites": _plain(values["cites"])}
        yield _signed("post", content, values)


def _receipts(store: Store, after: int = 0, id: str | None = None) -> Iterator[Leaf]:
    where, value = ("id = ?", id) if id is not None else ("seq > ?", after)
    names = (*_RECEIPT, "public_key", "signature", "id")
    for row in store.db.conn.execute(f"SELECT {', '.join(names)} FROM receipts WHERE {where} ORDER BY seq", [value]):
        values = dict(zip(names, row, strict=True))
        yield _signed("receipt", {name: values[name] for name in _RECEIPT}, values)


def _signed(kind: str, content: Mapping[str, Any], values: Mapping[str, Any]) -> Leaf:
    subject = str(values["id"])
    signed = {"public_key": values["public_key"], "signature": values["signature"]}
    return Leaf(kind, subject, canonical({"kind": kind, "subject": subject, "content": content, **signed}),
                (values["seq"], ""))  # fmt: skip


def _trainings(store: Store, after: int = -1, at: tuple[int, str] | None = None) -> Iterator[Leaf]:
    """The trainings after generation `after`, one for each agent and generation, or only that of `at`, a pair of the
    two."""
    where, values = ("s.generation = ? AND s.agent = ?", list(at)) if at else ("s.generation > ?", [after])
    trainings = store.db.conn.execute(
        "SELECT s.generation, s.agent, s.examples, s.tokens, s.steps, c.sha256 FROM sleeps s LEFT JOIN checkpoints c"
        f" ON c.generation = s.generation AND c.name = s.agent WHERE {where} ORDER BY s.generation, s.agent",
        values,
    )
    where, values = ("generation = ? AND agent = ?", list(at)) if at else ("rowid > ?", [_first_read(store, after)])
    reads = store.db.conn.execute(
        f"SELECT generation, agent, post FROM reads WHERE phase = 'sleep' AND {where} ORDER BY generation, agent, post",
        values,
    )
    read = groupby(reads, key=lambda row: (row[0], row[1]))
    ahead = next(read, None)
    for g, agent, examples, tokens, steps, adapter in trainings:
        while ahead and ahead[0] < (g, agent):
            ahead = next(read, None)
        posts = [row[2] for row in ahead[1]] if ahead and ahead[0] == (g, agent) else []
        content = {"generation": g, "agent": agent, "posts": posts, "examples": examples, "tokens": tokens,
                   "steps": steps, "adapter": adapter}  # fmt: skip
        subject = f"g{g:04d}/{agent}"
        yield Leaf(
            "training", subject, canonical({"kind": "training", "subject": subject, "content": content}), (g, agent)
        )


def _first_read(store: Store, after: int) -> int:
    """The rowid of the last read up to generation `after`; reads are stored in the order of generations."""
    if after < 0:
        return 0
    for rowid, generation in store.db.conn.execute("SELECT rowid, generation FROM reads ORDER BY rowid DESC"):
        if generation <= after:
            return int(rowid)
    return 0


def leaf_of(store: Store, kind: str, subject: str) -> Leaf | None:
    """The leaf computed from the tables as they are now, or None if its subject is missing."""
    if kind == "training":
        generation, _, agent = subject.partition("/")
        number = generation.removeprefix("g")
        return next(_trainings(store, at=(int(number), agent)), None) if number.isdecimal() else None
    return next({"post": _posts, "receipt": _receipts}[kind](store, id=subject), None) if kind in KINDS else None


def canonical(value: Any) -> str:
    """JSON with sorted keys and no white space. Values that JSON cannot hold (from a damaged row) become their
    `repr`."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=repr)


def _plain(cites: Any) -> Any:
    try:
        return json.loads(cites)
    except (TypeError, ValueError):
        return cites


def head_statement(head: Mapping[str, Any]) -> bytes:
    """The 32 bytes that the signature of a head covers."""
    said = {"kind": "head", **{name: head[name] for name in ("generation", "size", "root")}}
    return hashlib.sha256(canonical(said).encode("utf-8", "surrogatepass")).digest()


# -- verifying -----------------------------------------------------------------------------------------------------


def verify(store: Store) -> list[str]:
    """Check the log against the tables, then posts and receipts by themselves. Returns one readable line a problem.

    Reports the first bad leaf, by kind, subject and generation; the first bad head; and entries that are missing from
    the log. Records of a generation that has not ended are not in the log yet, which is not a problem.
    """
    from arena.run.receipts import verify_receipts

    checks: tuple[Callable[[], list[str]], ...] = (
        lambda: verify_log(store),
        Library(store.db).verify,
        lambda: verify_receipts(store),
    )
    problems = []
    for check in checks:
        try:
            problems += check()
        except (*FAILURES, ValueError) as error:
            if not (found := diagnose(store.path)):
                raise
            problems.append(f"{found} ({type(error).__name__}: {error})")
    return problems


def verify_log(store: Store) -> list[str]:
    """The part of `verify` that checks the log."""
    heads = store.query("SELECT * FROM heads ORDER BY generation")
    measured = store.query("SELECT MAX(generation) AS g FROM phases WHERE phase = 'measure'")[0]["g"] or 0
    leaves = store.query("SELECT COUNT(*) AS n FROM leaves")[0]["n"]
    if not heads:
        if not measured and not leaves:
            return []
        return [f"no signed head, though {measured} generations ended: the log was removed"]
    problems, log = [], Frontier()
    bad, kinds = None, {kind: iter(part) for kind, part in _parts(store).items()}
    at, bad_head, before, key = 0, None, heads[0]["generation"] - 1, heads[0]["public_key"]
    rank = (0, 0)
    cursor = store.db.conn.execute("SELECT seq, generation, kind, subject, hash FROM leaves ORDER BY seq")
    while True:
        while at < len(heads) and heads[at]["size"] <= log.size:
            bad_head = bad_head or _bad_head(heads[at], log, before, key)
            before, at = heads[at]["generation"], at + 1
        row = cursor.fetchone()
        if row is None:
            break
        seq, generation, kind, subject, stored = row
        where = f"leaf {seq} ({kind} {_short(kind, subject)}, generation {generation})"
        if not bad:
            bad = _bad_leaf(store, row, log.size + 1, heads[at]["generation"] if at < len(heads) else None, kinds)
            now = (generation, KINDS.index(kind)) if kind in KINDS else rank
            if not bad and now < rank:
                bad = "it is out of order in the log"
            rank = now
            if bad:
                problems.append(f"{where}: {bad}")
        try:
            log.append(bytes.fromhex(stored))
        except (TypeError, ValueError):
            log.append(b"\x00" * 32)  # this leaf is bad, and so is every later root
    if not bad_head and at < len(heads):
        g, size = heads[at]["generation"], heads[at]["size"]
        bad_head = f"head of generation {g}: it covers {size} leaves, and there are {log.size}"
    if bad_head:
        problems.append(bad_head)
    elif before < measured:
        problems.append(f"generation {measured} ended, and the last signed head is of generation {before}")
    return problems + _other_key(store, key) + ([] if bad else _unlogged(store, heads[-1]["generation"], kinds))


def _parts(store: Store) -> dict[str, Iterator[Leaf]]:
    return {"post": _posts(store), "receipt": _receipts(store), "training": _trainings(store)}


def _bad_leaf(
    store: Store, row: tuple, expected: int, sealed: int | None, kinds: Mapping[str, Iterator[Leaf]]
) -> str | None:
    """What is wrong with the `expected`-th row of `leaves`, under the head of generation `sealed`, or None."""
    seq, generation, kind, subject, stored = row
    if seq != expected:
        return f"expected leaf {expected} here; something is missing"
    if kind not in KINDS:
        return f"there is no such kind; expected one of {', '.join(KINDS)}"
    if sealed is None:
        return "no signed head covers it"
    if generation != sealed:
        return f"the head that covers it is of generation {sealed}"
    leaf = next(kinds[kind], None)
    if leaf is None or leaf.subject != subject:
        if leaf_of(store, kind, str(subject)) is None:
            return f"the run no longer holds this {kind}"
        return f"the {kind} in this place is {_short(kind, leaf.subject) if leaf else 'none'}"
    if leaf.hash.hex() != stored:
        return f"what the run says of this {kind} hashes to {leaf.hash.hex()[:12]}, the log has {str(stored)[:12]}"
    return None


def _bad_head(head: Row, log: Frontier, before: int, key: str) -> str | None:
    where = f"head of generation {head['generation']}"
    if head["generation"] != before + 1:
        return f"{where}: the one before is of generation {before}; a head is missing"
    if head["size"] != log.size:
        return f"{where}: it covers {head['size']} leaves, and the head before it covers more"
    if head["root"] != log.root().hex():
        return (
            f"{where}: the first {log.size} leaves have the root {log.root().hex()[:12]}, not {str(head['root'])[:12]}:"
            " leaves were changed since the head before it"
        )
    if head["public_key"] != key:
        return f"{where}: signed with another key than the first"
    if not is_signed(head["public_key"], head_statement(head), head["signature"]):
        return f"{where}: bad signature"
    return None


def _other_key(store: Store, key: str) -> list[str]:
    found = store.query("SELECT COUNT(*) AS n FROM receipts WHERE public_key != ?", [key])[0]["n"]
    return [f"{found} of the receipts are signed with another key than the heads"] if found else []


def _unlogged(store: Store, last: int, kinds: Mapping[str, Iterator[Leaf]]) -> list[str]:
    """Subjects that are missing from the log although nothing was played since its last head."""
    if store.query("SELECT 1 FROM phases WHERE generation > ? LIMIT 1", [last]):
        return []
    problems = []
    for kind in KINDS:
        left = [leaf.subject for leaf in kinds[kind]]
        if left:
            problems.append(
                f"{kind} {_short(kind, left[0])}: not in the log, though its last generation has ended"
                + (f" (and {len(left) - 1} more)" if len(left) > 1 else "")
            )
    return problems


def _short(kind: str, subject: object) -> str:
    return str(subject) if kind == "training" else str(subject)[:12]


def state(store: Store) -> list[str]:
    """The log of a run in sentences: the number of leaves of each kind, and the last head."""
    kinds = store.query("SELECT kind, COUNT(*) AS n FROM leaves GROUP BY kind ORDER BY kind")
    heads = store.query("SELECT * FROM heads ORDER BY generation")
    if not heads:
        return ["Nothing is logged yet: no generation has ended."]
    held = ", ".join(f"{row['n']:,} {row['kind']}{'s' * (row['n'] != 1)}" for row in kinds) or "nothing yet"
    last = heads[-1]
    return [
        f"The log holds {held}: {last['size']:,} leaves under {len(heads)} signed head{'s' * (len(heads) != 1)}.",
        f"Its last head is of generation {last['generation']}, size {last['size']}, root {last['root']},"
        f" key {last['public_key']}.",
    ]


# -- proofs --------------------------------------------------------------------------------------------------------


def prove(store: Store, subject: str) -> dict[str, Any]:
    """The proof that the leaf of a post, a receipt or a training (`g0007/ada`) is in the log of the last head.

    It can be checked without the run, by `arena.run.proof` (`ratchet verify-proof`) or any implementation of RFC 6962.
    Raises ValueError if there is no such leaf, or if the tables of the run no longer agree with it.
    """
    found = store.query("SELECT * FROM leaves WHERE subject = ? ORDER BY seq LIMIT 1", [subject])
    heads = store.query("SELECT * FROM heads ORDER BY generation DESC LIMIT 1")
    if not heads or not found or found[0]["seq"] > heads[0]["size"]:
        raise ValueError(f"{subject} is not in the log: its generation has not ended, or the run keeps no log yet")
    row, head = found[0], heads[0]
    leaf = leaf_of(store, row["kind"], row["subject"])
    if leaf is None or leaf.hash.hex() != row["hash"]:
        raise ValueError(f"the run no longer says of {subject} what the log holds; `library verify` says more")
    path = inclusion_proof(_hashes(store)[: head["size"]], row["seq"] - 1)
    return {
        "what": "inclusion",
        "leaf": leaf.data,
        "index": row["seq"] - 1,
        "path": [step.hex() for step in path],
        "head": head,
    }


def prove_consistency(store: Store, generation: int) -> dict[str, Any]:
    """The proof that the log of the last head begins with that of `generation`. Raises ValueError if it has no head."""
    heads = store.query("SELECT * FROM heads ORDER BY generation")
    first = next((h for h in heads if h["generation"] == generation), None)
    if first is None:
        has = f"generations {heads[0]['generation']} to {heads[-1]['generation']} have" if heads else "none has"
        raise ValueError(f"generation {generation} has no signed head; {has}")
    path = consistency_proof(_hashes(store)[: heads[-1]["size"]], first["size"])
    return {"what": "consistency", "first": first, "path": [step.hex() for step in path], "head": heads[-1]}
