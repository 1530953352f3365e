"""Traffic through a deployed service, through what the guides set up, and without a proxy."""
