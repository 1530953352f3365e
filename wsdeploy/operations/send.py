"""Run the project's own programs on a host, as an operation's command, and say why."""

from __future__ import annotations

from typing import Any

from pyinfra.api.command import StringCommand
from pyinfra.context import host, state

from wsdeploy import facts, remote


def change(program: str, request: dict[str, Any], attachment: bytes | None = None) -> StringCommand:
    """Return the command that lets `wshost.PROGRAM` change the host; it will be surveyed anew."""
    facts.forget()
    return StringCommand(
        remote.command(program), _stdin=remote.payload(program, request, attachment)
    )


def explain(differences: list[str], most: int = 5) -> None:
    """Say what is not as planned, with `-v`: why an operation is about to change something."""
    if state.print_noop_info:
        more = len(differences) - most
        host.log("; ".join(differences[:most]) + (f"; and {more} more" if more > 0 else ""))
