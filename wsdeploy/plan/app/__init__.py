"""What app hosts have: Supervisor, and generations of processes that follow each other."""
