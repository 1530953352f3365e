"""Where secret values come from. The sections hold the place, never the value."""

from __future__ import annotations

from wsdeploy.settings.section import Section


class FromEnv(Section):
    """A secret in an environment variable of the machine that deploys."""

    name: str
    """Name of the variable."""


class FromFile(Section):
    """A secret in a file on the machine that deploys; white space at its end is dropped."""

    path: str
    """Path of the file."""


class FromCommand(Section):
    """A secret that a command on the machine that deploys prints, such as a password manager's."""

    command: tuple[str, ...]
    """The command and its arguments; it is not given a shell."""
