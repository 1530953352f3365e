"""What a host is like and what it is given: files, limits, users, kernel, packet filter."""
