"""Training objectives: one module each, with the loss of completion tokens as a function of their log-probabilities."""

from agents.objectives.likelihood import Likelihood
from agents.objectives.objective import Objective, TrainedTokens
from agents.objectives.policy_gradient import PolicyGradient

__all__ = ["Likelihood", "Objective", "PolicyGradient", "TrainedTokens"]
