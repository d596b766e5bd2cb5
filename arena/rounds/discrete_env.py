"""The round for numeric learners: each seat picks one of a few texts and observes texts as hashed word counts.

`choose_among` wraps a `RoundEnv` as PettingZoo wraps environments: actions are Discrete(n), an observation is a Box of
(n + 1) x features numbers, first the prompt, then each candidate. A seat that is not asked sees zeros, and its action
is ignored. Words are hashed as in feature hashing (Weinberger et al. 2009): each word, and each pair of neighbours,
adds +1 or -1 to one feature, both by its SHA-256; then the vector is scaled to length 1.

By default (`multiple_choice`) a setter picks among problems drawn at random, and a solver or grader among the reference
solution and those of other problems, in random order. `candidates` may be any function that returns texts, so a policy
of your own can pick among texts that a language model wrote.

Left out: generating texts. Not guaranteed: that hashed counts suffice to tell right from wrong.
"""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray
from pettingzoo.utils.wrappers import BaseParallelWrapper

from arena.rounds.env import RoundEnv
from arena.rounds.round import SETTER

Numbers = NDArray[np.float32]
Candidates = Callable[[RoundEnv, str, random.Random], Sequence[str]]
"""From (environment, seat that is asked, generator of the episode) to the texts it may pick."""
TEXTS, FEATURES = 4, 64


def choose_among(
    env: RoundEnv, texts: int = TEXTS, features: int = FEATURES, candidates: Candidates | None = None
) -> ChoiceEnv:
    """The environment in which each seat picks one of `texts` candidates. Raises ValueError for numbers out of range.

    `candidates` returns at most `texts` texts; missing ones are empty texts, which lose.
    """
    if texts < 2 or features < 1:
        raise ValueError(f"a choice needs 2 texts and a feature or more, got texts={texts}, features={features}")
    return ChoiceEnv(env, texts, features, candidates or (lambda e, seat, rng: multiple_choice(e, seat, rng, texts)))


def multiple_choice(env: RoundEnv, seat: str, rng: random.Random, n: int) -> list[str]:
    """Problems for a setter; for the others the reference solution among those of other problems, shuffled."""
    domain, problem = env.domain, env.round.problem
    if seat == SETTER or problem is None:
        return [domain.random_problem(rng).text for _ in range(n)]
    others = [domain.solution(domain.random_problem(rng)) for _ in range(n - 1)]
    found = [domain.solution(problem), *others]
    rng.shuffle(found)
    return found


def hashed(text: str, features: int) -> Numbers:
    """A text as `features` numbers: signed counts of its words and neighbours, scaled to length 1 (or all zero)."""
    words = text.split()
    counts = np.zeros(features, dtype=np.float32)
    for token in (*words, *(f"{a} {b}" for a, b in itertools.pairwise(words))):
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        counts[int.from_bytes(digest[:8], "little") % features] += 1.0 if digest[8] % 2 else -1.0
    length = float(np.linalg.norm(counts))
    return counts / np.float32(length) if length else counts


class ChoiceEnv(BaseParallelWrapper):  # type: ignore[misc]  # pettingzoo ships no types
    """The environment of `choose_among`. `offered`: candidate texts of each seat that is asked.

    With a seed, `reset` draws the same candidates; without one, further ones of the same stream.
    """

    def __init__(self, env: RoundEnv, texts: int, features: int, candidates: Candidates) -> None:
        super().__init__(env)
        self.texts, self.features, self._candidates = texts, features, candidates
        size = ((texts + 1) * features,)
        self.observation_spaces = {a: Box(-1.0, 1.0, size, np.float32) for a in env.possible_agents}
        self.action_spaces = {a: Discrete(texts) for a in env.possible_agents}
        self.offered: dict[str, tuple[str, ...]] = {}
        self._rng = random.Random("choices")

    def observation_space(self, agent: str) -> Box:
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> Discrete:
        return self.action_spaces[agent]

    def reset(self, seed: int | None = None, options: Mapping[str, Any] | None = None) -> Any:
        """As `RoundEnv.reset`. Draws a parent if none is given."""
        if seed is not None:
            self._rng = random.Random(f"choices/{seed}")
        drawn = self.env.domain.random_problem(self._rng).text
        parent = (options or {}).get("parent", self.env.parent) or drawn
        seen, infos = self.env.reset(seed=seed, options={**(options or {}), "parent": parent})
        return self._numbers(seen), infos

    def step(self, actions: Mapping[str, Any]) -> Any:
        """Play the picks of all seats. Raises ValueError for a missing or invalid pick."""
        said = {}
        for seat, texts in self.offered.items():
            pick = actions.get(seat)
            if pick is None or not 0 <= int(pick) < self.texts:
                raise ValueError(f"{seat} picks one of 0 to {self.texts - 1}, and gave {pick!r}")
            said[seat] = texts[int(pick)]
        seen, paid, terminated, truncated, infos = self.env.step(said)
        return self._numbers(seen), paid, terminated, truncated, infos

    def _numbers(self, seen: Mapping[str, Mapping[str, str]]) -> dict[str, Numbers]:
        self.offered, found = {}, {}
        for seat, observation in seen.items():
            text = observation["text"]
            if not text:
                found[seat] = np.zeros((self.texts + 1) * self.features, dtype=np.float32)
                continue
            offered = [*self._candidates(self.env, seat, self._rng), *[""] * self.texts][: self.texts]
            self.offered[seat] = tuple(offered)
            found[seat] = np.concatenate([hashed(t, self.features) for t in (text, *offered)])
        return found
