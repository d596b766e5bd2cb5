"""Keeps held-out problems out of exported training data: checks the whole run before anything is written.

A setter sometimes proposes a held-out problem; the arena rejects it, but its text is in the store. Such text is
withheld wherever rounds, problems and refused posts are exported. If a held-out problem was played or posted, the
export fails.

Left out: the tables `evaluations` and `ratchet`, which record measurements on held-out problems. Not guaranteed: that a
problem is recognised in text that does not parse as a problem, such as a proposal with an extra word.
"""

from __future__ import annotations

from collections.abc import Iterable

from arena.run.store import Store
from curricula.domain import SPLITS, Domain, heldout_depths


class Guard:
    """Recognises the held-out problems of some domains, in all splits."""

    def __init__(self, domains: Iterable[Domain]) -> None:
        self.domains = tuple(domains)
        self.keys = frozenset(
            problem.text_key
            for domain in self.domains
            for split in SPLITS
            for depth in heldout_depths(domain)
            for problem in domain.heldout(split, depth)
        )

    def holds(self, text: str) -> bool:
        """Whether `text` is a held-out problem, by its exact text or by its domain's own test (its program)."""
        for domain in self.domains:
            try:
                problem = domain.problem(text)
            except ValueError:
                continue
            if problem.text_key in self.keys or domain.is_heldout(problem):
                return True
        return False


def check(store: Store, guard: Guard) -> frozenset[str]:
    """Ids of the rounds and refused posts whose text must be withheld.

    Raises:
        ValueError: naming the place, if a held-out problem was played or posted.
    """
    withheld = set()
    read = store.db.conn.execute
    for round_, valid, proposal, text in read("SELECT round, valid, proposal, text FROM problems ORDER BY rowid"):
        if valid and guard.holds(text):
            raise ValueError(_refusal(store, f"round {round_} played", text))
        if not valid and proposal is not None and guard.holds(proposal):  # None: not kept (arena.run.retention)
            withheld.add(round_)
    for id_, title in read("SELECT id, title FROM posts WHERE kind = 'worked_example' ORDER BY seq"):
        if guard.holds(title):
            raise ValueError(_refusal(store, f"post {id_[:12]} shows", title))
    for id_, title in read("SELECT post, title FROM refusals ORDER BY rowid"):
        if guard.holds(title):
            withheld.add(id_)
    return frozenset(withheld)


def _refusal(store: Store, what: str, text: str) -> str:
    return (
        f"{store.path}: {what} the held-out problem {text[:80]!r}, so this run cannot be exported as training data; "
        "another version of the program played it, or its store was changed"
    )
