"""Run the project's own programs on a host, as an operation's command, and say why."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from functools import wraps
from typing import ParamSpec

from pyinfra.api.command import StringCommand
from pyinfra.api.exceptions import OperationError
from pyinfra.context import host, state

from wsdeploy.deploy import facts, lock, programs, progress, work
from wsdeploy.plan.host import remote
from wsdeploy.plan.host.render import RenderError
from wshost.requests import Serving

P = ParamSpec("P")


def change(
    program: str,
    request: Mapping[str, object],
    attachment: bytes | None = None,
    *,
    serves: Serving | None = None,
) -> StringCommand:
    """Return the command that lets `wshost.PROGRAM` change the host; it will be surveyed anew.

    serves: what does when it has ended well, unless the program tells of it by itself.
    The first change of a run takes the lock of the fleet. If another run has it, the command that
    is returned says so and fails.
    """
    if refused := _refused():
        return refused
    facts.forget()
    claim = lock.claim(host.data.settings)
    mark = progress.listen(host.name)
    sent = programs.payload(program, request, attachment, claim, progress=mark)
    return work.Change(remote.command(program), _stdin=sent, program=program, serves=serves)


def change_without_python(command: str, script: str) -> StringCommand:
    """Return the same for a shell command and its standard input, on a host that may be bare."""
    if refused := _refused():
        return refused
    facts.forget()
    return work.Change(command, _stdin=script)


def _refused() -> StringCommand | None:
    if state.is_executing:
        try:
            lock.take(host.data.settings)
        except lock.RefusedError as refused:
            return failure(str(refused))
    return None


def failure(message: str) -> StringCommand:
    """Return a command that fails with a message, so that only this operation's host fails.

    An exception while operations are executed would be shown with pyinfra's whole traceback.
    Raises OperationError while a run is still being planned, which ends it before it starts.
    """
    if not state.is_executing:
        raise OperationError(message)
    return work.Failure("cat >&2; exit 1", _stdin=[message])


Step = Callable[P, Generator[StringCommand, None, None]]


def without_traceback(step: Step[P]) -> Step[P]:
    """Return an operation's function that fails with a line if a template can't be rendered."""

    @wraps(step)
    def wrapped(*arguments: P.args, **more: P.kwargs) -> Generator[StringCommand, None, None]:
        try:
            yield from step(*arguments, **more)
        except RenderError as error:
            yield failure(str(error))

    return wrapped


def log_reasons(differences: list[str], most: int = 5) -> None:
    """Say what is not as planned, with `-v`: why an operation is about to change something."""
    if state.print_noop_info:
        more = len(differences) - most
        host.log("; ".join(differences[:most]) + (f"; and {more} more" if more > 0 else ""))
