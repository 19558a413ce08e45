"""The routes that inference clients speak, and those that operate the server."""
