"""A machine without a secret and without a name, for an image."""

from __future__ import annotations

from pyinfra.api.deploy import deploy
from pyinfra.context import host

from wsdeploy.deploy.operations import seal_machine, take_over_lock


@deploy("Seal")
def seal() -> None:
    """Ready a machine that sets itself up for an image: run on it, and then power it off.

        /opt/ws/run wsdeploy.seal

    Its clients are closed in turn. Packages, configuration and releases stay; processes, secrets,
    the app's own data, logs, keys and names of the machine go.
    """
    settings = host.data.settings
    take_over_lock(name="Lock", settings=settings)
    seal_machine(name="The machine", settings=settings)
