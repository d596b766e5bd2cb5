"""The arena: the only floor that knows agents, curricula and culture; the generation loop, rounds, store and
reports."""
