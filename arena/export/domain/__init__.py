"""A domain for other projects: its problems as a Hugging Face dataset, and its verifier as an environment."""
