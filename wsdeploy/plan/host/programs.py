"""Programs of wshost that stay on a host: those that run there by themselves."""

from __future__ import annotations

from wsdeploy.plan.host import remote
from wsdeploy.plan.host.files import Command, File


def tried(folder: str, *arguments: str) -> tuple[Command, ...]:
    """Return the command by which the host's Python tries a staged program, from its folder."""
    return (
        (
            "env", f"--chdir={{stage}}{folder}", "PYTHONDONTWRITEBYTECODE=1",
            "/usr/bin/python3", *arguments,
        ),
    )  # fmt: skip


def files(program: str, folder: str) -> tuple[File, ...]:
    """Return a program with all that it imports of wshost, in a folder to be run from."""
    return tuple(File(f"{folder}/{path}", remote.source(path)) for path in remote.closure(program))
