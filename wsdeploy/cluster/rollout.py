"""How far a Deployment has come with new pods, and what is wrong with them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from wsdeploy.cluster.found import Found
from wsdeploy.cluster.manifest import Object
from wsdeploy.plan.summary import readable

AT_ONCE = ("CrashLoopBackOff", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")
"""Why a container waits that nothing but another release changes."""
WAIT = (
    "ErrImagePull",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
)
"""Why it waits where another try may do: a registry that had a moment, a Secret on its way."""
PATIENCE = 15
"""Seconds for which that may last."""
LATE = 30
"""Seconds after its deadline by which the cluster has certainly said that a rollout is stuck."""
NOT_OURS = (
    "Evicted",
    "NodeAffinity",
    "NodeLost",
    "NodeShutdown",
    "OutOf",
    "Preempting",
    "Shutdown",
    "Terminated",
    "TopologyAffinityError",
    "UnexpectedAdmission",
)
"""Why a pod has failed through no fault of the release, or how that begins, as in `OutOfcpu`;
another one takes its place."""
IMAGE = ("ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull")


@dataclass(frozen=True)
class Fault:
    """Something wrong with new pods."""

    reason: str
    """By which it is known at the next look."""
    cause: str
    """What to say of it."""
    pod: str | None = None
    """The pod whose log and events tell more."""
    container: str | None = None
    restarted: bool = False
    """Whether its log is that of the container before."""
    at_once: bool = True
    """Whether it is certain; else it is when it lasts for PATIENCE seconds."""
    of_image: bool = False
    ended: bool = False
    """Whether a container has ended, for which a probe may be the reason."""


@dataclass(frozen=True)
class Rollout:
    """How far a Deployment has come."""

    wanted: int
    updated: int
    """New pods that are there."""
    available: int
    """New pods that have been ready for long enough."""
    old: int
    """Old pods that are not told to end yet."""
    seen: bool
    """Whether the cluster has taken note of the Deployment as it is now."""
    faults: tuple[Fault, ...] = ()

    @property
    def done(self) -> bool:
        """Whether all pods are new ones that serve."""
        return self.seen and self.updated >= self.wanted <= self.available and not self.old

    def __str__(self) -> str:
        """Say it in a line."""
        pods = "pod" if self.wanted == 1 else "pods"
        left = f", {self.old} old {'one' if self.old == 1 else 'ones'} left" if self.old else ""
        return f"{self.available} of {self.wanted} new {pods} ready{left}"


def look(there: Found, name: str, before: Found | None = None) -> Rollout:
    """Return how far a Deployment has come.

    name: its name. before: what was there before it changed; what was wrong with its pods then is
    none of its faults.
    """
    deployment = there.get("Deployment", name)
    if deployment is None:
        gone = Fault("gone", f"somebody has deleted the Deployment {name}")
        return Rollout(1, 0, 0, 0, False, (gone,))
    spec, status = deployment["spec"], deployment.get("status") or {}
    seen = status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 1)
    wanted = int(spec.get("replicas", 1))
    updated = int(status.get("updatedReplicas") or 0)
    current = there.current(name) if seen else None
    of_set = (current or {}).get("status") or {}
    # Of the Deployment's, which counts old pods, too.
    available = min(int(of_set.get("availableReplicas") or 0), updated)
    old = max(0, int(status.get("replicas") or 0) - updated)
    known = restarts(before) if before else {}
    faults = tuple(_faults(there, deployment, current, known)) if seen else ()
    return Rollout(wanted, updated, available, old, seen, faults)


Restarts = dict[tuple[str, str], int]
"""How often each container of a pod has been started anew."""


def restarts(there: Found) -> Restarts:
    """Return how often containers have been started anew, by the names of pod and container."""
    return {
        (pod["metadata"]["name"], container["name"]): int(container.get("restartCount") or 0)
        for pod in there.of("Pod")
        for container in _statuses(pod)
    }


def _statuses(pod: Object) -> list[Object]:
    status = pod.get("status") or {}
    return [
        *(status.get("initContainerStatuses") or []),
        *(status.get("containerStatuses") or []),
    ]


def _faults(
    there: Found, deployment: Object, current: Object | None, known: Restarts
) -> Iterator[Fault]:
    name = deployment["metadata"]["name"]
    if deployment["spec"].get("paused"):
        resume = f"kubectl rollout resume deployment/{name}"
        yield Fault("paused", f"somebody has paused the Deployment {name}: {resume}")
    pods = there.pods(current["metadata"]["name"]) if current else []
    for pod in pods:
        yield from _pod_faults(pod, known)
    for condition in (deployment.get("status") or {}).get("conditions") or []:
        kind, state = condition["type"], condition["status"]
        message = _line(condition.get("message") or "")
        if (kind, state) == ("ReplicaFailure", "True"):
            yield Fault(kind, f"the cluster makes no pods: {message}", at_once=False)
        elif kind == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded":
            waiting = next((each for each in pods if not is_ready(each)), None)
            yield Fault(
                "ProgressDeadlineExceeded",
                _unready(waiting) if waiting else f"new pods did not become ready: {message}",
                waiting["metadata"]["name"] if waiting else None,
            )


UNDER_WAY = ("NewReplicaSetCreated", "ReplicaSetUpdated", "ProgressDeadlineExceeded")
"""What the cluster says of a Deployment until all of its new pods have served at once."""


def is_under_way(deployment: Object) -> bool:
    """Tell whether the cluster has not come to the end of a Deployment's latest change.

    Pods that fail after that, and a number that an autoscaler changes, are no part of it.
    """
    conditions = (deployment.get("status") or {}).get("conditions") or []
    return any(e["type"] == "Progressing" and e.get("reason") in UNDER_WAY for e in conditions)


def limit(there: Found, name: str) -> int:
    """Return the seconds after which a rollout without any progress is stuck.

    The cluster itself notices that only for new templates, not for a larger number of pods.
    """
    deployment = there.get("Deployment", name) or {"spec": {}}
    return int(deployment["spec"].get("progressDeadlineSeconds") or 600) + LATE


def stuck(there: Found, name: str) -> Fault:
    """Return why a rollout makes no progress."""
    current = there.current(name)
    pods = there.pods(current["metadata"]["name"]) if current else []
    waiting = next((each for each in pods if not is_ready(each)), None)
    if waiting is None:
        return Fault("stuck", f"the cluster makes no new pods for the Deployment {name}")
    return Fault("stuck", _unready(waiting), waiting["metadata"]["name"])


def _unready(pod: Object) -> str:
    name = pod["metadata"]["name"]
    for condition in (pod.get("status") or {}).get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return f"no node has room for pod {name}: {_line(condition.get('message') or '')}"
    return f"pod {name} did not become ready in time"


def is_ready(pod: Object) -> bool:
    """Tell whether a pod is one that clients are passed to."""
    conditions = (pod.get("status") or {}).get("conditions") or []
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
    return ready and not is_ending(pod)


def is_ending(pod: Object) -> bool:
    """Tell whether a pod was told to end."""
    return pod["metadata"].get("deletionTimestamp") is not None


def _pod_faults(pod: Object, known: Restarts) -> Iterator[Fault]:
    status = pod.get("status") or {}
    if is_ending(pod) or str(status.get("reason") or "").startswith(NOT_OURS):
        return
    name = pod["metadata"]["name"]
    for container in _statuses(pod):
        inside, state = container["name"], container.get("state") or {}
        if known.get((name, inside), -1) >= int(container.get("restartCount") or 0):
            continue
        waiting = state.get("waiting") or {}
        reason = waiting.get("reason") or ""
        ended = state.get("terminated") or (container.get("lastState") or {}).get("terminated")
        if ended and _is_fault(ended, container, status):
            again = bool(container.get("restartCount"))
            restarted = again and "terminated" not in state
            cause = f"pod {name}: {_end(inside, ended)}"
            yield Fault("ended", cause, name, inside, restarted=restarted, ended=True)
        elif reason in AT_ONCE or reason in WAIT:
            message = _line(waiting.get("message") or "")
            cause = f"pod {name}: {reason}{f': {message}' if message else ''}"
            yield Fault(
                reason,
                cause,
                name,
                inside,
                at_once=reason in AT_ONCE,
                of_image=reason in IMAGE,
            )
    if status.get("phase") == "Failed":
        message = _line(status.get("message") or status.get("reason") or "it failed")
        yield Fault("Failed", f"pod {name}: {message}", name)


def _is_fault(ended: Object, container: Object, status: Object) -> bool:
    """Tell whether a container should not have ended: all but those that prepare a pod."""
    prepares = any(
        each["name"] == container["name"] for each in status.get("initContainerStatuses") or []
    )
    return not prepares or ended.get("exitCode") != 0


def _end(container: str, ended: Object) -> str:
    """Say how a container ended."""
    what = "the app" if container == "app" else container
    if ended.get("reason") == "OOMKilled":
        return f"{what} was killed, as it used more memory than its limit"
    code = ended.get("exitCode")
    # 128 and the signal: SIGKILL and SIGTERM are how a node ends what fails its probes.
    if code in (137, 143):
        return f"{what} was ended by signal {code - 128}, as nodes end what fails its probes"
    return f"{what} ended with exit code {code}"


KILLED = re.compile(r"failed (startup|liveness) probe")
"""What a node says of a container that it ends for that."""


def complaint(events: Iterable[Object]) -> str | None:
    """Return what a probe has said last of a pod that was ended for it, or None.

    events: of the pod, in the order of time. Without this, an app that ends well by SIGTERM would
    seem to have ended by itself.
    """
    said: dict[str, str] = {}
    found = None
    for each in events:
        message = _line(each.get("message") or "")
        if each.get("reason") == "Unhealthy":
            said[message.partition(" ")[0].lower()] = message
        elif each.get("reason") == "Killing" and (match := KILLED.search(message)):
            found = match[1]
    return said.get(found) if found else None


def _line(text: str) -> str:
    return readable(" ".join(text.split()))
