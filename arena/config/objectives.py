"""The variants of `sleep.objective`, each with its own options (`agents.objectives`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from arena.config.section import Section

if TYPE_CHECKING:  # which imports torch
    from agents.objectives import Objective


class LikelihoodSection(Section):
    """Imitation of what came out right, in proportion to its weight."""

    kind: Literal["likelihood"] = "likelihood"
    """`likelihood`: imitate right attempts, and proposals in proportion to their reward. `policy_gradient`: reinforce
    attempts, proposals and grades that earned more than others, and weaken those that earned less."""

    def make(self) -> Objective:
        from agents.objectives import Likelihood

        return Likelihood()


class PolicyGradientSection(Section):
    """Reinforcement of what earned more than the baseline, at the cost of what earned less."""

    kind: Literal["policy_gradient"] = "policy_gradient"
    """See `likelihood`."""
    clip: Literal["cispo", "ppo"] = "cispo"
    """How the importance ratio of a token is clipped. `cispo`: every token keeps its gradient, with a bounded weight.
    `ppo`: tokens beyond the bounds lose it."""
    low: float = Field(0.2, ge=0, lt=1)
    """Lower bound of the ratio, as distance from 1 (`ppo`)."""
    high: float = Field(0.28, ge=0)
    """Upper bound of the ratio, as distance from 1."""
    most: float = Field(3.0, ge=1)
    """Bound of the ratio of tokens with a negative advantage (`ppo`)."""
    normalise: Literal["tokens", "examples", "constant"] = "tokens"
    """What an agent's loss is divided by. `tokens`: its number of tokens. `examples`: the mean over the tokens of each
    example, then over examples (GRPO); long failures weigh less. `constant`: `length` per example (Dr. GRPO)."""
    length: int = Field(64, ge=1)
    """Tokens per example of `normalise: constant`."""
    baseline: Literal["group", "value", "half"] = "group"
    """What the reward of an attempt, or of a step with `sleep.credit: step`, is compared with. `group`: the mean of all
    attempts at the problem. `value`: the agent's own estimate before its first token (`sleep.value`), where it has one;
    steps are compared with the group. `half`: 1/2, so that attempts count where all came out alike, too."""
    deviation: bool = False
    """Divide advantages by the standard deviation of the rewards that they are compared with (GRPO)."""
    negative: float = Field(1.0, ge=0)
    """Factor on negative advantages. 0: learn from successes alone."""
    floor: float = Field(-2.0, lt=0)
    """Lower bound of advantages; equal attempts at a problem are one example with the advantage of all."""
    kl: float = Field(0.0, ge=0)
    """Coefficient of the divergence from the base model. Above 0, the base model reads every example once more."""
    entropy: float = Field(0.0, ge=0)
    """Coefficient of an entropy bonus on sampled tokens."""
    drift: float = Field(0.1, gt=0)
    """Divergence of a token from the policy that sampled it, in nats, at which its entropy bonus ends."""

    def make(self) -> Objective:
        from agents.objectives import PolicyGradient

        return PolicyGradient(**self.model_dump(exclude={"kind", "deviation", "baseline"}))


ObjectiveSection = LikelihoodSection | PolicyGradientSection
