"""How many clients the hosts hold, and what to change for more."""

from __future__ import annotations

from pyinfra.api.deploy import deploy
from pyinfra.context import host

from wsdeploy.deploy.operations import measured, summed_up, told


@deploy("Capacity")
def capacity() -> None:
    """Say how many clients each host and the fleet hold, what gives out first, and what helps.

        pyinfra -y inventories/prod.py wsdeploy.capacity

    Changes nothing. What is measured is the present use: ask while the service is busy.
    """
    settings = host.data.settings
    measured(name="Measure", settings=settings)
    told(name="Hosts", settings=settings)
    summed_up(name="Fleet", settings=settings)
