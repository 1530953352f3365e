"""A machine that its cloud takes away: it learns of that, and its clients are told in time."""
