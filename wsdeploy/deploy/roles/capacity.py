"""How many clients the hosts hold, and what to change for more."""

from __future__ import annotations

from pyinfra.api.deploy import deploy
from pyinfra.context import host

from wsdeploy.deploy.operations import measure, report_fleet, report_host


@deploy("Capacity")
def capacity() -> None:
    """Say how many clients each host and the fleet hold, what gives out first, and what helps.

        pyinfra -y inventories/prod.py wsdeploy.capacity

    Changes nothing. What is measured is the present use: ask while the service is busy.
    """
    settings = host.data.settings
    measure(name="Measure", settings=settings)
    report_host(name="Hosts", settings=settings)
    report_fleet(name="Fleet", settings=settings)
