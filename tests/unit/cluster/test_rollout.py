"""How far new pods have come, and what is wrong with them."""

import copy
from typing import Any

import pytest

from wsdeploy.cluster import found, release, rollout
from wsdeploy.cluster.found import Found
from wsdeploy.cluster.manifest import Object


def pod(number: int, of: str = "ws-new", **status: Any) -> Object:
    metadata = {"name": f"{of}-{number}", "ownerReferences": [{"kind": "ReplicaSet", "name": of}]}
    return {"kind": "Pod", "metadata": metadata, "spec": {}, "status": status}


def container(restarts: int = 0, name: str = "app", **states: Any) -> Object:
    return {"name": name, "restartCount": restarts, **states}


def cluster(*pods: Object, new: int = 0, old: int = 2, **deployment: Any) -> Found:
    """A Deployment of two pods: how many new ones are available, and old ones are left."""
    status = {
        "observedGeneration": 5,
        "updatedReplicas": 2,
        "replicas": 2 + old,
        **deployment,
    }
    metadata = {"name": "ws", "generation": 5, "annotations": {found.REVISION: "2"}}
    sets = [
        {
            "kind": "ReplicaSet",
            "metadata": {
                "name": name,
                "annotations": {found.REVISION: revision},
                "ownerReferences": [{"kind": "Deployment", "name": "ws"}],
            },
            "status": {"availableReplicas": available, "readyReplicas": available},
        }
        for name, revision, available in (("ws-new", "2", new), ("ws-old", "1", old))
    ]
    ws = {"kind": "Deployment", "metadata": metadata, "spec": {"replicas": 2}, "status": status}
    return Found("ws", (ws, *sets, *pods))


@pytest.mark.parametrize(
    ("there", "text", "done"),
    [
        (cluster(), "0 of 2 new pods ready, 2 old ones left", False),
        (cluster(new=1, old=1), "1 of 2 new pods ready, 1 old one left", False),
        (cluster(new=2, old=0), "2 of 2 new pods ready", True),
        (cluster(new=2, old=1), "2 of 2 new pods ready, 1 old one left", False),
        # The cluster has not looked at it yet: these numbers are of what was before.
        (cluster(new=2, old=0, observedGeneration=4), "0 of 2 new pods ready", False),
        (cluster(new=2, old=0, updatedReplicas=1), "1 of 2 new pods ready, 1 old one left", False),
    ],
)
def test_how_far_it_has_come(there: Found, text: str, done: bool) -> None:
    state = rollout.look(there, "ws")
    assert (str(state), state.done) == (text, done)


ENDED = {"exitCode": 1, "reason": "Error"}
FAULTS: list[tuple[Object, str, bool]] = [
    (
        {"containerStatuses": [container(state={"terminated": ENDED})]},
        "pod ws-new-0: the app ended with exit code 1",
        True,
    ),
    (
        {
            "containerStatuses": [
                container(
                    1,
                    state={"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}},
                    lastState={"terminated": ENDED | {"exitCode": 0}},
                )
            ]
        },
        "pod ws-new-0: the app ended with exit code 0",
        True,
    ),
    (
        # The startup probe has failed for `start_timeout`.
        {
            "containerStatuses": [
                container(1, state={"running": {}}, lastState={"terminated": {"exitCode": 137}})
            ]
        },
        "pod ws-new-0: the app was ended by signal 9, as nodes end what fails its probes",
        True,
    ),
    (
        {
            "containerStatuses": [
                container(state={"terminated": {"exitCode": 137, "reason": "OOMKilled"}})
            ]
        },
        "pod ws-new-0: the app was killed, as it used more memory than its limit",
        True,
    ),
    (
        {
            "containerStatuses": [
                container(state={"waiting": {"reason": "ImagePullBackOff", "message": "no\n such"}})
            ]
        },
        "pod ws-new-0: ImagePullBackOff: no such",
        True,
    ),
    (
        {"containerStatuses": [container(state={"waiting": {"reason": "ErrImagePull"}})]},
        "pod ws-new-0: ErrImagePull",
        False,
    ),
    (
        {
            "containerStatuses": [
                container(
                    state={
                        "waiting": {
                            "reason": "CreateContainerConfigError",
                            "message": 'secret "ws-1" not found',
                        }
                    }
                )
            ]
        },
        'pod ws-new-0: CreateContainerConfigError: secret "ws-1" not found',
        False,
    ),
    (
        {
            "initContainerStatuses": [
                container(name="mesh", state={"terminated": {"exitCode": 3}}),
            ]
        },
        "pod ws-new-0: mesh ended with exit code 3",
        True,
    ),
    (
        {"phase": "Failed", "reason": "SysctlForbidden", "message": "forbidden sysctl"},
        "pod ws-new-0: forbidden sysctl",
        True,
    ),
]


@pytest.mark.parametrize(("status", "cause", "at_once"), FAULTS, ids=[it[1] for it in FAULTS])
def test_what_is_wrong_with_a_pod(status: Object, cause: str, at_once: bool) -> None:
    there = cluster(pod(0, **status))
    (fault,) = rollout.look(there, "ws").faults
    assert (fault.cause, fault.at_once, fault.pod) == (cause, at_once, "ws-new-0")
    # It was so before: another run's doing.
    assert not rollout.look(there, "ws", there).faults or status.get("phase") == "Failed"
    # A pod that is going anyway is no fault of the release, nor is one of the old ones.
    going = copy.deepcopy(there)
    going.objects[-1]["metadata"]["deletionTimestamp"] = "2026-11-30T10:00:00Z"
    assert not rollout.look(going, "ws").faults
    assert not rollout.look(cluster(pod(0, of="ws-old", **status)), "ws").faults


def test_what_ends_after_the_run_began_counts_though_the_pod_was_there() -> None:
    last = {"terminated": ENDED}
    before = cluster(
        pod(0, containerStatuses=[container(1, state={"running": {}}, lastState=last)])
    )
    after = cluster(pod(0, containerStatuses=[container(2, state={"running": {}}, lastState=last)]))
    assert not rollout.look(before, "ws", before).faults
    (fault,) = rollout.look(after, "ws", before).faults
    assert fault.restarted


@pytest.mark.parametrize(
    "status",
    [
        {"containerStatuses": [container(state={"waiting": {"reason": "ContainerCreating"}})]},
        {"containerStatuses": [container(state={"running": {}})]},
        {"phase": "Pending"},
        {"phase": "Failed", "reason": "Evicted", "message": "The node was low on memory"},
        {"phase": "Failed", "reason": "OutOfcpu"},
        {"phase": "Failed", "reason": "UnexpectedAdmissionError"},
        {"initContainerStatuses": [container(state={"terminated": {"exitCode": 0}})]},
    ],
)
def test_what_is_no_fault(status: Object) -> None:
    assert not rollout.look(cluster(pod(0, **status)), "ws").faults


@pytest.mark.parametrize(
    ("there", "unfinished"),
    [
        (cluster(new=2, old=0), False),
        (cluster(new=2, old=1), True),
        # Nothing of it has ever served, or not all.
        (cluster(new=0, old=0), True),
        (cluster(new=1, old=0, conditions=[{"reason": "ReplicaSetUpdated"}]), True),
        (cluster(new=2, old=0, conditions=[{"reason": "ReplicaSetUpdated"}]), False),
        # A pod has failed since, which another rollout would not mend.
        (cluster(new=1, old=0, conditions=[{"reason": "NewReplicaSetAvailable"}]), False),
    ],
)
def test_what_an_earlier_run_has_not_finished(there: Found, unfinished: bool) -> None:
    ws = there.objects[0]
    ws["metadata"]["labels"] = {found.NAME: "ws", found.MANAGED: found.MANAGER}
    for each in ws["status"].get("conditions", []):
        each |= {"type": "Progressing", "status": "True"}
    assert release.Plan(there, (), ()).is_unfinished == unfinished


def test_a_deadline_names_the_pod_that_is_not_ready() -> None:
    condition = {
        "type": "Progressing",
        "status": "False",
        "reason": "ProgressDeadlineExceeded",
        "message": "has timed out progressing.",
    }
    scheduled = {"type": "PodScheduled", "status": "False", "message": "0/3 nodes: cpu"}
    ready = pod(0, conditions=[{"type": "Ready", "status": "True"}])
    there = cluster(ready, pod(1, conditions=[scheduled]), conditions=[condition])
    (fault,) = rollout.look(there, "ws").faults
    assert fault.cause == "no node has room for pod ws-new-1: 0/3 nodes: cpu"
    (fault,) = rollout.look(cluster(ready, pod(1), conditions=[condition]), "ws").faults
    assert fault.cause == "pod ws-new-1 did not become ready in time"
    # Of a Deployment before its change.
    assert not rollout.look(cluster(conditions=[condition], observedGeneration=4), "ws").faults


def test_pods_that_the_cluster_refuses_to_make() -> None:
    condition = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}
    (fault,) = rollout.look(cluster(conditions=[condition]), "ws").faults
    assert (fault.cause, fault.at_once) == ("the cluster makes no pods: exceeded quota", False)


def test_a_rollout_that_makes_no_progress() -> None:
    pending = [{"type": "PodScheduled", "status": "False", "message": "0/3 nodes: cpu"}]
    there = cluster(pod(0, conditions=pending))
    assert rollout.stuck(there, "ws").cause == "no node has room for pod ws-new-0: 0/3 nodes: cpu"
    assert rollout.stuck(cluster(), "ws").cause.startswith("the cluster makes no new pods")
    assert rollout.limit(there, "ws") == 600 + rollout.LATE
    there.objects[0]["spec"]["paused"] = True
    (fault,) = rollout.look(there, "ws").faults
    assert fault.cause.endswith(": kubectl rollout resume deployment/ws")


def test_what_a_cluster_says_does_not_reach_the_terminal_as_it_is() -> None:
    waiting = {"waiting": {"reason": "ErrImagePull", "message": "\x1b]0;pwn\x07"}}
    (fault,) = rollout.look(
        cluster(pod(0, containerStatuses=[container(state=waiting)])), "ws"
    ).faults
    assert "\x1b" not in fault.cause


def test_a_deployment_that_is_gone() -> None:
    (fault,) = rollout.look(Found("ws"), "ws").faults
    assert fault.cause == "somebody has deleted the Deployment ws"
