"""Checkpoint -> verified model package."""
