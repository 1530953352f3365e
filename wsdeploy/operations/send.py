"""Run the project's own programs on a host, as an operation's command."""

from __future__ import annotations

from typing import Any

from pyinfra.api.command import StringCommand

from wsdeploy import facts, remote


def change(program: str, request: dict[str, Any], attachment: bytes | None = None) -> StringCommand:
    """Return the command that lets `wshost.PROGRAM` change the host; it will be surveyed anew."""
    facts.forget()
    return StringCommand(
        remote.command(program), _stdin=remote.payload(program, request, attachment)
    )
