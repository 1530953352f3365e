"""Ask a cluster what goes on with a service."""

from __future__ import annotations

from wsdeploy.cluster import status as plan
from wsdeploy.cluster.status import ClusterStatus
from wsdeploy.deploy.cluster import rollout
from wsdeploy.deploy.cluster.session import Session
from wsdeploy.plan.status import screen


def look(present: Session) -> ClusterStatus:
    """Return what goes on with the service of a session. Raises KubectlError."""
    there = rollout.look(present.kubectl, present.name)
    address = screen.address(present.cluster.settings)
    return plan.look(there, present.name, address, present.kubectl.namespace)
