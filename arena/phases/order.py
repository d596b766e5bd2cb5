"""The names of the phases in the order they are played. Light: readers of a run import it without torch."""

LOOP = ("read", "propose", "solve", "grade", "post", "sleep", "turnover", "measure")
"""Played in every generation from 1 on. Generation 0 is `birth` and `baseline`; `final` follows the last generation."""
ORDER = ("birth", "baseline", *LOOP, "final")
