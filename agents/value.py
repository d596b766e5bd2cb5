"""Value function: an agent's estimate that an attempt will be right, before its first token and after each step.

Logistic regression on the last hidden state, scaled to unit mean square, and on five numbers: the lengths of prompt and
text, the count of steps, and mean and minimum of the log-probabilities of the text so far. Outcomes of one generation
are few for as many weights, so heads are fitted in two steps (maximum a posteriori; the estimates of a hierarchical
model, Gelman & Hill 2006, ch. 12): one head to the outcomes of all agents, held to the mean of the heads of before, and
then each agent's own, held to it. A head of zeros says 1/2. Left out: heads that change the model's own weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from agents.prompt import Prompt

NUMBERS = 5
OWN = 10.0
"""How much more strongly an agent's own head is held to the population's than that to the one of before."""
ITERATIONS = 100


@dataclass(frozen=True)
class Outcome:
    """An attempt of an agent and whether it was right. `mark` is the text that ends a step; `weight` how many attempts
    it stands for."""

    agent: str
    prompt: Prompt
    completion: str
    mark: str
    right: bool
    weight: float = 1.0


def width(hidden: int) -> int:
    """Weights of a head, for a hidden size."""
    return hidden + NUMBERS + 1


def numbers_of(prompt: int, logprobs: Sequence[float], steps: int) -> list[float]:
    """The numbers of an attempt: tokens of its prompt, log-probabilities of the tokens so far, and steps so far."""
    mean, least = (math.fsum(logprobs) / len(logprobs), min(logprobs)) if logprobs else (0.0, 0.0)
    return [math.log1p(prompt), math.log1p(len(logprobs)), math.log1p(steps), 10 * mean, least]


def features(states: Tensor, numbers: Tensor) -> Tensor:
    """[T, width] of states [T, D] and `numbers_of` [T, NUMBERS]: the states at unit mean square, the numbers, and 1."""
    x = states.float()
    x = x * x.square().mean(-1, keepdim=True).clamp_min(1e-12).rsqrt()
    return torch.cat([x, numbers.to(x), torch.ones_like(x[:, :1])], dim=1)


def estimate(heads: Tensor, x: Tensor) -> Tensor:
    """Probabilities [T] of features x [T, width], given the head [T, width] of each."""
    return (heads * x).sum(-1).sigmoid()


def fit_all(heads: Tensor, x: Tensor, right: Tensor, weight: Tensor, agent: Tensor, prior: float) -> Tensor:
    """New heads [A, width] of all agents, given those of before, and the outcomes `right` [N], with weights [N], of
    features x [N, width] of the agents `agent` [N]."""
    before = heads[heads.any(dim=1)]
    start = before.mean(dim=0) if len(before) else heads.new_zeros(heads.shape[1])
    shared = fit(start, x, right, weight, prior)
    found = shared.expand_as(heads).clone()
    for a in sorted(set(agent.tolist())):
        own = agent == a
        found[a] = fit(shared, x[own], right[own], weight[own], OWN * prior)
    return found


def fit(head: Tensor, x: Tensor, right: Tensor, weight: Tensor, prior: float) -> Tensor:
    """The head [width] fitted to outcomes `right` [N], with weights [N], of features x [N, width].

    Minimises the weighted sum of cross-entropies plus prior/2 times the squared distance from `head`, by L-BFGS in
    float64. The prior of the numbers is ten times weaker, that of the bias a hundred times.
    """
    x, y, start, weight = x.double().cpu(), right.double().cpu(), head.double().cpu(), weight.double().cpu()
    strength = torch.full_like(start, prior)
    strength[-NUMBERS - 1 : -1] /= 10
    strength[-1] /= 100
    found = start.clone().requires_grad_()
    optimiser = torch.optim.LBFGS([found], max_iter=ITERATIONS, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = F.binary_cross_entropy_with_logits(x @ found, y, weight, reduction="sum")
        loss = loss + 0.5 * (strength * (found - start).square()).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    return found.detach().to(head)
