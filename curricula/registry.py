"""The built-in domains by name. A new one is one file and one line here; a domain outside this repository needs neither
(docs/add_a_domain.md)."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any

from curricula.domain import Domain
from curricula.hidden_words import HiddenWords
from curricula.list_programs import ListPrograms
from curricula.python_programs import PythonPrograms
from curricula.word_problems import WordProblems

DOMAINS: dict[str, Callable[..., Any]] = {
    "list_programs": ListPrograms,
    "hidden_words": HiddenWords,
    "python_programs": PythonPrograms,
    "word_problems": WordProblems,
}


def make_domain(name: str, **options: Any) -> Domain:
    """Build a domain. Raises ValueError for an unknown name or option, naming the domain."""
    if name not in DOMAINS:
        near = difflib.get_close_matches(name, DOMAINS, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(DOMAINS)}"
        raise ValueError(f"unknown domain {name!r}; {hint}")
    return build(name, DOMAINS[name], options)


def build(name: str, make: Callable[..., Any], options: Mapping[str, Any]) -> Domain:
    """Call `make` with the options of a config. Raises ValueError, naming the domain, for an unknown option."""
    try:
        domain: Domain = make(**options)
    except TypeError as error:
        raise ValueError(f"domain {name!r} does not take these options: {error}") from None
    return domain
