"""What a Deployment does next, as Kubernetes decides it, and whom a ReplicaSet lets go. Pure."""

from __future__ import annotations

import copy
import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]
HASH = "pod-template-hash"
SAFE = "bcdfghjklmnpqrstvwxz2456789"
"""Letters of generated names, without vowels as in Kubernetes."""


@dataclass(frozen=True)
class Generation:
    """A ReplicaSet, as far as a rollout goes by it."""

    name: str
    wanted: int
    """How many pods it is to have."""
    available: int
    """How many it has that are ready, and have been for long enough."""


def template_hash(template: Object) -> str:
    """Return what tells a pod template from others, without its own label."""
    text = json.dumps(without_hash(template), sort_keys=True)
    number = int(hashlib.sha256(text.encode()).hexdigest(), 16)
    return "".join(SAFE[number // len(SAFE) ** place % len(SAFE)] for place in range(10))


def without_hash(template: Object) -> Object:
    """Return a pod template as it was before a ReplicaSet marked it."""
    plain = copy.deepcopy(template)
    plain.get("metadata", {}).get("labels", {}).pop(HASH, None)
    return plain


def share(value: int | str, of: int, *, up: bool) -> int:
    """Return a number of pods that is given as such, or as a percentage.

    >>> share("25%", 2, up=True), share("25%", 2, up=False)
    (1, 0)
    """
    if isinstance(value, int):
        return value
    exact = int(value.removesuffix("%")) * of / 100
    return math.ceil(exact) if up else math.floor(exact)


def bounds(spec: Object) -> tuple[int, int]:
    """Return how many pods a Deployment may have too many, and how many too few."""
    rolling = spec.get("strategy", {}).get("rollingUpdate") or {}
    surge = share(rolling.get("maxSurge", "25%"), spec["replicas"], up=True)
    missing = share(rolling.get("maxUnavailable", "25%"), spec["replicas"], up=False)
    return surge, missing if surge or missing else 1


def next_sizes(spec: Object, new: Generation, old: Iterable[Generation]) -> dict[str, int]:
    """Return the ReplicaSets whose size changes now, with their new size.

    old: the others, the oldest first.
    """
    replicas = spec["replicas"]
    surge, missing = bounds(spec)
    others = [each for each in old if each.wanted]
    total = new.wanted + sum(each.wanted for each in others)
    if new.wanted > replicas:
        return {new.name: replicas}
    if new.wanted < replicas and (more := min(replicas + surge - total, replicas - new.wanted)) > 0:
        return {new.name: new.wanted + more}
    # Pods that end are not waited for: they count for nothing here.
    spare = total - (replicas - missing) - max(0, new.wanted - new.available)
    sizes: dict[str, int] = {}
    # First those that nobody can use anyway.
    for each in others:
        if (gone := min(spare, each.wanted - each.available)) > 0:
            sizes[each.name] = each.wanted - gone
            spare -= gone
    for each in others:
        left = sizes.get(each.name, each.wanted)
        if (gone := min(spare, left)) > 0:
            sizes[each.name] = left - gone
            spare -= gone
    return sizes


def is_ready(pod: Object) -> bool:
    """Tell whether a pod is ready."""
    return ready_since(pod) is not None


def ready_since(pod: Object) -> str | None:
    """Return since when a pod is ready, or None if it is not."""
    for condition in pod.get("status", {}).get("conditions", ()):
        if condition["type"] == "Ready" and condition["status"] == "True":
            return str(condition["lastTransitionTime"])
    return None


def first_to_go(pods: Iterable[Object]) -> list[Object]:
    """Return a ReplicaSet's pods in the order in which it deletes them when it gets smaller.

    Kubernetes also prefers nodes that have several; here is one.
    """
    phases = {"Pending": 0, "Unknown": 1, "Running": 2}

    def rank(pod: Object) -> tuple[Any, ...]:
        status, annotations = pod.get("status", {}), pod["metadata"].get("annotations", {})
        restarts = sum(each["restartCount"] for each in status.get("containerStatuses", ()))
        return (
            phases.get(status.get("phase", "Pending"), 2),
            is_ready(pod),
            int(annotations.get("controller.kubernetes.io/pod-deletion-cost", 0)),
            # Who is ready for the shortest time, has restarted most, and is youngest goes first.
            _Newer(ready_since(pod) or ""),
            -restarts,
            _Newer(pod["metadata"]["creationTimestamp"]),
        )

    return sorted(pods, key=rank)


class _Newer(str):
    """A time that sorts before those that were earlier."""

    __slots__ = ()

    def __lt__(self, other: str) -> bool:
        return str(self) > str(other)


def condition(
    kind: str,
    status: bool,
    why: tuple[str, str],
    now: str,
    before: Iterable[Mapping[str, str]],
) -> dict[str, str]:
    """Return a condition. Its time of transition stays while its status does.

    why: the reason, in a word, and a message.
    """
    reason, message = why
    found = {
        "type": kind,
        "status": str(status),
        "reason": reason,
        "message": message,
        "lastTransitionTime": now,
    }
    for old in before:
        if old["type"] == kind and old["status"] == found["status"]:
            found["lastTransitionTime"] = old["lastTransitionTime"]
    return {name: value for name, value in found.items() if value}
