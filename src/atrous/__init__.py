"""A self-hosted platform for semantic segmentation: label, train, serve."""

__version__ = "0.1.0"
