"""A model package -> predictions, without torch."""
