"""Policy gradient: REINFORCE (Williams 1992) with advantages and a clipped importance ratio per token.

The ratio r = exp(log p - log p_sampled) corrects that the weights in training are not those that sampled: agents act
with an average, and a sleep has many steps. Tokens that the agent did not sample (worked examples of others, seed data,
references) have r = 1 with the gradient of log p: they are imitated, as by `likelihood`, and have no effect if A < 0.

    clip = "ppo":    -min(r A, clip(r, 1 - low, 1 + high) A)              (Schulman et al. 2017, eq. 7)
    clip = "cispo":  -sg(min(r, 1 + high)) A log p                        (MiniMax 2025, eq. 4-5; sg stops the gradient)

With "ppo", a token with A < 0 has no upper bound in r; `most` bounds r there (dual clip, Ye et al. 2020, eq. 5).
Normalisation over tokens, examples and a constant is that of DAPO (Yu et al. 2025, eq. 8), GRPO (Shao et al. 2024,
eq. 3) and Dr. GRPO (Liu et al. 2025, sec. 3).

On sampled tokens only: divergence from the base model, k3 of Schulman (2020), exp(d) - d - 1 with d = log p_base -
log p; and an entropy bonus that fades to zero as a token drifts from the policy that sampled it, by 1 - k3 / drift.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from agents.objectives.objective import TrainedTokens


@dataclass(frozen=True)
class PolicyGradient:
    """Options of the objective; see the module.

    negative: factor on negative advantages; 0 learns from successes alone.
    floor: lower bound of advantages.
    length: divisor of `normalise="constant"`, in tokens.
    drift: k3 divergence of a token from the policy that sampled it, in nats, at which the entropy bonus ends.
    """

    clip: Literal["ppo", "cispo"] = "cispo"
    low: float = 0.2
    high: float = 0.28
    most: float = 3.0
    normalise: Literal["tokens", "examples", "constant"] = "tokens"
    length: int = 64
    negative: float = 1.0
    floor: float = -2.0
    kl: float = 0.0
    entropy: float = 0.0
    drift: float = 0.1
    signed: bool = True

    def loss(self, tokens: TrainedTokens) -> Tensor:
        logp, advantage = tokens.logprob, self._bounded(tokens.weight)
        known = tokens.sampled.isfinite()
        sampled = torch.where(known, tokens.sampled, logp.detach())
        ratio = (logp - sampled).clamp(-20.0, 20.0).exp()
        if self.clip == "cispo":
            loss = -ratio.detach().clamp_max(1.0 + self.high) * advantage * logp
        else:
            clipped = ratio.clamp(1.0 - self.low, 1.0 + self.high)
            gain = torch.minimum(ratio * advantage, clipped * advantage)
            loss = -torch.where(advantage < 0, torch.maximum(gain, self.most * advantage), gain)
        loss = torch.where(known, loss, -advantage.clamp_min(0.0) * logp)
        if self.kl:
            loss = loss + self.kl * torch.where(known, _k3(tokens.base - logp), 0.0)
        if self.entropy and tokens.entropy is not None:
            left = (1.0 - _k3(sampled - logp.detach()) / self.drift).clamp_min(0.0)
            loss = loss - self.entropy * torch.where(known, left * tokens.entropy, 0.0)
        return loss

    def scale(self, weights: np.ndarray) -> tuple[float, float]:
        if self.normalise == "tokens":
            return 1.0, float(len(weights))
        return 1.0 / (len(weights) if self.normalise == "examples" else self.length), 1.0

    def _bounded(self, advantage: Tensor) -> Tensor:
        return torch.where(advantage < 0, self.negative * advantage.clamp_min(self.floor), advantage)


def _k3(difference: Tensor) -> Tensor:
    """Estimate of a divergence from the log-ratio of one sample, never negative (Schulman 2020)."""
    return difference.clamp(-20.0, 20.0).exp() - difference - 1.0
