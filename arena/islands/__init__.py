"""The same loop on several islands, in one process or on Ray."""
