"""Estimators: intervals, Rasch difficulty and ability, ratings."""
