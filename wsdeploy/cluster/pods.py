"""The pods that run the app, and what goes with them. Pure.

Each number has its reason here or in wsdeploy/cluster/target.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from wsdeploy.cluster import environment, found, mesh, startup
from wsdeploy.cluster.manifest import Object
from wsdeploy.cluster.target import IMAGE_PULL, PROBE_GRACE, ClusterTarget

USER = 65532
"""The app's user and group in pods: a number, so that Kubernetes can see that it is not root's.
Images without a shell have this one as `nonroot`."""

REVISIONS = 5
"""Earlier pod templates that the cluster keeps."""

SECURITY: Object = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}
"""With POD_SECURITY, what the profile `restricted` asks for, and a root that nobody can write."""


def labels(target: ClusterTarget, component: str = "app") -> dict[str, str]:
    """Return the labels that select pods. They can't be changed once a Deployment is there."""
    return {found.NAME: target.name, found.COMPONENT: component}


def metadata(
    target: ClusterTarget, name: str, component: str = "app", /, **annotations: str
) -> Object:
    """Return the metadata of an object. annotations: by their names, as an unpacked dict."""
    managed = {found.MANAGED: found.MANAGER}
    return {
        "name": name,
        "namespace": target.namespace,
        "labels": labels(target, component) | managed,
        "annotations": {found.DOMAIN: target.settings.domain, **annotations},
    }


def pod_security(user: int = USER) -> Object:
    """Return a pod's security context. Its group may read what is in volumes."""
    return {
        "runAsNonRoot": True,
        "runAsUser": user,
        "runAsGroup": user,
        "fsGroup": user,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def spread(target: ClusterTarget, component: str = "app") -> list[Object]:
    """Return the constraints that put pods on different nodes and zones, if there are some."""
    return [
        {
            "maxSkew": 1,
            "topologyKey": key,
            # Better two on a node than one that waits.
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": labels(target, component)},
            # While pods are replaced, old ones do not count.
            "matchLabelKeys": ["pod-template-hash"],
        }
        for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
    ]


def service_account(target: ClusterTarget) -> Object:
    """Return an account without a token: the app has nothing to ask the cluster."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata(target, target.name),
        "automountServiceAccountToken": False,
    }


KEPT = {
    # Argo CD removes it once the new pods are ready. Flux leaves it: it would not wait.
    "argocd.argoproj.io/sync-options": "PruneLast=true",
    "kustomize.toolkit.fluxcd.io/prune": "disabled",
}
"""Annotations of what old pods still need: one that restarts reads its variables again."""


def config_map(target: ClusterTarget) -> Object:
    """Return the app's variables."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(target, environment.config_name(target), **KEPT),
        # Else pods of one Deployment could have different values.
        "immutable": True,
        "data": dict(sorted(environment.variables(target).items())),
    }


def deployment(target: ClusterTarget) -> Object:
    """Return the app's pods. Raises SecretError."""
    settings, kubernetes = target.settings, target.kubernetes
    app = settings.app
    ready_after = math.ceil(app.healthy_for)
    spec: Object = {
        # An autoscaler has the number to itself.
        **({"replicas": kubernetes.replicas} if isinstance(kubernetes.replicas, int) else {}),
        "revisionHistoryLimit": REVISIONS,
        "minReadySeconds": ready_after,
        "progressDeadlineSeconds": math.ceil(app.start_timeout) + ready_after + IMAGE_PULL,
        "selector": {"matchLabels": labels(target)},
        # No pod goes before another is ready; the default of 25 % is none of two, and one of four.
        "strategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxSurge": settings.hosts_at_once, "maxUnavailable": 0},
        },
        "template": {
            "metadata": {
                "labels": labels(target) | mesh.pod_labels(target),
                # Log collectors and kubectl logs take the container that they are told to.
                "annotations": {"kubectl.kubernetes.io/default-container": "app"}
                | mesh.pod_annotations(target),
            },
            "spec": _pod(target),
        },
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(target, target.name),
        "spec": spec,
    }


def _pod(target: ClusterTarget) -> Object:
    volumes = [
        {"name": name, "emptyDir": {"sizeLimit": f"{target.kubernetes.storage}Mi"}}
        for name, _ in folders(target)
    ]
    login = target.kubernetes.image.pull_secret
    return {
        **({"imagePullSecrets": [{"name": login}]} if login else {}),
        "serviceAccountName": target.name,
        "automountServiceAccountToken": False,
        # WS_PORT and its like are the app's own.
        "enableServiceLinks": False,
        "securityContext": pod_security(),
        "terminationGracePeriodSeconds": target.grace,
        "topologySpreadConstraints": spread(target),
        "containers": [_container(target)],
        "volumes": volumes,
    }


def folders(target: ClusterTarget) -> list[tuple[str, str]]:
    """Return the folders that the app may write to, each with the name of its volume."""
    writable = [("tmp", "/tmp"), ("data", target.data)]  # noqa: S108
    more = enumerate(target.settings.app.writable)
    return writable + [(f"writable-{number}", path) for number, path in more]


def _container(target: ClusterTarget) -> Object:
    app, kubernetes = target.settings.app, target.kubernetes
    values: list[Object] = [
        {"name": name, "value": value} for name, value in environment.listen(target).items()
    ]
    if app.secrets:
        secret = environment.secret_name(target)
        # By name: whatever else an existing Secret has is not for the app.
        values += [
            {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": name}}}
            for name in sorted(app.secrets)
        ]
    memory = f"{target.memory}Mi"
    return {
        "name": "app",
        "image": target.pinned_image,
        # A tag of ours always is the same image. Without a registry, nodes have to have it.
        "imagePullPolicy": "IfNotPresent" if kubernetes.image.registry else "Never",
        "command": environment.command(target),
        "workingDir": target.data,
        "env": values,
        "envFrom": [{"configMapRef": {"name": environment.config_name(target)}}],
        "ports": [{"name": "ws", "containerPort": app.port}],
        # No limit for the processor: throttled, the event loop stalls, and liveness kills it.
        "resources": {
            "requests": {"cpu": f"{round(kubernetes.cpu * 1000)}m", "memory": memory},
            "limits": {"memory": memory},
        },
        "lifecycle": {"preStop": {"sleep": {"seconds": kubernetes.pre_stop}}},
        **dict(_probes(target)),
        "securityContext": SECURITY,
        "volumeMounts": [{"name": name, "mountPath": path} for name, path in folders(target)],
        # What a process has said last is shown as the reason that it ended.
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def _probes(target: ClusterTarget) -> Iterator[tuple[str, Object]]:
    app = target.settings.app
    ask: Object = (
        {"tcpSocket": {"port": "ws"}}
        if app.health is None
        else {"httpGet": {"path": app.health, "port": "ws"}}
    )
    yield (
        "startupProbe",
        startup.probe(target.settings, target.kubernetes)
        # It has no clients that a drain would be for.
        | {"terminationGracePeriodSeconds": PROBE_GRACE},
    )
    # Two failures: one lost packet must not take a pod out.
    yield "readinessProbe", ask | {"periodSeconds": 2, "timeoutSeconds": 1, "failureThreshold": 2}
    # A hung process still accepts connections: only an answer tells that it does not hang.
    if app.hang_timeout is not None and app.health is not None:
        yield (
            "livenessProbe",
            ask
            | {
                "periodSeconds": 1,
                "timeoutSeconds": 1,
                "failureThreshold": math.ceil(app.hang_timeout),
                "terminationGracePeriodSeconds": PROBE_GRACE,
            },
        )


def service(target: ClusterTarget) -> Object:
    """Return the Service in front of the app's pods."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(target, target.name),
        "spec": {
            "type": "ClusterIP",
            "selector": labels(target),
            "ports": [
                {
                    "name": "ws",
                    "port": 80,
                    "targetPort": "ws",
                    # Gateways need it to let the upgrade pass (GEP-1911).
                    "appProtocol": "kubernetes.io/ws",
                }
            ],
        },
    }


def disruption_budget(target: ClusterTarget, component: str = "app") -> Object:
    """Return the budget by which nodes are emptied one of our pods at a time."""
    name = target.name if component == "app" else f"{target.name}-{component}"
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(target, name, component),
        "spec": {
            "maxUnavailable": 1,
            # A pod that is broken anyway keeps no node from being emptied.
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": labels(target, component)},
        },
    }


def pod_monitor(target: ClusterTarget) -> Object:
    """Return the monitor by which Prometheus' operator has each pod asked for its metrics."""
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "metadata": metadata(target, target.name),
        "spec": {
            "selector": {"matchLabels": labels(target)},
            "podMetricsEndpoints": [{"port": "ws", "path": "/metrics"}],
        },
    }
