"""The model package: the one file format that training hands to serving."""
