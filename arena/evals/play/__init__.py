"""Play with the agents of a run outside of it: a person at a terminal, or an agent as a TextArena player."""
