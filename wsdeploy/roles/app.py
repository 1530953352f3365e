"""App hosts: Supervisor runs the processes of the app's release."""

from __future__ import annotations

from pyinfra.api.deploy import deploy
from pyinfra.context import host

from wsdeploy.operations import configuration, generation, release
from wsdeploy.plan import app as plan


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
    release(name="Release", settings=settings)
    generation(name="Processes", settings=settings)
