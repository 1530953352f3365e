"""What a host is like, and who else is on it. Changes nothing."""
