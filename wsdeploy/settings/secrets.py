"""Where secret values come from. The sections hold the place, never the value."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from wsdeploy.settings.section import Problem, Section, refused


class FromEnv(Section):
    """A secret in an environment variable of the machine that deploys."""

    name: str
    """Name of the variable."""

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong with these values."""
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", self.name):
            yield refused("name", self.name, "a variable's name is letters, digits and _")


class FromFile(Section):
    """A secret in a file on the machine that deploys; white space at its end is dropped."""

    path: str
    """Path of the file, relative to the folder that pyinfra is started in; ~ is your home."""

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong with these values."""
        if not self.path or "\0" in self.path:
            yield refused("path", self.path, "give the path of a file")


class FromCommand(Section):
    """A secret that a command on the machine that deploys prints, such as a password manager's.

    White space at the end of its output is dropped. It has 120 seconds.
    """

    command: Sequence[str]
    """The command and its arguments; it is not given a shell."""

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong with these values."""
        if not self.command or not self.command[0]:
            yield Problem("command", "it is empty; give a command and its arguments")
