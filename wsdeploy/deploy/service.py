"""The story of a run: what happens to the hosts of a service, in which order."""

from __future__ import annotations

from pyinfra.context import host

from wsdeploy.deploy import run
from wsdeploy.deploy.operations import barrier, platform_files
from wsdeploy.deploy.roles import (
    after_release,
    app,
    base,
    certificate,
    proxy,
    retire_old_generations,
    verify,
)
from wsdeploy.deploy.roles.cluster import deploy_to_cluster


def service() -> None:
    """Turn the current host into what the inventory says of it; again, and nothing changes.

    How a part of a host is set up stands in wsdeploy/deploy/roles and templates; what a host should
    have, in wsdeploy/plan. Hosts of other groups than `app` and `proxy` are left alone.

    A service in a cluster is applied there by this machine (wsdeploy/deploy/cluster).

    A service on a platform has only the files written that the platform needs (wsdeploy/platforms).
    """
    if project := host.data.get("platform"):
        for note in project.notes():
            host.log(note)
        run.current().closing = project.report()
        platform_files(name=f"Files for {project.platform.title}", project=project)
        return

    if cluster := host.data.get("cluster"):
        deploy_to_cluster(cluster)
        return

    settings = host.data.get("settings")
    roles = settings.topology.roles(host.name) if settings else ()

    if roles:
        base()

    # By now each has the certificates that the others will ask for, if TLS is between the tiers.
    barrier(name="Every host is prepared")

    if "app" in roles:
        app()

    # Proxies learn of processes only when all of them are there.
    barrier(name="The app serves on every host")

    if "proxy" in roles:
        proxy()
        verify()

    # Only now does nothing refer to the old processes any more.
    barrier(name="Every proxy passes clients to the new processes")

    if "app" in roles:
        retire_old_generations()

    if settings and settings.app.after_release:
        barrier(name="Old processes are gone")
        if "app" in roles:
            after_release()

    # Last, as all the rest goes on without the authority's answer.
    if "proxy" in roles:
        certificate()

    # What whoever calls this does after it comes after all of it, on every host.
    barrier(name="The service is as its inventory says")
