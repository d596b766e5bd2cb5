"""The arithmetic of an append-only log: the Merkle tree of RFC 6962, its heads and its proofs.

A log is a sequence of leaves. Its root is one hash of 32 bytes that stands for all of them in their order. Who holds a
root can be shown, with about log2(n) hashes, that a leaf is at a place in the log (inclusion), and that a later log
begins with all that the earlier one held (consistency). Hashes are SHA-256; a leaf is hashed behind the byte 00, a node
behind 01, so that no node can pass for a leaf. A tree of n leaves splits at the largest power of two below n.

Source: RFC 6962, section 2.1; the checks of proofs follow RFC 9162, 2.1.3.2 and 2.1.4.2.

Left out: what a leaf says, where hashes are stored, and signatures (`arena.run.ledger`). Not guaranteed: anything about
a log of which nobody kept an earlier root; its owner can write it anew from the first leaf.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

EMPTY = hashlib.sha256(b"").digest()
"""The root of a log without leaves."""


def leaf_hash(data: bytes) -> bytes:
    """SHA-256 of 00 and the leaf's bytes."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256 of 01 and the two hashes below a node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """The roots of the full subtrees of a log, the largest first: all it takes to append and to give the root.

    A log of n leaves has as many as n has binary ones; appending costs O(1) on average and O(log n) at most.
    """

    def __init__(self, hashes: Iterable[bytes] = ()) -> None:
        self.size = 0
        self.roots: list[bytes] = []
        for one in hashes:
            self.append(one)

    def append(self, leaf: bytes) -> None:
        """Add the hash of the next leaf. Raises ValueError if it is not 32 bytes long."""
        if len(leaf) != 32:
            raise ValueError(f"the hash of a leaf has 32 bytes, not {len(leaf)}: {leaf[:40]!r}")
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
    """The hashes that lead from leaf `index` (from 0) to the root of the log, from the leaf upwards; O(n) time.

    Raises ValueError if there is no such leaf.
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
    """Whether `path` shows that `leaf` (a hash) is leaf `index` (from 0) of the log of `size` leaves and this root."""
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
    """The hashes that show that the log began with its first `size` leaves; O(n) time.

    Empty for `size` 0 and for the whole log. Raises ValueError if the log is shorter.
    """
    if not 0 <= size <= len(hashes):
        raise ValueError(f"a log of {len(hashes)} leaves never had {size}")
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
    """Whether `path` shows that the log of root `second` begins with that of root `first`; sizes in leaves.

    Every log begins with the empty one, whose root is `EMPTY`; an equal size takes equal roots and no path.
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
    """The largest power of two below `size`, which is 2 at least."""
    return 1 << (size - 1).bit_length() - 1
