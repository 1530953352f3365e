"""What a look at a cluster has found of a service. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from wsdeploy.cluster.manifest import Object
from wsdeploy.plan import answers
from wshost.requests import Commit, Serving

MANAGER = "wsdeploy"
"""By this name the cluster knows which fields of an object are ours, and whose the object is."""

KINDS: Mapping[str, str] = {
    "ServiceAccount": "serviceaccounts",
    "ConfigMap": "configmaps",
    "Secret": "secrets",
    "Service": "services",
    "Deployment": "deployments.apps",
    "PodDisruptionBudget": "poddisruptionbudgets.policy",
    "NetworkPolicy": "networkpolicies.networking.k8s.io",
    "Ingress": "ingresses.networking.k8s.io",
    "HorizontalPodAutoscaler": "horizontalpodautoscalers.autoscaling",
    "ScaledObject": "scaledobjects.keda.sh",
    "PodMonitor": "podmonitors.monitoring.coreos.com",
    "Certificate": "certificates.cert-manager.io",
    "HTTPRoute": "httproutes.gateway.networking.k8s.io",
    "BackendTrafficPolicy": "backendtrafficpolicies.gateway.envoyproxy.io",
    "ClientTrafficPolicy": "clienttrafficpolicies.gateway.envoyproxy.io",
    "Backend": "backends.gate.v3.haproxy.org",
}
"""Every kind of object that a service may have of ours, and what kubectl calls those."""

SCALERS = ("HorizontalPodAutoscaler", "ScaledObject")
"""Kinds that change how many pods there are."""

PODS = ("deployments.apps", "replicasets.apps", "pods")
"""What a rollout is followed by."""

NAME = "app.kubernetes.io/name"
MANAGED = "app.kubernetes.io/managed-by"
COMPONENT = "app.kubernetes.io/component"

REVISION = "deployment.kubernetes.io/revision"
"""The annotation that the cluster gives Deployments and their ReplicaSets."""
RELEASE, COMMIT, BY, SINCE, PREVIOUS = (
    f"wsdeploy/{word}" for word in ("release", "commit", "by", "since", "previous")
)
"""Annotations of a Deployment, of which the cluster gives a copy to the ReplicaSet. On pods, a
commit that changes no release would make new ones. PREVIOUS is the ReplicaSet that served when the
pods were changed last: revisions in between have never served."""

DOMAIN = "wsdeploy/domain"
"""The annotation of all objects by which services of one name are told apart."""

Key = tuple[str, str]
"""Kind and name of an object."""


def key(each: Object) -> Key:
    """Return an object's kind and name."""
    return each["kind"], each["metadata"]["name"]


def is_ours(each: Object, service: str) -> bool:
    """Tell whether an object is one of this service's that we have made."""
    labels = each["metadata"].get("labels") or {}
    return labels.get(MANAGED) == MANAGER and labels.get(NAME) == service


def is_controlled(each: Object) -> bool:
    """Tell whether a controller has made an object, and keeps it as it wants it."""
    owners = each["metadata"].get("ownerReferences") or []
    return any(it.get("controller") for it in owners)


def annotation(each: Object, name: str) -> str | None:
    """Return an annotation of an object, or None."""
    found: str | None = (each["metadata"].get("annotations") or {}).get(name)
    return found


def component(each: Object) -> str | None:
    """Return which part of the service an object belongs to: `app` or `proxy`."""
    found: str | None = (each["metadata"].get("labels") or {}).get(COMPONENT)
    return found


def owner(each: Object, kind: str) -> str | None:
    """Return the name of the object of a kind that an object belongs to."""
    owners = each["metadata"].get("ownerReferences") or []
    return next((it["name"] for it in owners if it["kind"] == kind), None)


def containers(template: Object) -> list[Object]:
    """Return the containers of a pod, or of a template for pods."""
    found: list[Object] = template["spec"].get("containers") or []
    return found


def release(each: Object) -> str | None:
    """Return the ID of the release of a Deployment or ReplicaSet; its image's tag has it, too."""
    noted = annotation(each, RELEASE)
    if noted:
        return noted
    for container in containers(each["spec"]["template"]):
        if container["name"] == "app":
            name = container["image"].partition("@")[0].rpartition("/")[2]
            return name.partition(":")[2].partition("-")[0] or None
    return None


def commit(each: Object) -> Commit | None:
    """Return the commit that a Deployment or ReplicaSet was built from, if that is noted."""
    try:
        return answers.commit(json.loads(annotation(each, COMMIT) or "null"))
    except (ValueError, RecursionError):
        return None


def revision(each: Object) -> int:
    """Return the number that the cluster counts a Deployment's templates by; 0 if it has none."""
    noted = annotation(each, REVISION) or ""
    return int(noted) if noted.isdecimal() else 0


def serving(each: Object) -> Serving | None:
    """Return what a Deployment or ReplicaSet stands for, in the words of hosts."""
    identifier = release(each)
    if identifier is None:
        return None
    return {
        "generation": f"revision {revision(each)}",
        "release": identifier,
        "commit": commit(each),
    }


@dataclass(frozen=True)
class Found:
    """Objects of a service as they are in the cluster."""

    service: str
    objects: tuple[Object, ...] = ()

    def get(self, kind: str, name: str) -> Object | None:
        """Return an object, or None."""
        return next((each for each in self.objects if key(each) == (kind, name)), None)

    def of(self, *kinds: str) -> list[Object]:
        """Return all objects of some kinds."""
        return [each for each in self.objects if each["kind"] in kinds]

    @property
    def ours(self) -> list[Object]:
        """All objects that we have made.

        Controllers give what they make of an object its labels, as cert-manager does with a
        Certificate for an Ingress, and KEDA with a HorizontalPodAutoscaler. Those are theirs.
        """
        return [
            each
            for each in self.objects
            if each["kind"] in KINDS and is_ours(each, self.service) and not is_controlled(each)
        ]

    def deployment(self, name: str) -> Object | None:
        """Return a Deployment of ours, or None."""
        found = self.get("Deployment", name)
        return found if found is not None and is_ours(found, self.service) else None

    def replica_sets(self, deployment: str) -> list[Object]:
        """Return the ReplicaSets of a Deployment, the newest revision first."""
        found = [e for e in self.of("ReplicaSet") if owner(e, "Deployment") == deployment]
        return sorted(found, key=revision, reverse=True)

    def pods(self, replica_set: str) -> list[Object]:
        """Return the pods of a ReplicaSet."""
        return [each for each in self.of("Pod") if owner(each, "ReplicaSet") == replica_set]

    def current(self, deployment: str) -> Object | None:
        """Return the ReplicaSet that a Deployment is to have its pods from, if there is one yet."""
        there = self.get("Deployment", deployment)
        sets = self.replica_sets(deployment)
        wanted = revision(there) if there else 0
        return next((each for each in sets if revision(each) == wanted), None)

    def live(self, deployment: str) -> Object | None:
        """Return the ReplicaSet that most of the pods that serve are from, or None."""
        sets = self.replica_sets(deployment)
        serve = max(sets, key=ready, default=None)
        return serve if serve is not None and ready(serve) else None


def ready(replica_set: Object) -> int:
    """Return how many pods of a ReplicaSet serve."""
    return int((replica_set.get("status") or {}).get("readyReplicas") or 0)


def merged(service: str, *lists: Iterable[Object]) -> Found:
    """Return what several looks have found, each object once; later ones count."""
    found: dict[Key, Object] = {key(each): each for objects in lists for each in objects}
    return Found(service, tuple(found.values()))


def plain(value: Object) -> Object:
    """Return an object without what the cluster alone writes into it."""
    found: Object = {name: item for name, item in value.items() if name != "status"}
    server = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp")
    metadata = {k: v for k, v in value["metadata"].items() if k not in (*server, "selfLink")}
    noted = {k: v for k, v in (metadata.get("annotations") or {}).items() if k != REVISION}
    return found | {"metadata": metadata | ({"annotations": noted} if noted else {})}
