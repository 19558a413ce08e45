"""Files that survive a crash whole."""
