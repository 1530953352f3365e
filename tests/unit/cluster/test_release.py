"""What is sent to a cluster, next to what is there."""

import base64
import copy
import dataclasses
import json
from typing import Any

from tests.unit.cluster.conftest import DIGEST, Plan, every, one
from wsdeploy import FromEnv, Image, Kubernetes, Replicas
from wsdeploy.cluster import found, objects, release
from wsdeploy.cluster.found import Found, key
from wsdeploy.cluster.manifest import Object
from wsdeploy.cluster.target import ClusterTarget
from wshost.requests import Commit

COMMIT: Commit = {"id": "77ab210", "subject": "Fix typo", "changed": False}
LATER: Commit = {"id": "88bc321", "subject": "Correct the README", "changed": False}


def sent(target: ClusterTarget, there: Found, commit: Commit | None = COMMIT) -> Object:
    """The Deployment as it is sent."""
    made = release.prepared(target, every(target), there, commit)
    return next(each for each in made if key(each) == ("Deployment", target.name))


def cluster(deployment: Object, owned: Any = None, **spec: Any) -> Found:
    """A cluster that has a Deployment."""
    live = copy.deepcopy(deployment)
    live["spec"] |= spec
    if owned is not None:
        entry = {"manager": "wsdeploy", "operation": "Apply", "fieldsV1": owned}
        live["metadata"]["managedFields"] = [entry]
    return Found("ws", (live,))


def test_a_deployment_says_what_it_was_built_from(plan: Plan) -> None:
    target = plan()
    deployment = sent(target, Found("ws"))
    noted = deployment["metadata"]["annotations"]
    assert noted["wsdeploy/release"] == target.release
    assert json.loads(noted["wsdeploy/commit"]) == COMMIT
    # On pods, it would make new ones.
    assert "77ab210" not in json.dumps(deployment["spec"])
    assert found.commit(deployment) == COMMIT


def test_another_commit_with_the_same_release_changes_nothing(plan: Plan) -> None:
    first = sent(plan(), Found("ws"))
    assert sent(plan(), cluster(first), LATER) == first
    # One that was not known is noted.
    unknown = sent(plan(), Found("ws"), None)
    assert "wsdeploy/commit" not in unknown["metadata"]["annotations"]
    assert found.commit(sent(plan(), cluster(unknown), LATER)) == LATER
    other = dataclasses.replace(plan(), release="0123456789ab")
    assert found.commit(sent(other, cluster(first), LATER)) == LATER


def test_a_digest_stays_as_long_as_the_image_does(plan: Plan) -> None:
    target = plan()
    pinned = dataclasses.replace(target, digest=DIGEST)
    for given in (target, pinned):
        deployment = one(given, "Deployment")
        of = {"name": "ws-1", "ownerReferences": [{"kind": "Deployment", "name": "ws"}]}
        made: Object = {"kind": "ReplicaSet", "metadata": of, "spec": deployment["spec"]}
        serves = made | {"status": {"readyReplicas": 1}}
        there = Found("ws", (deployment, serves))
        assert release.image_there(target, there) == given.pinned_image
        # What it asks for may be nowhere.
        assert release.image_there(target, Found("ws", (deployment, made))) is None
    other = dataclasses.replace(target, release="0123456789ab")
    assert release.image_there(other, there) is None
    assert release.image_there(target, Found("ws")) is None


def test_an_autoscaler_keeps_its_number_of_pods(plan: Plan) -> None:
    target = plan(replicas=Replicas(3, 9))
    # Else there would be one pod until the autoscaler has looked.
    first = sent(target, Found("ws"))
    assert first["spec"]["replicas"] == 3
    # It was ours: without it, the cluster would have one.
    ours: Any = {"f:spec": {"f:replicas": {}}}
    assert sent(target, cluster(first, ours, replicas=5))["spec"]["replicas"] == 5
    theirs: Any = {"f:spec": {}}
    assert "replicas" not in sent(target, cluster(first, theirs, replicas=5))["spec"]
    fixed = plan(replicas=4)
    assert sent(fixed, cluster(first, theirs, replicas=5))["spec"]["replicas"] == 4


def test_pods_that_were_replaced_are_not_so_again(plan: Plan) -> None:
    first = sent(plan(), Found("ws"))
    restarted = release.restarted(first, "2026-11-30T10:00:00Z")
    assert restarted["spec"]["template"] != first["spec"]["template"]
    assert sent(plan(), cluster(restarted)) == restarted
    # kubectl's own is not ours to keep.
    theirs: Any = {"f:spec": {"f:template": {}}}
    assert sent(plan(), cluster(restarted, theirs))["spec"]["template"] == first["spec"]["template"]


def test_secrets_are_sent_as_the_cluster_keeps_them(plan: Plan, monkeypatch: Any) -> None:
    monkeypatch.setenv("API_KEY", "very-secret")
    target = plan(app={"secrets": {"API_KEY": FromEnv("API_KEY")}})
    made = release.prepared(target, every(target), Found("ws"), None)
    (secret,) = [each for each in made if each["kind"] == "Secret"]
    assert secret["data"] == {"API_KEY": base64.b64encode(b"very-secret").decode()}
    assert "stringData" not in secret


def test_nodes_pull_with_a_login_of_their_own(plan: Plan) -> None:
    image = Image("registry.a-company.com/chat", base=f"debian@{DIGEST}", pull_secret="registry")
    target = plan()
    private = dataclasses.replace(
        target, kubernetes=Kubernetes("chat", image, target.kubernetes.way_in)
    )
    spec = one(private, "Deployment")["spec"]["template"]["spec"]
    assert spec["imagePullSecrets"] == [{"name": "registry"}]
    assert "imagePullSecrets" not in one(target, "Deployment")["spec"]["template"]["spec"]
    (needed,) = objects.needed_secrets(private)
    assert (needed[0]["metadata"]["name"], needed[1]) == ("registry", (".dockerconfigjson",))
    assert "Secret registry has to be there, with .dockerconfigjson" in [
        *objects.missing_secrets(private)
    ]


def test_without_a_registry_nodes_pull_nothing(plan: Plan) -> None:
    image = Image("chat", base=f"debian@{DIGEST}", registry=None)
    target = plan()
    local = dataclasses.replace(
        target, kubernetes=Kubernetes("chat", image, target.kubernetes.way_in)
    )
    for each, policy in ((target, "IfNotPresent"), (local, "Never")):
        (container,) = one(each, "Deployment")["spec"]["template"]["spec"]["containers"]
        assert container["imagePullPolicy"] == policy
