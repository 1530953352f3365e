"""A host without the service, as it was before it came."""

from __future__ import annotations

from pyinfra.api.deploy import deploy
from pyinfra.context import host

from wsdeploy.deploy.operations import barrier, remove_service, take_over_lock
from wsdeploy.deploy.roles.cluster import remove_from_cluster


@deploy("Remove")
def remove(data: object = None) -> None:
    """Take the service off the hosts of the run: processes, units, files, users, packet filter.

        pyinfra -y inventories/prod.py wsdeploy.remove --limit app3
        pyinfra -y inventories/prod.py wsdeploy.remove data=delete

    data: `delete` removes the app's own data, too; without it, /var/lib/NAME stays. Clients are
    closed in turn, as at a deploy. Configuration that was there before the service is put back, and
    what ran then runs again. Packages stay.
    """
    if cluster := host.data.get("cluster"):
        remove_from_cluster(cluster)
        return
    settings = host.data.settings
    take_over_lock(name="Lock", settings=settings)
    for role in ("app", "proxy"):
        # Close frames go through the proxies.
        if host.name in getattr(settings.topology, role):
            remove_service(
                name="The service", settings=settings, role=role, data=str(data) == "delete"
            )
        barrier(name=f"No {role} host has it any more")
