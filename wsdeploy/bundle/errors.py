"""Why there is no bundle."""

from __future__ import annotations


class BundleError(Exception):
    """A bundle can't be made; the message has a line for each reason."""
