"""A service in a cluster, and what is done with it there. pyinfra's host is this machine."""

from __future__ import annotations

from pyinfra.context import host

from wsdeploy.deploy.cluster import session
from wsdeploy.deploy.operations.cluster import (
    cluster_again,
    cluster_handshake,
    cluster_image,
    cluster_leftovers,
    cluster_lock,
    cluster_objects,
    cluster_remove,
)
from wsdeploy.inventory.clusters import Cluster


def deploy_to_cluster(cluster: Cluster) -> None:
    """Let the cluster have what the settings say; again, and nothing changes."""
    # It says which cluster that is.
    session.current(cluster)
    for note in cluster.notes():
        host.log(note)
    cluster_lock(name="Lock", cluster=cluster)
    cluster_image(name="Image", cluster=cluster)
    cluster_objects(name="What pods need", cluster=cluster, stage="before")
    cluster_objects(name="Pods", cluster=cluster, stage="pods")
    cluster_objects(name="The way in", cluster=cluster, stage="after")
    cluster_handshake(name="A WebSocket through the way in", cluster=cluster)
    cluster_leftovers(name="What is not wanted any more", cluster=cluster)


def change_again(cluster: Cluster, action: str, to: str | None = None) -> None:
    """Go back to an earlier revision, or replace all pods. action: `rollback` or `restart`."""
    cluster_lock(name="Lock", cluster=cluster, always=True)
    cluster_again(name="Pods", cluster=cluster, action=action, to=to)
    cluster_handshake(name="A WebSocket through the way in", cluster=cluster)


def remove_from_cluster(cluster: Cluster) -> None:
    """Take the service out of the cluster."""
    cluster_lock(name="Lock", cluster=cluster, always=True)
    cluster_remove(name="The service", cluster=cluster)
