"""Every host: packages, users, folders, kernel settings."""

from __future__ import annotations

from pyinfra.api.deploy import deploy
from pyinfra.context import host

from wsdeploy.operations import configuration, identity, packages
from wsdeploy.plan import system


@deploy("Base")
def base() -> None:
    """Prepare a host for its roles."""
    settings = host.data.settings
    packages(name="Packages", settings=settings)
    configuration(
        name="User, folders, kernel settings",
        settings=settings,
        plan=system.files,
        undone=system.undone,
    )
    if settings.internal_tls:
        identity(name="Identity between the tiers", settings=settings)
