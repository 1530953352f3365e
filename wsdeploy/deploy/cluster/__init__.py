"""Deployments to clusters: kubectl is what talks to them."""
