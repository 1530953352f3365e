"""All objects of the cluster, in memory, and what has happened to them."""

from __future__ import annotations

import collections
import copy
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

Object = dict[str, Any]
HISTORY = 10_000
"""Changes that watchers can still be told of."""


@dataclass(frozen=True)
class Resource:
    """A kind of object, and where the API has it."""

    plural: str
    kind: str
    version: str
    """Group and version: `apps/v1`, or `v1` for the core group."""
    namespaced: bool = True
    short: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()

    @property
    def group(self) -> str:
        """The API group; nothing for the core group."""
        return self.version.rpartition("/")[0]


RESOURCES = (
    Resource("configmaps", "ConfigMap", "v1", short=("cm",)),
    Resource("endpoints", "Endpoints", "v1", short=("ep",)),
    Resource("events", "Event", "v1", short=("ev",)),
    Resource("namespaces", "Namespace", "v1", namespaced=False, short=("ns",)),
    Resource("nodes", "Node", "v1", namespaced=False, short=("no",)),
    Resource("pods", "Pod", "v1", short=("po",), subresources=("log", "status", "eviction")),
    Resource("secrets", "Secret", "v1"),
    Resource("serviceaccounts", "ServiceAccount", "v1", short=("sa",)),
    Resource("services", "Service", "v1", short=("svc",), subresources=("status",)),
    Resource(
        "deployments", "Deployment", "apps/v1", short=("deploy",), subresources=("status", "scale")
    ),
    Resource(
        "replicasets", "ReplicaSet", "apps/v1", short=("rs",), subresources=("status", "scale")
    ),
    Resource(
        "horizontalpodautoscalers", "HorizontalPodAutoscaler", "autoscaling/v2", short=("hpa",)
    ),
    Resource("leases", "Lease", "coordination.k8s.io/v1"),
    Resource("endpointslices", "EndpointSlice", "discovery.k8s.io/v1"),
    Resource("ingresses", "Ingress", "networking.k8s.io/v1", short=("ing",)),
    Resource("networkpolicies", "NetworkPolicy", "networking.k8s.io/v1", short=("netpol",)),
    Resource("poddisruptionbudgets", "PodDisruptionBudget", "policy/v1", short=("pdb",)),
    # Of extensions that services are rendered for.
    Resource("certificates", "Certificate", "cert-manager.io/v1"),
    Resource("backendtrafficpolicies", "BackendTrafficPolicy", "gateway.envoyproxy.io/v1alpha1"),
    Resource("clienttrafficpolicies", "ClientTrafficPolicy", "gateway.envoyproxy.io/v1alpha1"),
    Resource("gateways", "Gateway", "gateway.networking.k8s.io/v1"),
    Resource("httproutes", "HTTPRoute", "gateway.networking.k8s.io/v1"),
    Resource("podmonitors", "PodMonitor", "monitoring.coreos.com/v1"),
    Resource("scaledobjects", "ScaledObject", "keda.sh/v1alpha1"),
)
BY_KIND = {each.kind: each for each in RESOURCES}

Key = tuple[str, str, str]
"""Kind, namespace and name."""


@dataclass(frozen=True)
class Change:
    """What has happened to an object."""

    revision: int
    type: str
    """As watchers are told: ADDED, MODIFIED or DELETED."""
    object: Object


class Store:
    """Objects by kind, namespace and name. Every object in it is replaced, never changed."""

    def __init__(self) -> None:
        self.revision = 1
        self.changes: collections.deque[Change] = collections.deque(maxlen=HISTORY)
        self._objects: dict[Key, Object] = {}
        self._changed = threading.Condition(threading.RLock())
        self.lock = self._changed
        """Held over a look and the change that follows from it."""

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        """Return an object, not to be changed, or None."""
        return self._objects.get((kind, namespace, name))

    def list(self, kind: str, namespace: str | None = None) -> list[Object]:
        """Return the objects of a kind, not to be changed, in a namespace or in all."""
        with self.lock:
            return [
                value
                for (its_kind, its_namespace, _), value in sorted(self._objects.items())
                if its_kind == kind and namespace in (None, its_namespace)
            ]

    def create(self, value: Object) -> Object:
        """Take over a new object, and return it as it is stored. Raises KeyError if it is there."""
        with self.lock:
            key = key_of(value)
            if key in self._objects:
                raise KeyError(key)
            new = copy.deepcopy(value)
            new["metadata"] |= {
                "uid": str(uuid.uuid4()),
                "generation": 1,
                "creationTimestamp": now(),
            }
            return self._put("ADDED", key, new)

    def update(self, value: Object) -> Object:
        """Replace an object, and return it as it is stored. The same object is no change."""
        with self.lock:
            key = key_of(value)
            old = self._objects[key]
            new = copy.deepcopy(value)
            for name in ("uid", "generation", "creationTimestamp", "resourceVersion"):
                new["metadata"][name] = old["metadata"][name]
            if new == old:
                return old
            if new.get("spec") != old.get("spec"):
                new["metadata"]["generation"] += 1
            return self._put("MODIFIED", key, new)

    def change(
        self, kind: str, namespace: str, name: str, how: Callable[[Object], None]
    ) -> Object | None:
        """Change an object if it is still there, and return it."""
        with self.lock:
            old = self.get(kind, namespace, name)
            if old is None:
                return None
            new = copy.deepcopy(old)
            how(new)
            return self.update(new)

    def remove(self, kind: str, namespace: str, name: str) -> Object | None:
        """Remove an object at once, and return it as it was."""
        with self.lock:
            old = self._objects.pop((kind, namespace, name), None)
            if old is not None:
                self.revision += 1
                gone = copy.deepcopy(old)
                gone["metadata"]["resourceVersion"] = str(self.revision)
                self._tell(Change(self.revision, "DELETED", gone))
            return old

    def since(self, revision: int) -> Iterator[Change]:
        """Yield what has happened after a revision."""
        with self.lock:
            yield from [each for each in self.changes if each.revision > revision]

    def wait(self, revision: int, timeout: float) -> int:
        """Wait until something has happened after a revision, and return the present one."""
        with self.lock:
            self._changed.wait_for(lambda: self.revision > revision, timeout)
            return self.revision

    def record(self, about: Object, reason: str, message: str, kind: str = "Normal") -> None:
        """Write an Event about an object, or count it up if it is there."""
        meta = about["metadata"]
        with self.lock:
            for old in self.list("Event", meta["namespace"]):
                same = (old["involvedObject"]["uid"], old["reason"], old["message"])
                if same == (meta["uid"], reason, message):
                    count = old["count"] + 1
                    self.update({**old, "count": count, "lastTimestamp": now()})
                    return
            self.create(
                {
                    "apiVersion": "v1",
                    "kind": "Event",
                    "metadata": {
                        "name": f"{meta['name']}.{uuid.uuid4().hex[:16]}",
                        "namespace": meta["namespace"],
                    },
                    "involvedObject": {
                        "apiVersion": about["apiVersion"],
                        "kind": about["kind"],
                        "name": meta["name"],
                        "namespace": meta["namespace"],
                        "uid": meta["uid"],
                    },
                    "reason": reason,
                    "message": message,
                    "type": kind,
                    "count": 1,
                    "firstTimestamp": now(),
                    "lastTimestamp": now(),
                    "source": {"component": "stand-in"},
                }
            )

    def _put(self, what: str, key: Key, value: Object) -> Object:
        self.revision += 1
        value["metadata"]["resourceVersion"] = str(self.revision)
        self._objects[key] = value
        self._tell(Change(self.revision, what, value))
        return value

    def _tell(self, change: Change) -> None:
        self.changes.append(change)
        self._changed.notify_all()


def key_of(value: Object) -> Key:
    """Return where an object is stored."""
    return value["kind"], value["metadata"].get("namespace", ""), value["metadata"]["name"]


def now() -> str:
    """Return the present as objects have it, in whole seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds(stamp: str) -> float:
    """Return an object's instant in seconds since 1970."""
    return datetime.fromisoformat(stamp).timestamp()
