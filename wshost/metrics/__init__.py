"""What Prometheus reads on a host: the app's numbers and the host's own, on one page."""
