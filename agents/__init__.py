"""Agents: identities, the shared base model, LoRA adapters, inference engines and the learner.

Does not import arena, curricula or culture.
"""
