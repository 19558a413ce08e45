"""Segment Anything 2: embed a photo once, prompt it many times. No torch here."""
