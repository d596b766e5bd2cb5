"""Chaos test: runs that are killed at random moments must give the result of an undisturbed run (docs/survival.md)."""
