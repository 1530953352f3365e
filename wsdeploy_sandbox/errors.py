"""The one exception that sandbox commands turn into a line for the user."""


class SandboxError(Exception):
    """What went wrong, as text that can be shown as it is; the command exits with status 1."""
