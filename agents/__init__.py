"""Agents: identities, the shared base model, LoRA adapters, inference engines and the learner.

Does not import arena, curricula or culture.
"""

from agents.memory import bound_kernel_caches

bound_kernel_caches()  # before torch computes anything
