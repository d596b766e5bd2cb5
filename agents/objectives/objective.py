"""What an objective is: the protocol that `agents.learner` trains with.

The learner computes log-probabilities of all agents' completion tokens in one mixed batch and hands them to the
objective; it adds up losses per agent. An objective sees tokens only: it knows neither agents nor problems.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from torch import Tensor


@dataclass(frozen=True)
class TrainedTokens:
    """The completion tokens of a micro-batch, each field float32 [T].

    logprob: log-probability under the weights in training; differentiable.
    sampled: log-probability when the token was sampled; nan for texts that the agent did not sample.
    base: log-probability under the base model; 0 unless the objective's `kl` is above 0.
    weight: weight or advantage.
    entropy: entropy of the distribution that the token was drawn from, in nats; differentiable. None unless the
        objective's `entropy` is above 0.
    """

    logprob: Tensor
    sampled: Tensor
    base: Tensor
    weight: Tensor
    entropy: Tensor | None = None


class Objective(Protocol):
    """The loss of completion tokens, and how losses are normalised over the examples of an agent."""

    @property
    def signed(self) -> bool:
        """Whether weights may be negative. Otherwise examples without positive weight are skipped."""

    @property
    def kl(self) -> float:
        """Coefficient of the divergence from the base model; above 0 the learner computes `TrainedTokens.base`."""

    @property
    def entropy(self) -> float:
        """Coefficient of the entropy; above 0 the learner computes `TrainedTokens.entropy`."""

    def loss(self, tokens: TrainedTokens) -> Tensor:
        """The loss [T] of each token."""

    def scale(self, weights: np.ndarray) -> tuple[float, float]:
        """Of an example with the token weights [n]: the factor on its losses, and its share of the divisor. An agent's
        loss in a step is the sum of its scaled losses over the sum of the shares."""
