"""A self-hosted platform for semantic segmentation: labelled pictures, training, serving."""

__version__ = "0.1.0"
