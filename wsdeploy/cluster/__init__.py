"""A service in a Kubernetes cluster: its objects, made from the same settings. Pure."""
