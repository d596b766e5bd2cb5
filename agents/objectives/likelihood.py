"""Weighted likelihood: imitation of completions in proportion to their weights (rejection-sampling fine-tuning).

The loss of a token is -w log p, normalised by the sum of the weights. On verified attempts of the agent itself this is
expert iteration (Anthony et al. 2017; ReST-EM, Singh et al. 2023): what came out wrong has no effect.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from agents.objectives.objective import TrainedTokens


@dataclass(frozen=True)
class Likelihood:
    """No options. Weights below 0 count as 0, because -w log p has no lower bound for them."""

    signed: bool = False
    kl: float = 0.0
    entropy: float = 0.0

    def loss(self, tokens: TrainedTokens) -> Tensor:
        return -tokens.logprob * tokens.weight

    def scale(self, weights: np.ndarray) -> tuple[float, float]:
        return 1.0, float(weights.sum())
