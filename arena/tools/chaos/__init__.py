"""Runs that are killed at random moments, and whether they come out as the undisturbed one (docs/survival.md)."""
