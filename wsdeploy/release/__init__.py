"""Releases: the app and its dependencies, built once here and the same bits on every host."""
