"""What this project costs and gains, as ratios of things measured alternately in one run."""
