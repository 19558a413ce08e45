"""Frozen version -> checkpoint: the training of a network, resumable after every epoch."""
