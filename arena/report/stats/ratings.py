"""Ratings of agents in each role, with their uncertainty, on a scale that holds over generations.

Every generation is one race per role: the living agents, ranked by their mean reward in it (Plackett-Luce model with
Bayesian updates, Weng & Lin 2011, "A Bayesian Approximation Method for Online Ranking", through openskill). A newborn
starts at the mean with full uncertainty, whatever it inherited.

Left out: comparison across roles; ratings of different roles do not compare. Not guaranteed: that agents who never
lived at the same time compare, except through agents who met both.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from openskill.models import PlackettLuce

from arena.run.store import Store

ROLES = ("setter", "solver", "grader")
_MODEL = PlackettLuce()


@dataclass(frozen=True)
class Rating:
    """Mean and standard deviation of an agent's skill in a role; agents start at 25 with 25 / 3."""

    mu: float
    sigma: float

    @property
    def low(self) -> float:
        """The lower end of about 95 %."""
        return self.mu - 2 * self.sigma

    @property
    def high(self) -> float:
        return self.mu + 2 * self.sigma


class Ratings:
    """Ratings folded generation by generation; the same races in the same order give the same ratings."""

    def __init__(self) -> None:
        self.history: dict[tuple[str, str], list[tuple[int, Rating]]] = defaultdict(list)
        """By (role, agent): (generation, rating after it), oldest first."""

    def race(self, generation: int, role: str, rewards: Mapping[str, float]) -> None:
        """Add one generation's mean rewards in a role, by agent; a race of fewer than two agents is ignored."""
        if len(rewards) < 2:
            return
        names = sorted(rewards)
        before = [self._last(role, name) for name in names]
        teams = [[_MODEL.rating(mu=r.mu, sigma=r.sigma)] for r in before]
        ranks = [float(sum(other > rewards[name] for other in rewards.values())) for name in names]
        for name, (after,) in zip(names, _MODEL.rate(teams, ranks=ranks), strict=True):
            self.history[role, name].append((generation, Rating(after.mu, after.sigma)))

    def at(self, role: str, agent: str, generation: int | None = None) -> Rating | None:
        """The rating after `generation` (default: the latest); None if the agent had no race in that role by then."""
        found = self.history.get((role, agent), [])
        n = len(found) if generation is None else bisect_right(found, generation, key=lambda entry: entry[0])
        return found[n - 1][1] if n else None

    def until(self, role: str, agent: str, generation: int | None = None) -> list[tuple[int, Rating]]:
        """(generation, rating after it), oldest first, up to `generation` (default: all)."""
        return [r for r in self.history.get((role, agent), ()) if generation is None or r[0] <= generation]

    def _last(self, role: str, agent: str) -> Rating:
        fresh = _MODEL.rating()
        return self.at(role, agent) or Rating(fresh.mu, fresh.sigma)


def ratings_of(store: Store) -> Ratings:
    """The ratings of a whole run."""
    races: dict[tuple[int, str], dict[str, float]] = defaultdict(dict)
    for r in store.query("SELECT generation, role, agent, reward FROM rewards ORDER BY generation, role, agent"):
        races[r["generation"], r["role"]][r["agent"]] = r["reward"]
    found = Ratings()
    for (generation, role), rewards in races.items():
        found.race(generation, role, rewards)
    return found
