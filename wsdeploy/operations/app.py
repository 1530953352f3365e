"""The app: its release on the host, and the generation of processes that runs it."""

from __future__ import annotations

from collections.abc import Generator

from pyinfra.api.command import StringCommand
from pyinfra.api.operation import operation
from pyinfra.context import host

from wsdeploy import facts
from wsdeploy.limits import derive
from wsdeploy.operations.flow import failed_elsewhere
from wsdeploy.operations.send import change, explain, failure
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
        yield failure(f"the release can't be built: {error}")
        return
    yield change("install_release", {"releases": releases, "id": wanted.id}, archive)


@operation()
def generation(settings: Settings) -> Generator[StringCommand, None, None]:
    """Let the wanted generation of processes serve, beside the one that did.

    Whatever needs new processes makes a new generation: code, dependencies, environment, number
    of processes, Python. It serves once all its processes answer a handshake. If it does not
    become healthy, it is removed, and the old one goes on; hosts whose turn comes later are left
    alone.
    """
    survey, wanted = facts.survey(settings), _wanted(settings)
    undone = app.undone(settings, survey, wanted)
    if not undone:
        host.noop(f"generation {wanted.identity} serves")
        return
    failed = failed_elsewhere()
    if failed:
        yield failure(f"{failed} is unhealthy; {host.name} was left as it is")
        return
    explain(undone)
    yield change("rollout", app.rollout(settings, survey, wanted))


@operation()
def retire(settings: Settings) -> Generator[StringCommand, None, None]:
    """Let generations that no longer serve drain, and leave nothing of them.

    This comes last: until then the proxies' configuration may still refer to them.
    """
    survey, wanted = facts.survey(settings), _wanted(settings)
    leftovers = app.leftovers(settings, survey, wanted.identity)
    if not leftovers:
        host.noop("no other generation is left")
        return
    explain(leftovers)
    request = {"name": settings.name, "generation": wanted.identity}
    yield change("retire", request | {"stop_wait": derive(settings, survey).stop_wait})


def _wanted(settings: Settings) -> app.Generation:
    """Return the generation that the current host should have."""
    survey = facts.survey(settings)
    wanted = contents.release(settings, survey)
    return app.generation(settings, survey, host.name, wanted.id, wanted.main)
