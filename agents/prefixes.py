"""Shared prefixes: groups of token sequences that begin with the same tokens, which are then computed once.

One level deep: a sequence has at most one prefix. Only compared within the sequences of one agent, because the keys and
values of a prefix depend on the adapter.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

LEAST = 32
"""Length in tokens from which a prefix is shared: shorter ones cost more in attention than they save."""


def common(a: Sequence[object], b: Sequence[object]) -> int:
    """The number of equal tokens at the beginning."""
    for i, (x, y) in enumerate(zip(a, b, strict=False)):
        if x != y:
            return i
    return min(len(a), len(b))


def shared_prefixes(sequences: Sequence[Sequence[int]], least: int = LEAST) -> list[tuple[int, list[int]]]:
    """Group sequences so that as few tokens as possible have to be computed.

    A prefix is shorter than each of its sequences, so that every sequence keeps at least one token of its own. Dynamic
    programming over the sequences in lexicographic order, in which those with a common prefix are neighbours.

    Returns:
        Groups (length of the prefix, indices of the sequences), covering each sequence once; length 0 for a sequence by
        itself.
    """
    order = sorted(range(len(sequences)), key=lambda i: tuple(sequences[i]))
    alike = [common(sequences[a], sequences[b]) for a, b in pairwise(order)]
    most = [len(sequences[i]) - 1 for i in order]
    saved, cut, prefix = [0], [0], [0]  # of the first n sequences; start of the last group; its prefix
    for end in range(1, len(order) + 1):
        saved.append(saved[-1])
        cut.append(end - 1)
        prefix.append(0)
        length = most[end - 1]
        for start in range(end - 2, -1, -1):
            length = min(length, alike[start], most[start])
            if length < least:
                break
            gain = saved[start] + length * (end - start - 1)
            if gain > saved[end]:
                saved[end], cut[end], prefix[end] = gain, start, length
    groups: list[tuple[int, list[int]]] = []
    end = len(order)
    while end:
        groups.append((prefix[end], order[cut[end] : end]))
        end = cut[end]
    return groups[::-1]


class Family:
    """Sequences that are computed together: `parents[i]` is the index of the prefix of sequence i, -1 for none.

    `sequences` are packed in this order, each prefix before its sequences; `at[k]` is the place of input k.
    """

    def __init__(self, inputs: Sequence[Sequence[int]], prompts: Sequence[Sequence[int]], share: bool) -> None:
        """`prompts[k]` is the part of input k whose tokens, except for the last, may be shared."""
        self.sequences: list[Sequence[int]] = []
        self.parents: list[int] = []
        self.at = [0] * len(inputs)
        alone = [(0, [k]) for k in range(len(inputs))]
        for length, members in shared_prefixes(prompts) if share else alone:
            parent = -1
            if length:
                parent = len(self.sequences)
                self.sequences.append(inputs[members[0]][:length])
                self.parents.append(-1)
            for k in members:
                self.at[k] = len(self.sequences)
                self.sequences.append(inputs[k][length:])
                self.parents.append(parent)

    @property
    def tokens(self) -> int:
        return sum(map(len, self.sequences))
