"""The configuration of a run: its schema, its YAML reader, and checks across keys."""
