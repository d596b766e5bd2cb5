"""Several runs beside each other: arms by config difference, seeds pooled, effects with their intervals."""
