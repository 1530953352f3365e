"""Deployments, from objects to pods, with pods that are ready when a test says so."""

import copy
import time
from typing import Any

import pytest

from wsdeploy_sandbox.cluster import controllers, rollout
from wsdeploy_sandbox.cluster.controllers import REVISION
from wsdeploy_sandbox.cluster.store import Object, Store


class Cluster:
    """A store, and what controllers and a kubelet make of it, step by step."""

    def __init__(self) -> None:
        self.store = Store()
        self.least = 1_000

    def apply(self, image: str, **spec: Any) -> None:
        template = {
            "metadata": {"labels": {"a": "1"}},
            "spec": {"containers": [{"name": "app", "image": image}]},
        }
        wanted = {
            "replicas": 2,
            "revisionHistoryLimit": 2,
            "progressDeadlineSeconds": 600,
            "selector": {"matchLabels": {"a": "1"}},
            "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": template,
        } | spec
        value = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "ws", "namespace": "chat"},
            "spec": wanted,
            "status": {},
        }
        if self.store.get("Deployment", "chat", "ws"):
            self.store.change("Deployment", "chat", "ws", lambda it: it.update(spec=wanted))
        else:
            self.store.create(value)

    def deployment(self) -> Object:
        found = self.store.get("Deployment", "chat", "ws")
        assert found
        return found

    def pods(self) -> list[Object]:
        return self.store.list("Pod")

    def images(self) -> list[str]:
        return sorted(pod["spec"]["containers"][0]["image"] for pod in self.pods())

    def settle(self, *broken: str) -> None:
        """Go on until nothing changes any more. broken: images whose pods are never ready."""
        before = -1
        while before != self.store.revision:
            before = self.store.revision
            for each in self.store.list("Deployment"):
                controllers.deployment(self.store, each)
            for each in self.store.list("ReplicaSet"):
                controllers.replica_set(self.store, each)
            controllers.collect_garbage(self.store)
            for pod in self.pods():
                self._play(pod, broken)
            ready = sum(rollout.is_ready(pod) for pod in self.pods())
            if ready:
                self.least = min(self.least, ready)

    def _play(self, pod: Object, broken: tuple[str, ...]) -> None:
        meta = pod["metadata"]
        if "deletionTimestamp" in meta:
            self.store.remove("Pod", meta["namespace"], meta["name"])
            return
        ok = pod["spec"]["containers"][0]["image"] not in broken
        ready = rollout.condition("Ready", ok, ("", ""), "2026-11-30T00:00:00Z", [])
        status = {"phase": "Running", "conditions": [ready]}
        how = lambda it: it.update(status=status)  # noqa: E731
        self.store.change("Pod", meta["namespace"], meta["name"], how)

    def condition(self, kind: str) -> tuple[str, str]:
        (found,) = [it for it in self.deployment()["status"]["conditions"] if it["type"] == kind]
        return found["status"], found["reason"]


@pytest.fixture
def cluster() -> Cluster:
    cluster = Cluster()
    cluster.apply("ws:1")
    cluster.settle()
    return cluster


def test_pods_come_from_a_deployment(cluster: Cluster) -> None:
    assert cluster.images() == ["ws:1"] * 2
    status = cluster.deployment()["status"]
    counts = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
    assert [status[name] for name in counts] == [2] * 4
    assert cluster.condition("Available") == ("True", "MinimumReplicasAvailable")
    assert cluster.condition("Progressing") == ("True", "NewReplicaSetAvailable")


def test_a_new_release_never_has_fewer_pods(cluster: Cluster) -> None:
    cluster.least = 1_000
    cluster.apply("ws:2")
    cluster.settle()
    assert cluster.images() == ["ws:2"] * 2
    assert cluster.least == 2
    assert cluster.deployment()["metadata"]["annotations"][REVISION] == "2"


def test_a_release_that_is_never_ready_stops_there(cluster: Cluster) -> None:
    cluster.apply("ws:2", progressDeadlineSeconds=0)
    cluster.settle("ws:2")
    assert cluster.images() == ["ws:1", "ws:1", "ws:2"]
    assert cluster.condition("Available")[0] == "True"


def test_a_deadline_is_said(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster.apply("ws:2")
    cluster.settle("ws:2")
    assert cluster.condition("Progressing") == ("True", "ReplicaSetUpdated")
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 601)
    cluster.settle("ws:2")
    assert cluster.condition("Progressing") == ("False", "ProgressDeadlineExceeded")


def test_a_template_of_before_is_the_newest_again(cluster: Cluster) -> None:
    sets = {it["metadata"]["name"] for it in cluster.store.list("ReplicaSet")}
    cluster.apply("ws:2")
    cluster.settle()
    cluster.apply("ws:1")
    cluster.settle()
    assert cluster.images() == ["ws:1"] * 2
    used = [it for it in cluster.store.list("ReplicaSet") if it["spec"]["replicas"]]
    assert {it["metadata"]["name"] for it in used} == sets
    assert used[0]["metadata"]["annotations"][REVISION] == "3"


def test_only_so_many_earlier_ones_are_kept(cluster: Cluster) -> None:
    for number in range(2, 7):
        cluster.apply(f"ws:{number}")
        cluster.settle()
    assert len(cluster.store.list("ReplicaSet")) == 3


def test_a_deleted_deployment_takes_its_pods_with_it(cluster: Cluster) -> None:
    cluster.store.remove("Deployment", "chat", "ws")
    cluster.settle()
    assert (cluster.pods(), cluster.store.list("ReplicaSet")) == ([], [])


def test_a_pod_that_is_deleted_comes_back(cluster: Cluster) -> None:
    gone = copy.deepcopy(cluster.pods()[0])
    controllers.delete_pod(cluster.store, gone, 0)
    cluster.settle()
    assert len(cluster.pods()) == 2
    assert gone["metadata"]["uid"] not in {pod["metadata"]["uid"] for pod in cluster.pods()}
