"""Every host: packages and their upgrades, users, folders, kernel settings, firewall."""

from __future__ import annotations

from pyinfra.api.deploy import deploy
from pyinfra.context import host

from wsdeploy.deploy.operations import (
    firewall,
    make_host_keypairs,
    neighbours,
    packages,
    take_over_lock,
)
from wsdeploy.deploy.roles.component import set_up, take_away, wanted
from wsdeploy.plan.components import FIREWALL, METRICS, SYSTEM, UPGRADES, UPGRADES_POLICY


@deploy("Base")
def base() -> None:
    """Prepare a host for its roles."""
    settings = host.data.settings
    take_over_lock(name="Lock", settings=settings)
    neighbours(name="No conflicts", settings=settings)
    packages(name="Packages", settings=settings)
    set_up(UPGRADES)
    set_up(UPGRADES_POLICY)
    set_up(SYSTEM)
    if wanted(FIREWALL):
        # Ports that proxies still use stay open; retire_old_generations() closes them.
        firewall(name=FIREWALL.title, settings=settings, final=False)
    else:
        take_away(FIREWALL)
    set_up(METRICS)
    if settings.internal_tls:
        make_host_keypairs(name="Key pairs between the tiers", settings=settings)
