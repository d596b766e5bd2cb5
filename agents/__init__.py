"""Who plays: identities, the shared base model, adapters, engines (text in, text out) and the learner.

Imports nothing of `arena`, `curricula` or `culture`.
"""
