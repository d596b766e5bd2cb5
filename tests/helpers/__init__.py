"""Helpers that several tests share: small runs, scripted servers, hostile inputs."""
