"""Check a proof that `library RUN proof` wrote, from the proof alone: no run, no database.

Two kinds. An `inclusion` proof shows that a leaf (a post, a receipt or a training, `arena.run.ledger`) is in the log of
a signed head: its hash and the hashes on `path` give the head's root (RFC 6962). A `consistency` proof shows that the
log of `head` begins with that of `first`. Every field is covered: by the head's signature, by the root, or by the id
and signature of the post or receipt itself. Other fields, and other spellings of the same value, are refused.

Not guaranteed: who holds the key, unless `public_key` is known from elsewhere; that the head is the run's, unless its
root is. Anybody can make a log with a key of their own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.identity import is_signed
from agents.json_file import read_text
from arena.run.ledger import canonical, head_statement
from arena.run.receipts import receipt_id
from culture.merkle import leaf_hash, verify_consistency, verify_inclusion
from culture.posts import Post, SignedPost

FIELDS = {"inclusion": ("what", "leaf", "index", "path", "head"), "consistency": ("what", "first", "path", "head")}
HEAD = {"generation": 0, "size": 0, "root": 64, "public_key": 64, "signature": 128}
"""Fields of a head: hex digits of a text, 0 for an integer from 0."""
LARGEST = 10_000_000
"""Bytes of a proof, at most."""


@dataclass(frozen=True)
class Known:
    """What is known of a log from a trusted source: its key, and the root, size or generation of a head of it."""

    key: str = ""
    root: str = ""
    size: int | None = None
    generation: int | None = None


NOTHING = Known()


def known_head(key: str, head: str) -> Known:
    """From `--key` (64 hex digits) and `--head`: a root of 64 hex digits, or the last line of `library RUN verify`.
    Raises ValueError for other texts."""
    if key and not _is_hex(key, 64):
        raise ValueError(f"--key is a public key of 64 lower-case hex digits, got {key[:80]!r}")
    if not head or _is_hex(head, 64):
        return Known(key, head)
    found = {name: re.search(rf"\b{name} ([0-9a-f]+)\b", head) for name in ("generation", "size", "root", "key")}
    said = {name: match[1] for name, match in found.items() if match}
    if not _is_hex(said.get("root", ""), 64) or not _is_hex(said.get("key", "0" * 64), 64):
        raise ValueError(f"--head is a root of 64 lower-case hex digits or a line of `verify`, got {head[:80]!r}")
    if key and said.get("key", key) != key:
        raise ValueError("--key and the key in --head differ")
    numbers = {name: int(said[name]) for name in ("size", "generation") if said.get(name, "").isdecimal()}
    return Known(key or said.get("key", ""), said["root"], **numbers)


def read_proof(path: Path) -> dict[str, Any]:
    """A proof from a file. Raises ValueError, naming the file and the field, unless it has the form of one, and OSError
    for a file that cannot be read."""
    try:
        proof = json.loads(read_text(path, LARGEST), object_pairs_hook=_once, parse_constant=_refuse)
        check_form(proof)
    except RecursionError:
        raise ValueError(f"{path} is no proof: it is nested too deep") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is no proof: it is not JSON: {error}") from None
    except ValueError as error:
        raise ValueError(f"{path} is no proof: {error}") from None
    return dict(proof)


def check_form(proof: Any) -> None:
    """Raise ValueError, naming the field, unless the value has the fields of a proof, each of its type."""
    if not isinstance(proof, Mapping):
        raise ValueError(f"expected an object, found {type(proof).__name__}")
    what = proof.get("what")
    if not isinstance(what, str) or what not in FIELDS:
        raise ValueError(f"what is {_short(what)}, expected inclusion or consistency")
    _check_fields(proof, FIELDS[what], f"a proof of {what}", "")
    steps = proof["path"]
    if not isinstance(steps, list) or not all(_is_hex(step, 64) for step in steps):
        raise ValueError("path is not a list of hashes, each of 64 lower-case hex digits")
    for name in ("first", "head"):
        if name in FIELDS[what]:
            _check_fields(proof[name], tuple(HEAD), "a head", f"{name}.")
            for field, digits in HEAD.items():
                value = proof[name][field]
                if not (_is_hex(value, digits) if digits else _is_number(value)):
                    kind = f"{digits} lower-case hex digits" if digits else "a number from 0"
                    raise ValueError(f"{name}.{field} is {_short(value)}, expected {kind}")
    if what == "inclusion":
        if not _is_number(proof["index"]):
            raise ValueError(f"index is {_short(proof['index'])}, expected a number from 0")
        if not isinstance(proof["leaf"], str):
            raise ValueError(f"leaf is {_short(proof['leaf'])}, expected a text")


def check_proof(proof: Mapping[str, Any], known: Known = NOTHING) -> list[str]:
    """Check a proof. Returns one line a problem, which names the fields; none if it holds.

    Raises ValueError, naming the field, for a value that does not have the form of a proof.
    """
    check_form(proof)
    heads = [name for name in ("first", "head") if name in proof]
    problems = []
    for name in heads:
        head = proof[name]
        if not is_signed(head["public_key"], head_statement(head), head["signature"]):
            covered = ", ".join(f"{name}.{field}" for field in ("generation", "size", "root", "public_key"))
            problems.append(f"{name}.signature: it does not fit {covered}: one of them was changed")
        wanted = known.key or proof["head"]["public_key"]
        if head["public_key"] != wanted:
            source = "the key given" if known.key else "head.public_key"
            problems.append(f"{name}.public_key: signed with another key than {source}, {wanted[:12]}")
    problems += _inclusion(proof) if proof["what"] == "inclusion" else _consistency(proof)
    return problems + _known(proof, heads, known)


def _inclusion(proof: Mapping[str, Any]) -> list[str]:
    head, index, path = proof["head"], proof["index"], [bytes.fromhex(step) for step in proof["path"]]
    if index >= head["size"]:
        return [f"index: the log of head.size {head['size']} has no leaf {index}"]
    if len(path) != (length := _path_length(index, head["size"])):
        return [f"path: it has {len(path)} hashes, and leaf {index} of head.size {head['size']} has {length}"]
    problems = _leaf(proof["leaf"])
    leaf, root = leaf_hash(proof["leaf"].encode("utf-8", "surrogatepass")), bytes.fromhex(head["root"])
    if not verify_inclusion(leaf, index, head["size"], path, root):
        problems.append("leaf, index, path: together they do not give head.root: one of them was changed")
    return problems


def _leaf(text: str) -> list[str]:
    """Problems of a leaf by itself: its form, and the id and signature of a post or receipt."""
    try:
        leaf = json.loads(text)
    except (ValueError, RecursionError):
        return ["leaf: it is not JSON"]
    if not isinstance(leaf, dict) or canonical(leaf) != text:
        return ["leaf: it is not in canonical form"]
    subject, kind = leaf.get("subject"), leaf.get("kind")
    content: Any = leaf.get("content")
    try:
        if kind == "post":
            post = Post(**{**content, "cites": tuple(content["cites"])})
            if post.id != subject:
                return [f"leaf: its content is post {post.id[:12]}, its subject {str(subject)[:12]}"]
            if not SignedPost(post, leaf["public_key"], leaf["signature"]).verify():
                return ["leaf: the signature of the post's author does not fit"]
        elif kind == "receipt":
            if receipt_id(content) != subject:
                return [f"leaf: its content is receipt {receipt_id(content)[:12]}, its subject {str(subject)[:12]}"]
            if not is_signed(leaf["public_key"], bytes.fromhex(subject), leaf["signature"]):
                return ["leaf: the signature of the receipt does not fit"]
        elif kind == "training":
            if subject != f"g{content['generation']:04d}/{content['agent']}":
                return ["leaf: its subject is not the training that its content describes"]
        else:
            return [f"leaf: {_short(kind)} is no kind of leaf"]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return [f"leaf: it is no {kind}: {str(error)[:100]}"]
    return []


def _consistency(proof: Mapping[str, Any]) -> list[str]:
    first, head = proof["first"], proof["head"]
    for name in ("generation", "size"):
        if first[name] > head[name]:
            return [f"first.{name}, head.{name}: the first log is later than the other"]
    path = [bytes.fromhex(step) for step in proof["path"]]
    roots = bytes.fromhex(first["root"]), bytes.fromhex(head["root"])
    if not verify_consistency(first["size"], head["size"], *roots, path):
        return ["path: it does not show that the log of head begins with the log of first"]
    return []


def _known(proof: Mapping[str, Any], heads: list[str], known: Known) -> list[str]:
    """Problems with a head that is known from elsewhere; a consistency proof may show it as the first or the last."""
    if not known.root:
        return []
    found = [name for name in heads if proof[name]["root"] == known.root]
    if not found:
        names = " and ".join(f"{name}.root" for name in heads)
        return [f"{names}: not the root given, {known.root[:12]}"]
    name, problems = found[0], []
    for field, wanted in (("size", known.size), ("generation", known.generation)):
        if wanted is not None and proof[name][field] != wanted:
            problems.append(f"{name}.{field}: it is {proof[name][field]}, and {wanted} of the head given")
    return problems


def describe(proof: Mapping[str, Any]) -> str:
    """What a proof that holds shows, in one sentence."""
    head = proof["head"]
    log = f"the log of generation {head['generation']}, size {head['size']}, root {head['root']}"
    if proof["what"] == "consistency":
        first = proof["first"]
        return f"{log} begins with that of generation {first['generation']}, size {first['size']}, root {first['root']}"
    leaf = json.loads(proof["leaf"])
    content, by = leaf["content"], ""
    if leaf["kind"] == "post":
        by = f", {content['kind'].replace('_', ' ')} {content['title']!r} by {content['author']}"
    return f"{leaf['kind']} {leaf['subject']}{by} is leaf {proof['index'] + 1} of {log}"


def _path_length(index: int, size: int) -> int:
    """Number of hashes in the inclusion proof of leaf `index` of `size`."""
    steps, last = 0, size - 1
    while last:
        if index & 1 or index != last:
            steps += 1
        index, last = index >> 1, last >> 1
    return steps


def _check_fields(value: Any, names: tuple[str, ...], what: str, where: str) -> None:
    if not isinstance(value, Mapping):
        raise ValueError(f"{where.rstrip('.') or 'it'} is {_short(value)}, expected {what}")
    for name in names:
        if name not in value:
            raise ValueError(f"{where}{name} is missing")
    for name in value:
        if name not in names:
            raise ValueError(f"{where}{str(name)[:60]} is no field of {what}, and nothing proves it")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the field {next(n for n in names if names.count(n) > 1)[:60]!r} is given twice")
    return found


def _refuse(text: str) -> None:
    raise ValueError(f"{text} is no number of a proof")


def _is_hex(value: Any, digits: int) -> bool:
    return isinstance(value, str) and re.fullmatch(rf"[0-9a-f]{{{digits}}}", value) is not None


def _is_number(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
