"""Changes of training pictures by chance: each family of steps in a file of its own."""
