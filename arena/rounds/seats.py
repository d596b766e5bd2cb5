"""A seat is anything that takes a text and gives one, and a round is played by one such callable a seat.

That is also what an agent of TextArena is, so any of them can sit here as it is. Left out: many rounds side by side;
this is for players that answer one at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from arena.rounds.env import RoundEnv

Seat = Callable[[str], str]
"""What is asked, to what is said."""


def play(env: RoundEnv, seats: Mapping[str, Seat], options: Mapping[str, Any] | None = None) -> dict[str, float]:
    """Play one round; what each seat was paid. `options` are those of `env.reset`.

    Who is not asked is not called. Raises ValueError for a seat that nobody took or that the round does not have, and
    for a player that gives something else than a text.
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
