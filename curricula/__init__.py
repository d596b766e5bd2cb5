"""What is played: domains and their verifiers, learnability, difficulty, replay.

Owns the nouns Problem, Attempt and Verdict. Imports neither the agents, nor the culture, nor the arena.
"""
