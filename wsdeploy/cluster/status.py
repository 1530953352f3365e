"""What goes on with a service in a cluster, as far as the cluster tells. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from wsdeploy.cluster import found, rollout
from wsdeploy.cluster.found import Found
from wsdeploy.plan import summary
from wsdeploy.plan.status.problems import Level, Problem
from wsdeploy.plan.status.screen import table

HEAD = ("POD", "RELEASE", "REVISION", "STATE", "READY", "RESTARTS", "NODE")


@dataclass(frozen=True)
class PodStatus:
    """A pod of the app."""

    name: str
    release: str
    revision: int
    state: str
    ready: bool
    restarts: int
    node: str


@dataclass(frozen=True)
class ClusterStatus:
    """A service in a cluster."""

    address: str
    namespace: str
    pods: tuple[PodStatus, ...]
    problems: tuple[Problem, ...]

    @property
    def level(self) -> Level:
        """How bad it is; also the exit code."""
        return max((each.level for each in self.problems), default=Level.WELL)

    def to_json(self) -> dict[str, Any]:
        """Return it for programs."""
        return {**asdict(self), "state": _word(self.level), "code": int(self.level)}

    def lines(self) -> Iterator[str]:
        """Yield the lines of the screen."""
        count = f": {len(self.problems)} to look at" if self.problems else ""
        yield f"{self.address}  {_word(self.level).upper()}{count}  namespace {self.namespace}"
        yield ""
        for each in self.problems:
            yield f"{'!!' if each.level is Level.DOWN else '!'} {summary.readable(each.text)}"
            yield f"     {summary.readable(each.way_out)}"
        yield from table(
            HEAD,
            [
                [
                    pod.name, pod.release, str(pod.revision), pod.state,
                    "yes" if pod.ready else "no", str(pod.restarts), pod.node,
                ]
                for pod in self.pods
            ],
        )  # fmt: skip


def look(there: Found, name: str, address: str, namespace: str) -> ClusterStatus:
    """Return what goes on with a service. name: of its Deployment."""
    now = rollout.look(there, name)
    pods = tuple(_pods(there, name))
    logs = f"kubectl -n {namespace} logs deployment/{name} --all-containers --tail 50"
    problems = [
        Problem(Level.DEGRADED, each.pod or "", f"{each.pod or name}: {each.cause}", logs)
        for each in now.faults
    ]
    if not any(pod.ready for pod in pods):
        down = Problem(Level.DOWN, "", "no pod of the app is ready", f"{logs}; wsdeploy.rollback")
        problems.insert(0, down)
    elif not now.done and not problems:
        problems.append(
            Problem(Level.DEGRADED, "", str(now), f"kubectl -n {namespace} get pods; it may pass")
        )
    return ClusterStatus(address, namespace, pods, tuple(problems))


def _pods(there: Found, name: str) -> Iterator[PodStatus]:
    restarts = rollout.restarts(there)
    for each in there.replica_sets(name):
        for pod in there.pods(each["metadata"]["name"]):
            own, status = pod["metadata"]["name"], pod.get("status") or {}
            conditions = status.get("conditions") or []
            leaves = "deletionTimestamp" in pod["metadata"]
            yield PodStatus(
                own,
                found.release(each) or "?",
                found.revision(each),
                "draining" if leaves else str(status.get("phase", "?")).lower(),
                any(it["type"] == "Ready" and it["status"] == "True" for it in conditions),
                sum(count for (of, _), count in restarts.items() if of == own),
                str(pod["spec"].get("nodeName") or "-"),
            )


def _word(level: Level) -> str:
    return {Level.WELL: "serves", Level.DEGRADED: "degraded", Level.DOWN: "down"}[level]
