"""The reference that collapse is measured against: the same texts and the same amounts in every run.

Texts are drawn from fixed strings as the seed model's school draws its two setting tasks, from nothing and from a
parent. Not guaranteed: that they are typical of another base model than the shipped one; then they still do not change.
"""

from __future__ import annotations

import random
from functools import cache

from curricula.list_school import SeedData

TEXTS = 64
"""Texts of each of the two tasks."""
BELOW = 0.1
"""A text is lost from the tail when less than this share of its first probability is left."""
WORDS = 60
"""Words of an agent's proposals that variety is measured on; with fewer there is none."""


@cache
def reference() -> tuple[tuple[str, str], ...]:
    """(prompt, completion) of every text."""
    school = SeedData()
    drawn = []
    for task in ("set", "vary"):
        rng = random.Random(f"ratchet/collapse/reference/{task}")
        drawn += [school.draw(rng, task) for _ in range(TEXTS)]
    return tuple((e.prompt, e.completion) for e in drawn)
