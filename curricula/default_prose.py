"""Prose for domains without `setting` and `asking`: worded from the class's docstring and from examples.

The examples are drawn by the domain itself, always the same ones, and are not held out. Left out: what a good problem
is. Not guaranteed: that the description and two examples suffice for a model; a domain's own words explain more.
"""

from __future__ import annotations

import inspect
import random
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from curricula.domain import Domain, Problem, quoted

DRAWS = 20
"""Maximum problems that are drawn to find different examples."""
EXAMPLES = 2


def missing(kind: type) -> tuple[str, ...]:
    """Which of `setting` and `asking` a domain's class does not have."""
    return tuple(name for name in ("setting", "asking") if not callable(getattr(kind, name, None)))


def description(kind: type) -> str:
    """The first paragraph of the docstring of a domain's class, or of the class that it extends; empty if none has
    one."""
    for base in inspect.getmro(kind):
        text = base.__dict__.get("__doc__") if base.__module__ not in ("builtins", "typing", "curricula.domain") else ""
        if text and text.strip():
            return " ".join(inspect.cleandoc(text).split("\n\n")[0].split())
    return ""


def setting(domain: Domain, parent: str | None) -> str:
    """The request for a problem: the domain's own words, or the default ones."""
    if "setting" not in missing(type(domain)):
        own: str = domain.setting(parent)  # type: ignore[attr-defined]
        return own
    drawn: Any = domain  # domains are objects, and hashable as such
    parts = [description(type(domain))]
    parts += [f"A problem in the form that is asked for:\n{quoted(p.text)}" for p in _examples(drawn)]
    parts.append(f"Write a new problem in just this form. Reasons to reject one: {', '.join(domain.reasons)}.")
    if parent:
        parts.append(f"Vary this one:\n{quoted(parent)}")
    return "\n\n".join(filter(None, parts))


def asking(domain: Domain, problem: Problem) -> str:
    """The request for a solution: the domain's own words, or the default ones."""
    if "asking" not in missing(type(domain)):
        own: str = domain.asking(problem)  # type: ignore[attr-defined]
        return own
    drawn: Any = domain
    parts = [description(type(domain))]
    for p in [p for p in _examples(drawn) if p.text_key != problem.text_key][:1]:
        parts.append(f"An example, and its answer in the form that is asked for:\n{quoted(p.shown)}")
        parts.append(quoted(domain.solution(p)))
    parts.append(f"The problem:\n{quoted(problem.shown)}")
    parts.append("Answer in the same form.")
    return "\n\n".join(filter(None, parts))


@lru_cache(maxsize=64)
def _examples(domain: Any) -> Sequence[Problem]:
    """At most EXAMPLES different problems."""
    rng, found = random.Random(f"ratchet/examples/{domain.name}"), dict[str, Problem]()
    for _ in range(DRAWS):
        problem = domain.random_problem(rng)
        found.setdefault(problem.text_key, problem)
        if len(found) == EXAMPLES:
            break
    return tuple(found.values())
