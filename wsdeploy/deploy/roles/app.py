"""App hosts: Supervisor runs the processes of the app's release."""

from __future__ import annotations

from pyinfra.api.deploy import deploy
from pyinfra.context import host

from wsdeploy.deploy import facts
from wsdeploy.deploy.operations import (
    configuration,
    firewall,
    generation,
    release,
    removal,
    retire,
    turn,
)
from wsdeploy.plan import app as plan
from wsdeploy.plan import watchdog
from wsdeploy.plan.host import firewall as packet_filter
from wsdeploy.plan.host.files import FileSet
from wsdeploy.plan.host.survey import Survey
from wsdeploy.plan.proxy import internal
from wsdeploy.settings import Settings


@deploy("App")
def app() -> None:
    """Let a host serve the app on its own sockets."""
    settings = host.data.settings
    configuration(
        name="Supervisor",
        settings=settings,
        plan=plan.supervisor_files,
        undone=plan.supervisor_undone,
    )
    if watchdog.wanted(settings):
        configuration(
            name="Watchdog", settings=settings, plan=watchdog.files, undone=watchdog.undone
        )
    else:
        removal(
            name="Watchdog",
            settings=settings,
            set_name=watchdog.set_name(settings),
            unit=watchdog.unit(settings),
        )
    if internal.wanted(settings, host.name):
        configuration(
            name="TLS from the proxies", settings=settings, plan=_internal, undone=_internal_undone
        )
    release(name="Release", settings=settings)
    # The first host alone, then the others: a release that is unhealthy on one goes no further.
    for _ in turn(settings):
        generation(name="Processes", settings=settings)


@deploy("App")
def retired() -> None:
    """Let what the app host's processes have replaced drain and go."""
    settings = host.data.settings
    retire(name="Old processes", settings=settings)
    if packet_filter.wanted(settings):
        # Old processes may have had other ports until now.
        firewall(name="Old ports", settings=settings, final=True)
    if not internal.wanted(settings, host.name):
        # Old processes may have had their clients through it until now.
        removal(
            name="TLS from the proxies",
            settings=settings,
            set_name=internal.set_name(settings),
            unit=internal.unit(settings),
        )


def _internal(settings: Settings, survey: Survey) -> FileSet:
    return internal.files(settings, survey, host.name, facts.identities(settings))


def _internal_undone(settings: Settings, survey: Survey) -> list[str]:
    return internal.undone(settings, survey, host.name)
