"""How often a problem repeats others, by template: the text with names and numbers taken out.

Two problems are similar if they have the same behaviour key, or if the word trigrams of their templates have a Jaccard
index of at least `SIMILAR`. Pay that falls with the number of similar problems is that of count-based exploration
(Bellemare et al. 2016, with an exponent of its own), and R-Zero's repetition penalty (Huang et al. 2025) over more than
one batch.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from curricula.domain import Problem

SIMILAR = 0.4
_WORD = re.compile(r"[^\W\d_]+|\d+(?:[.,]\d+)*|[^\w\s]")


@dataclass(frozen=True)
class Template:
    """What a problem is compared by."""

    behaviour_key: str
    trigrams: frozenset[tuple[str, ...]]

    def is_similar(self, other: Template) -> bool:
        if self.behaviour_key == other.behaviour_key:
            return True
        both = len(self.trigrams & other.trigrams)
        return both >= SIMILAR * (len(self.trigrams) + len(other.trigrams) - both) > 0


def template(text: str, behaviour_key: str) -> Template:
    """The template of a problem: its words in lower case, with `0` for numbers and `x` for capitalised words."""
    words = ["0" if w[0].isdigit() else "x" if w[0].isupper() else w for w in _WORD.findall(text)]
    padded = ["", *words, ""]
    return Template(behaviour_key, frozenset(zip(padded, padded[1:], padded[2:], strict=False)))


def of_problem(problem: Problem) -> Template:
    return template(problem.shown, problem.behaviour_key)


def repeats(problems: Sequence[Template], earlier: Sequence[Template]) -> list[int]:
    """For each of `problems`, the number of similar ones among the others and in `earlier`."""
    return [
        sum(a.is_similar(b) for j, b in enumerate(problems) if j != i) + sum(a.is_similar(b) for b in earlier)
        for i, a in enumerate(problems)
    ]


def factor(count: int, exponent: float) -> float:
    """The factor on the pay of a problem with `count` similar ones."""
    return float((1 + count) ** -exponent)
