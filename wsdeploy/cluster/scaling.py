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
"""Seconds for which fewer pods must do before one goes: each that goes closes its connections."""
STEP_LEAST, STEP_MOST = 300, 1800
"""Seconds between two pods that go, or what one takes to end, if that is longer; the API takes no
more than the latter."""
POLL = 15
"""Seconds between two questions to Prometheus: an autoscaler looks as often."""
FAILURES = 4
"""Answers of Prometheus that may be missing before KEDA goes by its own number."""


def autoscaler(target: ClusterTarget, replicas: Replicas) -> Object:
    """Return what makes the number of pods follow the load."""
    return (
        _by_connections(target, replicas)
        if replicas.by == "connections"
        else _by_cpu(target, replicas)
    )


def _behavior(target: ClusterTarget) -> Object:
    """Return how pods go: one at a time, and never faster than one ends.

    The default takes all that are too many at once. None drains into one that goes next.
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
    own = f'namespace="{target.namespace}",pod=~"{target.name}-.*"'
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
                        # No answer is no zero.
                        "ignoreNullValues": "false",
                    },
                }
            ],
        },
    }
