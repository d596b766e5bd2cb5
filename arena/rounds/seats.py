"""Seats as callables from text to text: one for each seat plays a round.

Agents of TextArena have the same interface and can take a seat unchanged. Left out: rounds in parallel; this is for
players that answer one prompt at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from arena.rounds.env import RoundEnv

Seat = Callable[[str], str]
"""From prompt to reply."""


def play(env: RoundEnv, seats: Mapping[str, Seat], options: Mapping[str, Any] | None = None) -> dict[str, float]:
    """Play one round; the reward of each seat. `options` are those of `env.reset`.

    A seat is called only when it is asked. Raises ValueError for a missing or unknown seat, and for a player that
    returns something other than a string.
    """
    missing = [seat for seat in env.possible_agents if seat not in seats]
    unknown = [seat for seat in seats if seat not in env.possible_agents]
    if missing or unknown:
        wrong = f"nobody took {', '.join(missing)}" if missing else f"there is no seat {', '.join(unknown)}"
        raise ValueError(f"{wrong}; the seats are {', '.join(env.possible_agents)}")
    observations, _ = env.reset(options=options)
    paid = dict.fromkeys(env.possible_agents, 0.0)
    while env.agents:
        asked = {seat: seen["text"] for seat, seen in observations.items() if seen["text"]}
        said = {seat: seats[seat](text) for seat, text in asked.items()}
        observations, rewards, _, _, _ = env.step(said)
        for seat, reward in rewards.items():
            paid[seat] += reward
    return paid
