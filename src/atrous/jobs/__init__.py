"""Slow work, one file per kind: the CLI runs it in the foreground, the worker in a child."""
