"""The app: its release on the host, and the generation of processes that runs it."""

from __future__ import annotations

from collections.abc import Generator

from pyinfra.api.command import StringCommand
from pyinfra.api.exceptions import OperationError
from pyinfra.api.operation import operation
from pyinfra.context import host

from wsdeploy import facts
from wsdeploy.operations.send import change, explain
from wsdeploy.plan import app, places
from wsdeploy.release import build, contents
from wsdeploy.settings import Settings


@operation()
def release(settings: Settings) -> Generator[StringCommand, None, None]:
    """Put the release that the settings describe on the host, beside those that are there."""
    survey = facts.survey(settings)
    wanted = contents.release(settings, survey)
    releases = places.releases(settings.name)
    if f"{releases}/{wanted.id}" in survey.paths:
        host.noop(f"release {wanted.id} is there")
        return
    try:
        archive = build.archive(wanted)
    except build.BuildError as error:
        raise OperationError(f"the release can't be built: {error}") from None
    yield change("install_release", {"releases": releases, "id": wanted.id}, archive)


@operation()
def generation(settings: Settings) -> Generator[StringCommand, None, None]:
    """Let the wanted generation of processes serve, and no other.

    Whatever needs new processes makes a new generation: code, dependencies, environment, number
    of processes, Python. It serves once all its processes answer a handshake; then the old one
    drains. If it does not become healthy, it is removed, and the old one goes on.
    """
    survey = facts.survey(settings)
    wanted = contents.release(settings, survey)
    request = app.generation(settings, survey, wanted.id, wanted.main)
    undone = app.undone(settings, survey, request["generation"])
    if not undone:
        host.noop(f"generation {request['generation']} serves")
        return
    explain(undone)
    yield change("rollout", request)
