"""A run's library for people who ask it something: search it, open a post, see what builds on what."""
