"""Pods that follow the load. Pure.

New pods stay empty of clients who are there already; `App.max_age` is what moves those.
"""

from __future__ import annotations

from wsdeploy.cluster.manifest import Object
from wsdeploy.cluster.pods import metadata
from wsdeploy.cluster.target import ClusterTarget
from wsdeploy.plan.capacity.model import BUSY
from wsdeploy.settings.cluster import Replicas

CALM = 900
"""Seconds for which fewer pods must be enough before one goes: it closes its connections."""
STEP_LEAST, STEP_MOST = 300, 1800
"""Seconds between two pods that go: the first, or what a pod takes to end if that is longer. The
second is the API's limit."""
POLL = 15
"""Seconds between two questions to Prometheus: an autoscaler looks as often."""
FAILURES = 4
"""Questions to Prometheus that may fail before KEDA falls back to a number."""


def autoscaler(target: ClusterTarget, replicas: Replicas) -> Object:
    """Return what makes the number of pods follow the load."""
    return (
        _by_connections(target, replicas)
        if replicas.by == "connections"
        else _by_cpu(target, replicas)
    )


def _behavior(target: ClusterTarget) -> Object:
    """Return how pods go: one at a time, and never faster than one ends.

    By default, all that are too many go at once. Clients of one must not come to the next that
    goes.
    """
    period = max(STEP_LEAST, target.grace)
    step = {"type": "Pods", "value": 1, "periodSeconds": period}
    return {"scaleDown": {"stabilizationWindowSeconds": max(CALM, period), "policies": [step]}}


def _by_cpu(target: ClusterTarget, replicas: Replicas) -> Object:
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": metadata(target, target.name),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target.name},
            "minReplicas": replicas.least,
            "maxReplicas": replicas.most,
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {
                        "name": "cpu",
                        # Of the one core that a process can use, whatever is set aside for it.
                        "target": {"type": "AverageValue", "averageValue": f"{BUSY * 1000:.0f}m"},
                    },
                }
            ],
            "behavior": _behavior(target),
        },
    }


def _by_connections(target: ClusterTarget, replicas: Replicas) -> Object:
    # As a Deployment names its pods: another service's name may begin with this one's.
    pods = f"{target.name}-[a-z0-9]+-[a-z0-9]{{5}}"
    own = f'namespace="{target.namespace}",pod=~"{pods}"'
    # Of pods that end, clients are on their way to others: they would count twice.
    query = f"sum(wsapp_connections{{{own}}} unless on(pod) wsapp_draining{{{own}}} == 1)"
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": metadata(target, target.name),
        "spec": {
            "scaleTargetRef": {"name": target.name},
            "minReplicaCount": replicas.least,
            "maxReplicaCount": replicas.most,
            "pollingInterval": POLL,
            # Without numbers, no fewer pods than there are.
            "fallback": {
                "failureThreshold": FAILURES,
                "replicas": replicas.least,
                "behavior": "currentReplicasIfHigher",
            },
            "advanced": {"horizontalPodAutoscalerConfig": {"behavior": _behavior(target)}},
            "triggers": [
                {
                    "type": "prometheus",
                    "metadata": {
                        "serverAddress": replicas.prometheus,
                        "query": query,
                        "threshold": str(target.connections_before_scaling),
                        # No answer does not mean no connections.
                        "ignoreNullValues": "false",
                    },
                }
            ],
        },
    }
