"""The round under the name that PettingZoo's conventions give it, with its version: `from arena import
ratchet_round_v0`, then `ratchet_round_v0.env()`, `.parallel_env()` or `.raw_env()`. The version grows when a round with
equal actions would go otherwise.

`rllib_env` is the same for whoever learns on numbers: seats pick among texts (`arena.rounds.discrete_env`). RLlib is
not imported: its own wrapper takes what this gives (docs/open_seats.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from arena.rounds.discrete_env import ChoiceEnv, choose_among
from arena.rounds.env import RoundEnv as raw_env
from arena.rounds.env import env, parallel_env, round_of

NAME = "ratchet_round_v0"

__all__ = ["NAME", "env", "parallel_env", "raw_env", "rllib_env", "round_of"]


def rllib_env(config: Mapping[str, Any] | None = None) -> ChoiceEnv:
    """A parallel environment of numbers: `config` has the arguments of `RoundEnv`, and `texts` and `features` of
    `choose_among`. Raises ValueError for arguments out of range, and TypeError for others."""
    given = dict(config or {})
    numbers = {key: given.pop(key) for key in ("texts", "features") if key in given}
    return choose_among(parallel_env(**given), **numbers)
