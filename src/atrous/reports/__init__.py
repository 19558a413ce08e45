"""Figures and photos of a model as pictures, one page, a model card, a TensorBoard log."""
