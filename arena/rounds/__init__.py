"""One round: the life of one problem, the roles that take part in it, and what they earn."""
