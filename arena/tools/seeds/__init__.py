"""Training of the seed models, and their cards."""
