"""App hosts: Supervisor runs the processes of the app's release."""

from __future__ import annotations

from pyinfra.api.deploy import deploy
from pyinfra.context import host

from wsdeploy.deploy.operations import (
    firewall,
    generation,
    release,
    release_command,
    retire,
    rollout_order,
)
from wsdeploy.deploy.roles.component import set_up, take_away, wanted
from wsdeploy.plan.components import FIREWALL, INTERNAL_TLS, LEAVING, SUPERVISOR, WATCHDOG


@deploy("App")
def app() -> None:
    """Let a host serve the app on its own sockets."""
    settings = host.data.settings
    set_up(SUPERVISOR)
    set_up(WATCHDOG)
    set_up(LEAVING)
    if wanted(INTERNAL_TLS):
        set_up(INTERNAL_TLS)
    release(name="Release", settings=settings)
    if settings.app.before_release:
        release_command(name="Before the release", settings=settings, kind="before_release")
    # As long as nobody is served, there is nobody whom a bad release could disconnect.
    generation(name="First processes", settings=settings, together=True)
    # The first host alone, then the others: a release that is unhealthy on one goes no further.
    for _ in rollout_order(settings):
        generation(name="Processes", settings=settings)


@deploy("App")
def retire_old_generations() -> None:
    """Let what the app host's processes have replaced drain and go."""
    settings = host.data.settings
    retire(name="Old processes", settings=settings)
    if wanted(FIREWALL):
        # Old processes may have had other ports until now.
        firewall(name="Old ports", settings=settings, final=True)
    if not wanted(INTERNAL_TLS):
        # Old processes may have had their clients through it until now.
        take_away(INTERNAL_TLS)


@deploy("App")
def after_release() -> None:
    """Let the command run that the release brings for when it serves."""
    settings = host.data.settings
    release_command(name="After the release", settings=settings, kind="after_release")
