"""A service that greets whoever sends a name."""
