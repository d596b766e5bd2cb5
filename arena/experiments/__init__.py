"""Experiments: arms by seeds at equal compute."""
