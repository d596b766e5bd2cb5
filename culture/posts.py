"""One entry of the library: a post, its id, and its signature.

A `Post` is plain data. Its id is the SHA-256 of its canonical JSON, so changing one character makes another post, and a
cite names exactly one text. A `SignedPost` adds the author's public key and Ed25519 signature.

Left out: storage (`culture.library`), private keys (signing takes a callable), and usefulness (`culture.uplift`).

Not guaranteed: that a post is true or that its `generation` and `author` are honest (a signature proves only which key
signed it; the library binds names to keys); that two posts that look alike are the same text.
"""

import difflib
import hashlib
import json
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from culture.kinds import POST_KINDS

MAX_TITLE = 2000
"""Longest title, in characters."""
MAX_BODY = 4000
"""Longest body (and longest `about`), in characters."""

OPTIONAL = ("applies", "supersedes")
"""Fields added later; omitted from the canonical JSON if empty, so that older posts keep their ids."""

_P = 2**255 - 19
_Y = 0x5FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_LOW_ORDER = frozenset((0, 1, _P - 1, _Y, _P - _Y))
"""The y coordinates of the points of edwards25519 whose order divides 8. For such a public key, anyone can make
signatures that are valid for some messages."""

_ID = re.compile(r"[0-9a-f]{64}")
_SIGNATURE = re.compile(r"[0-9a-f]{128}")


def check_kind(kind: str) -> None:
    """Raise ValueError, naming the nearest right kind, unless `kind` is one of POST_KINDS."""
    if type(kind) is not str or kind not in POST_KINDS:
        nearest = difflib.get_close_matches(str(kind), POST_KINDS, n=1, cutoff=0.0)[0]
        raise ValueError(f"unknown kind of post {kind!r}; did you mean {nearest!r}? (of {', '.join(POST_KINDS)})")


def _check_text(field: str, text: object, longest: int, may_be_empty: bool = False) -> None:
    if type(text) is not str:
        raise ValueError(f"{field} of a post must be text, not {text!r}")
    if not may_be_empty and not text.strip():
        raise ValueError(f"{field} of a post must not be empty: {text!r}")
    if len(text) > longest:
        raise ValueError(f"{field} of a post has {len(text)} characters; the most is {longest}")
    for char in text:
        # Cs: a lone surrogate cannot be written as UTF-8, hence neither hashed nor stored.
        if char not in "\n\t" and unicodedata.category(char) in ("Cc", "Cs"):
            raise ValueError(f"{field} of a post holds the control character {char!r}")


@dataclass(frozen=True)
class Post:
    """One entry of the library; every field is part of the id.

    `about`: the subject (key of a problem, or id of the post reviewed or retracted), or empty. `cites`: ids of earlier
    posts, in the author's order. `applies`: the condition under which the post applies. `supersedes`: id of an earlier
    post by the same author that this one replaces. The last two are omitted from the canonical JSON if empty.

    Raises:
        ValueError: for a value that cannot be stored or displayed.
    """

    kind: str
    author: str
    generation: int
    title: str
    body: str
    cites: tuple[str, ...] = ()
    about: str = ""
    applies: str = ""
    supersedes: str = ""

    def __post_init__(self) -> None:
        check_kind(self.kind)
        _check_text("author", self.author, MAX_TITLE)
        _check_text("title", self.title, MAX_TITLE)
        _check_text("body", self.body, MAX_BODY)
        _check_text("about", self.about, MAX_BODY, may_be_empty=True)
        _check_text("applies", self.applies, MAX_TITLE, may_be_empty=True)
        if type(self.supersedes) is not str or (self.supersedes and not _ID.fullmatch(self.supersedes)):
            raise ValueError(
                f"what a post supersedes must be a post's id, 64 lower-case hex digits: {self.supersedes!r}"
            )
        if type(self.generation) is not int or not 0 <= self.generation < 2**63:
            raise ValueError(f"generation of a post must be an integer from 0: {self.generation!r}")
        if type(self.cites) is not tuple:
            raise ValueError(f"cites of a post must be a tuple of ids: {self.cites!r}")
        for cite in self.cites:
            if type(cite) is not str or not _ID.fullmatch(cite):
                raise ValueError(f"a cite must be a post's id, 64 lower-case hex digits: {cite!r}")

    @cached_property
    def id(self) -> str:
        """SHA-256 of `to_json()` in UTF-8, as 64 lower-case hex digits."""
        return hashlib.sha256(self.to_json().encode("utf-8")).hexdigest()

    def to_json(self) -> str:
        """Canonical JSON: all fields but empty optional ones, keys sorted, no white space, not escaped to ASCII."""
        data = {k: v for k, v in asdict(self).items() if v or k not in OPTIONAL}
        return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    @staticmethod
    def from_json(text: str) -> "Post":
        """The post that `to_json` wrote. Raises ValueError for invalid JSON and for unknown or missing fields."""
        try:
            data = json.loads(text)
        except RecursionError:
            raise ValueError("no post is nested so deep") from None
        known = {field.name for field in fields(Post)}
        if not isinstance(data, dict) or not known - set(OPTIONAL) <= set(data) <= known:
            found = sorted(data) if isinstance(data, dict) else data
            raise ValueError(f"a post has exactly the fields {sorted(known)}, not {found!r}")
        if type(data["cites"]) is not list:
            raise ValueError(f"cites of a post must be a list of ids: {data['cites']!r}")
        return Post(**{**data, "cites": tuple(data["cites"])})


@dataclass(frozen=True)
class SignedPost:
    """A post with its author's Ed25519 public key (64 hex digits) and signature (128 hex digits)."""

    post: Post
    public_key: str
    signature: str

    def to_row(self) -> dict[str, Any]:
        """Plain columns, `cites` as JSON: what a table of signed posts holds."""
        row = {"id": self.post.id, **asdict(self.post), "cites": json.dumps(self.post.cites)}
        return row | {"public_key": self.public_key, "signature": self.signature}

    @staticmethod
    def from_row(row: Mapping[str, Any]) -> "SignedPost":
        """The post that `to_row` put away; ValueError if what is there is none."""
        names = [field.name for field in fields(Post) if field.name != "cites"]
        try:
            cites = tuple(json.loads(row["cites"]))
        except (TypeError, RecursionError) as error:
            raise ValueError(f"stored cites are no list: {error}") from None
        return SignedPost(Post(**{n: row[n] for n in names}, cites=cites), row["public_key"], row["signature"])

    def verify(self) -> bool:
        """Whether `signature` is `public_key`'s over the 32 bytes of the post's id. False for bad hex and keys of low
        order."""
        if not isinstance(self.public_key, str) or not isinstance(self.signature, str):
            return False
        if not (_ID.fullmatch(self.public_key) and _SIGNATURE.fullmatch(self.signature)):
            return False
        if is_low_order(bytes.fromhex(self.public_key)):
            return False
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(self.public_key))
        try:
            key.verify(bytes.fromhex(self.signature), bytes.fromhex(self.post.id))
        except InvalidSignature:
            return False
        return True


def is_low_order(public_key: bytes) -> bool:
    """Whether the 32 bytes of a public key encode a point of low order, in any of its encodings."""
    return (int.from_bytes(public_key, "little") & (2**255 - 1)) % _P in _LOW_ORDER


def sign_post(post: Post, public_key: str, sign: Callable[[bytes], bytes]) -> SignedPost:
    """Sign the 32 bytes of `post.id` with `sign`, the holder of the private key of `public_key` (hex)."""
    return SignedPost(post, public_key, sign(bytes.fromhex(post.id)).hex())
