"""What things are: frozen dataclasses and errors. Standard library and NumPy only, no I/O."""
