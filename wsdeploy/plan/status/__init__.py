"""What goes on in a fleet, from what its hosts answer: problems, screen, exit code. Pure."""
