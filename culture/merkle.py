"""Merkle trees of RFC 6962 for an append-only log: roots, inclusion proofs and consistency proofs.

A log is a sequence of leaves. Its root is one 32-byte hash of all leaves in their order. About log2(n) hashes prove to
the holder of a root that a leaf is at a given index (inclusion), or that a later log extends the earlier one
(consistency). Hashes are SHA-256; leaves are hashed with the prefix byte 00 and nodes with 01, so that no node can pass
for a leaf. A tree of n leaves splits at the largest power of two below n.

Source: RFC 6962, section 2.1; proofs are verified as in RFC 9162, 2.1.3.2 and 2.1.4.2.

Left out: the content of leaves, the storage of hashes, and signatures (`arena.run.ledger`). Not guaranteed: anything
about a log of which no earlier root was kept; its owner can rewrite it from the first leaf.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

EMPTY = hashlib.sha256(b"").digest()
"""The root of a log without leaves."""


def leaf_hash(data: bytes) -> bytes:
    """SHA-256 of the byte 00 followed by the leaf's bytes."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256 of the byte 01 followed by the hashes of the two child nodes."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """The roots of the full subtrees of a log, the largest first: enough to append leaves and compute the root.

    A log of n leaves has one such root per 1 bit of n; appending costs O(1) amortized and O(log n) at most.
    """

    def __init__(self, hashes: Iterable[bytes] = ()) -> None:
        self.size = 0
        self.roots: list[bytes] = []
        for one in hashes:
            self.append(one)

    def append(self, leaf: bytes) -> None:
        """Add the hash of the next leaf. Raises ValueError if it is not 32 bytes long."""
        if len(leaf) != 32:
            raise ValueError(f"a leaf hash must have 32 bytes, got {len(leaf)}: {leaf[:40]!r}")
        merged, size = leaf, self.size
        while size & 1:
            merged = node_hash(self.roots.pop(), merged)
            size >>= 1
        self.roots.append(merged)
        self.size += 1

    def root(self) -> bytes:
        """The root of all leaves so far, 32 bytes."""
        if not self.roots:
            return EMPTY
        found = self.roots[-1]
        for left in reversed(self.roots[:-1]):
            found = node_hash(left, found)
        return found


def root(hashes: Sequence[bytes]) -> bytes:
    """The root of the log with these leaf hashes, 32 bytes."""
    return Frontier(hashes).root()


def inclusion_proof(hashes: Sequence[bytes], index: int) -> list[bytes]:
    """Inclusion proof of leaf `index` (from 0): the sibling hashes from the leaf up to the root. O(n) time.

    Raises:
        ValueError: if there is no such leaf.
    """
    if not 0 <= index < len(hashes):
        raise ValueError(f"there is no leaf {index} in a log of {len(hashes)}")
    path, low, high = list[bytes](), 0, len(hashes)
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            path.append(root(hashes[middle:high]))
            high = middle
        else:
            path.append(root(hashes[low:middle]))
            low = middle
    return path[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Whether `path` proves that `leaf` (a hash) is leaf `index` (from 0) of the log with `size` leaves and `root`."""
    if not 0 <= index < size:
        return False
    at, last, found = index, size - 1, leaf
    for step in path:
        if last == 0:
            return False
        if at & 1 or at == last:
            found = node_hash(step, found)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            found = node_hash(found, step)
        at, last = at >> 1, last >> 1
    return last == 0 and found == root


def consistency_proof(hashes: Sequence[bytes], size: int) -> list[bytes]:
    """Consistency proof: the hashes that prove that the log extends its first `size` leaves. O(n) time.

    Empty for `size` 0 and for the whole log.

    Raises:
        ValueError: if the log has fewer than `size` leaves.
    """
    if not 0 <= size <= len(hashes):
        raise ValueError(f"size must be at most the {len(hashes)} leaves of the log, got {size}")
    if size in (0, len(hashes)):
        return []
    path, low, high, whole = list[bytes](), 0, len(hashes), True
    while size != high - low:
        split = _split(high - low)
        middle = low + split
        if size <= split:
            path.append(root(hashes[middle:high]))
            high = middle
        else:
            path.append(root(hashes[low:middle]))
            low, size, whole = middle, size - split, False
    if not whole:
        path.append(root(hashes[low:high]))
    return path[::-1]


def verify_consistency(first_size: int, size: int, first: bytes, second: bytes, path: Sequence[bytes]) -> bool:
    """Whether `path` proves that the log with root `second` extends the log with root `first`; sizes in leaves.

    Every log extends the empty one, whose root is `EMPTY`. For equal sizes the roots must be equal and the path empty.
    """
    if not 0 <= first_size <= size:
        return False
    if first_size == 0:
        return not path and first == EMPTY and (size > 0 or second == EMPTY)
    if first_size == size:
        return not path and first == second
    steps = [first, *path] if first_size & (first_size - 1) == 0 else list(path)
    if not steps:
        return False
    at, last = first_size - 1, size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    old = new = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            old, new = node_hash(step, old), node_hash(step, new)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            new = node_hash(new, step)
        at, last = at >> 1, last >> 1
    return last == 0 and old == first and new == second


def _split(size: int) -> int:
    """The largest power of two below `size`, for `size` >= 2."""
    return 1 << (size - 1).bit_length() - 1
