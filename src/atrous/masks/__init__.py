"""Pixels of an answer: label maps as PNG, RLE and polygons, and the figures over them."""
