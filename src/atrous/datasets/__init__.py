"""Files to data sets: recognised, checked, split, and read sample by sample."""
