"""Run the project's own programs on a host, as an operation's command, and say why."""

from __future__ import annotations

from typing import Any

from pyinfra.api.command import StringCommand
from pyinfra.api.exceptions import OperationError
from pyinfra.context import host, state

from wsdeploy import facts, remote


def change(program: str, request: dict[str, Any], attachment: bytes | None = None) -> StringCommand:
    """Return the command that lets `wshost.PROGRAM` change the host; it will be surveyed anew."""
    facts.forget()
    return StringCommand(
        remote.command(program), _stdin=remote.payload(program, request, attachment)
    )


def failure(message: str) -> StringCommand:
    """Return a command that fails with a message, so that only this operation's host fails.

    An exception while operations are executed would be shown with pyinfra's whole traceback.
    Raises OperationError while a run is still being planned, which ends it before it starts.
    """
    if not state.is_executing:
        raise OperationError(message)
    return StringCommand("cat >&2; exit 1", _stdin=[message])


def explain(differences: list[str], most: int = 5) -> None:
    """Say what is not as planned, with `-v`: why an operation is about to change something."""
    if state.print_noop_info:
        more = len(differences) - most
        host.log("; ".join(differences[:most]) + (f"; and {more} more" if more > 0 else ""))
