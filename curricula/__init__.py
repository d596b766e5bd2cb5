"""Domains and their verifiers, the sandbox, learnability, difficulty and replay.

Defines Problem, Attempt and Verdict. Does not import agents, culture or arena.
"""
