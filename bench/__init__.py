"""The service next to the guides' set-ups and next to Caddy, as ratios taken in one run."""
