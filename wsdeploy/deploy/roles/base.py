"""Every host: packages and their upgrades, users, folders, kernel settings, firewall."""

from __future__ import annotations

from pyinfra.api.deploy import deploy
from pyinfra.context import host

from wsdeploy.deploy.operations import (
    configuration,
    firewall,
    identity,
    neighbours,
    packages,
    removal,
)
from wsdeploy.plan.host import firewall as packet_filter
from wsdeploy.plan.host import system, upgrades


@deploy("Base")
def base() -> None:
    """Prepare a host for its roles."""
    settings = host.data.settings
    neighbours(name="Neighbours", settings=settings)
    packages(name="Packages", settings=settings)
    configuration(name="Package upgrades", settings=settings, plan=upgrades.files)
    configuration(name="Package upgrades restart nothing", settings=settings, plan=upgrades.policy)
    configuration(
        name="User, folders, kernel settings",
        settings=settings,
        plan=system.files,
        undone=system.undone,
    )
    if packet_filter.wanted(settings):
        # Ports that proxies still use stay open; retired() closes them.
        firewall(name="Firewall", settings=settings, final=False)
    else:
        removal(
            name="Firewall",
            settings=settings,
            set_name=packet_filter.set_name(settings),
            unit=packet_filter.unit(settings),
        )
    if settings.internal_tls:
        identity(name="Identity between the tiers", settings=settings)
