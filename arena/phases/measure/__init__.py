"""The measure phase: held-out problems, diversity, newborns, and the ratchet."""
