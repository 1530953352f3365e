"""What Kubernetes' controllers do: pods of ReplicaSets, ReplicaSets of Deployments, endpoints."""

from __future__ import annotations

import copy
import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any

from wsdeploy_sandbox.cluster import rollout
from wsdeploy_sandbox.cluster.rollout import HASH, Generation, condition
from wsdeploy_sandbox.cluster.selectors import selects
from wsdeploy_sandbox.cluster.store import BY_KIND, Object, Store, now, seconds

REVISION = "deployment.kubernetes.io/revision"
LOOK = 0.25
"""Seconds after which time itself may have changed something."""


def run(store: Store) -> None:
    """Bring everything nearer to what it is to be, again and again."""
    seen = 0
    while True:
        seen = store.wait(seen, LOOK)
        with store.lock:
            for each in store.list("Deployment"):
                deployment(store, each)
            for each in store.list("ReplicaSet"):
                replica_set(store, each)
            for each in store.list("Service"):
                endpoint_slice(store, each)
            collect_garbage(store)


def owned(store: Store, owner: Object, kind: str) -> list[Object]:
    """Return the objects of a kind that a controller has made."""
    meta = owner["metadata"]
    return [
        each
        for each in store.list(kind, meta["namespace"])
        if any(it["uid"] == meta["uid"] for it in each["metadata"].get("ownerReferences", ()))
    ]


def owner_of(owner: Object) -> list[Object]:
    """Return the reference by which an object belongs to its controller."""
    return [
        {
            "apiVersion": owner["apiVersion"],
            "kind": owner["kind"],
            "name": owner["metadata"]["name"],
            "uid": owner["metadata"]["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]


def set_status(store: Store, value: Object, status: Object) -> None:
    """Write the status of an object."""
    meta = value["metadata"]
    how: Callable[[Object], None] = lambda it: it.update(status=status)  # noqa: E731
    store.change(value["kind"], meta["namespace"], meta["name"], how)


# ---- Deployments ----


def deployment(store: Store, value: Object) -> None:
    """Move a Deployment on by a step."""
    spec, meta = value["spec"], value["metadata"]
    sets = sorted(owned(store, value, "ReplicaSet"), key=_revision)
    template = spec["template"]
    new = next(
        (it for it in sets if rollout.without_hash(it["spec"]["template"]) == template), None
    )
    newest = _revision(sets[-1]) if sets else 0
    if new is None:
        new = _new_set(store, value, newest + 1)
        sets.append(new)
    elif _revision(new) < newest:
        # A template of before, as after `rollout undo`: it is the newest again.
        new = _annotate(store, new, str(newest + 1))
    number = new["metadata"]["annotations"][REVISION]
    if meta.get("annotations", {}).get(REVISION) != number:
        value = _annotate(store, value, number)
    old = [it for it in sets if it["metadata"]["uid"] != new["metadata"]["uid"]]
    if not spec.get("paused"):
        sizes = rollout.next_sizes(spec, _generation(new), map(_generation, old))
        for each in (new, *old):
            if (size := sizes.get(each["metadata"]["name"])) is not None:
                _resize(store, value, each, size)
    _deployment_status(store, value, new, old)
    idle = [it for it in old if not it["spec"]["replicas"] and not it["status"].get("replicas")]
    for each in idle[: max(0, len(idle) - spec["revisionHistoryLimit"])]:
        store.remove("ReplicaSet", meta["namespace"], each["metadata"]["name"])


def _revision(value: Object) -> int:
    return int(value["metadata"].get("annotations", {}).get(REVISION, 0))


def _generation(value: Object) -> Generation:
    status = value.get("status", {})
    return Generation(
        value["metadata"]["name"], value["spec"]["replicas"], status.get("availableReplicas", 0)
    )


def _annotate(store: Store, value: Object, number: str) -> Object:
    meta = value["metadata"]

    def how(it: Object) -> None:
        it["metadata"].setdefault("annotations", {})[REVISION] = number

    return store.change(value["kind"], meta["namespace"], meta["name"], how) or value


def _new_set(store: Store, value: Object, number: int) -> Object:
    meta, spec = value["metadata"], value["spec"]
    template = copy.deepcopy(spec["template"])
    mark = {HASH: rollout.template_hash(template)}
    template["metadata"]["labels"] |= mark
    selector = {"matchLabels": spec["selector"]["matchLabels"] | mark}
    return store.create(
        {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                "name": f"{meta['name']}-{mark[HASH]}",
                "namespace": meta["namespace"],
                "labels": template["metadata"]["labels"],
                "annotations": {
                    name: text
                    for name, text in meta.get("annotations", {}).items()
                    if name == "kubernetes.io/change-cause"
                }
                | {REVISION: str(number)},
                "ownerReferences": owner_of(value),
            },
            "spec": {
                "replicas": 0,
                "selector": selector,
                "template": template,
                "minReadySeconds": spec.get("minReadySeconds", 0),
            },
            "status": {"replicas": 0},
        }
    )


def _resize(store: Store, value: Object, each: Object, size: int) -> None:
    meta, before = each["metadata"], each["spec"]["replicas"]

    def how(it: Object) -> None:
        it["spec"]["replicas"] = size

    store.change("ReplicaSet", meta["namespace"], meta["name"], how)
    word = "up" if size > before else "down"
    text = f"Scaled {word} replica set {meta['name']} from {before} to {size}"
    store.record(value, "ScalingReplicaSet", text)


def _deployment_status(store: Store, value: Object, new: Object, old: list[Object]) -> None:
    spec, before = value["spec"], value.get("status", {})
    namespace = value["metadata"]["namespace"]
    names = [each["metadata"]["name"] for each in (new, *old)]
    sets = [it for name in names if (it := store.get("ReplicaSet", namespace, name))]

    def total(field: str, among: list[Object]) -> int:
        return sum(each.get("status", {}).get(field, 0) for each in among)

    replicas, wanted = total("replicas", sets), spec["replicas"]
    available, updated = total("availableReplicas", sets), total("replicas", sets[:1])
    pods = [pod for each in sets for pod in owned(store, each, "Pod")]
    counts = {
        "observedGeneration": value["metadata"]["generation"],
        "replicas": replicas,
        "updatedReplicas": updated,
        "readyReplicas": total("readyReplicas", sets),
        "availableReplicas": available,
        "unavailableReplicas": max(0, replicas - available),
        "terminatingReplicas": sum("deletionTimestamp" in it["metadata"] for it in pods),
    }
    conditions = before.get("conditions", [])
    enough = available >= wanted - rollout.bounds(spec)[1]
    has = "has" if enough else "does not have"
    found = [
        condition(
            "Available",
            enough,
            (
                "MinimumReplicasAvailable" if enough else "MinimumReplicasUnavailable",
                f"Deployment {has} minimum availability.",
            ),
            now(),
            conditions,
        ),
        _progress(value, new, counts, before),
    ]
    kept = {name: count for name, count in counts.items() if count or name == "observedGeneration"}
    set_status(store, value, {**kept, "conditions": found})


def _progress(value: Object, new: Object, counts: dict[str, int], before: Object) -> Object:
    """Return whether a rollout goes on, is done, or has stood still for too long."""
    spec, name = value["spec"], new["metadata"]["name"]
    conditions = before.get("conditions", [])
    old: Object | None = next((it for it in conditions if it["type"] == "Progressing"), None)
    wanted = spec["replicas"]
    done = counts["updatedReplicas"] == counts["replicas"] == counts["availableReplicas"] == wanted
    fields = ("updatedReplicas", "readyReplicas", "availableReplicas", "observedGeneration")
    moved = (
        any(counts[it] > before.get(it, 0) for it in fields)
        or counts["replicas"] - counts["updatedReplicas"]
        < before.get("replicas", 0) - before.get("updatedReplicas", 0)
        or old is None
    )
    since = now() if moved or done or old is None else old["lastUpdateTime"]
    if done:
        reason, text = "NewReplicaSetAvailable", f'ReplicaSet "{name}" has successfully progressed.'
        if old and old["reason"] == reason and old["message"] == text:
            return old
    elif old and time.time() - seconds(since) > spec["progressDeadlineSeconds"]:
        reason, text = "ProgressDeadlineExceeded", f'ReplicaSet "{name}" has timed out progressing.'
    elif old and not moved and old["reason"] == "ProgressDeadlineExceeded":
        return old
    else:
        reason, text = "ReplicaSetUpdated", f'ReplicaSet "{name}" is progressing.'
    going = reason != "ProgressDeadlineExceeded"
    found = condition("Progressing", going, (reason, text), now(), conditions)
    return found | {"lastUpdateTime": since}


# ---- ReplicaSets ----


def replica_set(store: Store, value: Object) -> None:
    """Make or delete pods until a ReplicaSet has as many as it is to have."""
    spec, meta = value["spec"], value["metadata"]
    active = [
        pod
        for pod in owned(store, value, "Pod")
        if "deletionTimestamp" not in pod["metadata"]
        and pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")
    ]
    missing = spec["replicas"] - len(active)
    for _ in range(missing):
        active.append(_new_pod(store, value))
    for pod in rollout.first_to_go(active)[: max(0, -missing)]:
        delete_pod(store, pod, None)
        store.record(value, "SuccessfulDelete", f"Deleted pod: {pod['metadata']['name']}")
        active.remove(pod)
    ready = [since for pod in active if (since := rollout.ready_since(pod))]
    least = spec.get("minReadySeconds", 0)
    # A pod's instants are whole seconds.
    available = [since for since in ready if time.time() - seconds(since) >= least]
    status = {
        "replicas": len(active),
        "fullyLabeledReplicas": len(active),
        "readyReplicas": len(ready),
        "availableReplicas": len(available),
        "observedGeneration": meta["generation"],
    }
    kept = {name: count for name, count in status.items() if count or name == "replicas"}
    set_status(store, value, kept)


def _new_pod(store: Store, value: Object) -> Object:
    meta, template = value["metadata"], copy.deepcopy(value["spec"]["template"])
    suffix = "".join(secrets.choice(rollout.SAFE) for _ in range(5))
    pod = store.create(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                **template["metadata"],
                "name": f"{meta['name']}-{suffix}",
                "namespace": meta["namespace"],
                "ownerReferences": owner_of(value),
            },
            "spec": template["spec"],
            "status": {"phase": "Pending"},
        }
    )
    store.record(value, "SuccessfulCreate", f"Created pod: {pod['metadata']['name']}")
    return pod


def delete_pod(store: Store, pod: Object, grace: int | None) -> Object | None:
    """Tell a pod to end; whoever runs it removes it once it has.

    grace: seconds until it is killed; None as its spec says.
    """
    meta = pod["metadata"]
    given = pod["spec"].get("terminationGracePeriodSeconds", 30) if grace is None else grace

    def how(it: Object) -> None:
        least = min(given, it["metadata"].get("deletionGracePeriodSeconds", given))
        it["metadata"] |= {"deletionGracePeriodSeconds": least}
        it["metadata"].setdefault("deletionTimestamp", now())

    return store.change("Pod", meta["namespace"], meta["name"], how)


# ---- Services, and what nobody owns ----


def endpoint_slice(store: Store, service: Object) -> None:
    """Write down where the pods of a Service are, and in which state."""
    spec, meta = service["spec"], service["metadata"]
    if not spec.get("selector"):
        return
    pods = [
        pod
        for pod in store.list("Pod", meta["namespace"])
        if selects(pod["metadata"].get("labels", {}), spec["selector"])
        and pod.get("status", {}).get("podIP")
        and pod["status"]["phase"] == "Running"
    ]
    wanted = {
        "addressType": "IPv4",
        "endpoints": [*map(_endpoint, pods)],
        "ports": [
            {
                "name": port.get("name", ""),
                "port": target_port(pods, port),
                "protocol": port.get("protocol", "TCP"),
            }
            for port in spec["ports"]
        ],
    }
    name = f"{meta['name']}-endpoints"
    if store.get("EndpointSlice", meta["namespace"], name) is not None:
        store.change("EndpointSlice", meta["namespace"], name, lambda it: it.update(wanted))
        return
    labels = {
        "kubernetes.io/service-name": meta["name"],
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
    }
    head = {
        "name": name,
        "namespace": meta["namespace"],
        "labels": labels,
        "ownerReferences": owner_of(service),
    }
    slice_ = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": head}
    store.create({**slice_, **wanted})


def _endpoint(pod: Object) -> Object:
    serving, ending = rollout.is_ready(pod), "deletionTimestamp" in pod["metadata"]
    return {
        "addresses": [pod["status"]["podIP"]],
        "conditions": {
            "ready": serving and not ending,
            "serving": serving,
            "terminating": ending,
        },
        "nodeName": pod["spec"].get("nodeName", ""),
        "targetRef": {
            "kind": "Pod",
            "name": pod["metadata"]["name"],
            "namespace": pod["metadata"]["namespace"],
            "uid": pod["metadata"]["uid"],
        },
    }


def target_port(pods: list[Object], port: Object) -> int:
    """Return the number of the pods' port that a Service's leads to."""
    wanted: Any = port.get("targetPort", port["port"])
    if isinstance(wanted, int):
        return wanted
    named = (
        int(each["containerPort"])
        for pod in pods
        for container in pod["spec"]["containers"]
        for each in container.get("ports", ())
        if each.get("name") == wanted
    )
    return next(named, int(port["port"]))


def collect_garbage(store: Store) -> None:
    """Remove what belongs to an object that is gone."""
    for kind in ("ReplicaSet", "Pod", "EndpointSlice"):
        for each in store.list(kind):
            if not any(_is_there(store, each)):
                if kind == "Pod":
                    if "deletionTimestamp" not in each["metadata"]:
                        delete_pod(store, each, None)
                else:
                    store.remove(kind, each["metadata"]["namespace"], each["metadata"]["name"])


def _is_there(store: Store, each: Object) -> Iterator[bool]:
    """Yield whether an owner of an object is there; an object without owners has itself."""
    references = each["metadata"].get("ownerReferences", [])
    if not references:
        yield True
    for reference in references:
        namespace = each["metadata"]["namespace"] if BY_KIND[reference["kind"]].namespaced else ""
        found = store.get(reference["kind"], namespace, reference["name"])
        yield found is not None and found["metadata"]["uid"] == reference["uid"]
