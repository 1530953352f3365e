"""What is ours of an object: what it is put back to."""

import copy
from typing import Any

from wsdeploy.cluster import changes, fields, found
from wsdeploy.cluster.manifest import Object

# As a cluster notes it: f: for a field, k: for an item that is told apart by keys, v: for a value.
OWNED: Object = {
    "f:metadata": {
        "f:annotations": {"f:wsdeploy/release": {}},
        "f:labels": {"f:app.kubernetes.io/name": {}},
    },
    "f:spec": {
        "f:template": {
            "f:spec": {
                "f:containers": {
                    'k:{"name":"app"}': {
                        ".": {},
                        "f:command": {},
                        "f:env": {'k:{"name":"A"}': {".": {}, "f:name": {}, "f:value": {}}},
                        "f:image": {},
                        "f:name": {},
                    }
                },
                "f:volumes": {'k:{"name":"tmp"}': {".": {}, "f:emptyDir": {}, "f:name": {}}},
            }
        }
    },
}


def deployment(owned: Object | None = OWNED) -> Object:
    container = {
        "name": "app",
        "image": "chat:1",
        "command": ["python", "app.py"],
        "env": [{"name": "A", "value": "1"}, {"name": "THEIRS", "value": "2"}],
        "terminationMessagePath": "/dev/termination-log",
    }
    spec = {
        "containers": [container, {"name": "sidecar", "image": "mesh"}],
        "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "1Mi"}}],
        "dnsPolicy": "ClusterFirst",
    }
    entries = [{"manager": "kube-controller-manager", "operation": "Update", "fieldsV1": {}}]
    if owned is not None:
        entries.append({"manager": "wsdeploy", "operation": "Apply", "fieldsV1": owned})
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "ws",
            "namespace": "chat",
            "uid": "1",
            "resourceVersion": "7",
            "labels": {"app.kubernetes.io/name": "ws", "theirs": "yes"},
            "annotations": {"wsdeploy/release": "one", found.REVISION: "3"},
            "managedFields": entries,
        },
        "spec": {"replicas": 4, "template": {"spec": spec}},
        "status": {"replicas": 4},
    }


def test_only_what_we_have_applied_is_ours() -> None:
    assert fields.ours(deployment()) == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "ws",
            "namespace": "chat",
            "labels": {"app.kubernetes.io/name": "ws"},
            "annotations": {"wsdeploy/release": "one"},
        },
        "spec": {
            "template": {
                "spec": {
                    "containers": [
                        {
                            "name": "app",
                            "image": "chat:1",
                            "command": ["python", "app.py"],
                            "env": [{"name": "A", "value": "1"}],
                        }
                    ],
                    "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "1Mi"}}],
                }
            }
        },
    }


def test_values_of_a_set_and_empty_fields_are_kept() -> None:
    each: Object = deployment({"f:spec": {"f:a": {'v:"x"': {}}, "f:b": {".": {}}}})
    each["spec"] = {"a": ["x", "y"], "b": {}}
    assert fields.ours(each)["spec"] == {"a": ["x"], "b": {}}


def test_without_such_notes_it_is_all_but_what_the_cluster_alone_writes() -> None:
    kept = fields.ours(deployment(None))
    assert kept["spec"] == deployment()["spec"]
    assert "status" not in kept
    assert kept["metadata"] == {
        "name": "ws",
        "namespace": "chat",
        "labels": {"app.kubernetes.io/name": "ws", "theirs": "yes"},
        "annotations": {"wsdeploy/release": "one"},
    }


def test_the_number_of_pods_is_an_autoscalers_once_it_has_changed_it() -> None:
    assert not fields.owns(deployment(), "spec", "replicas")
    mine: Any = copy.deepcopy(OWNED)
    mine["f:spec"]["f:replicas"] = {}
    assert fields.owns(deployment(mine), "spec", "replicas")
    assert fields.owns(deployment(None), "spec", "replicas")


def test_an_earlier_template_comes_back_with_its_release() -> None:
    labels = {"app.kubernetes.io/name": "ws", "pod-template-hash": "123"}
    template = {
        "metadata": {"labels": labels, "creationTimestamp": None},
        "spec": {"containers": [{"name": "app", "image": "chat:0"}]},
    }
    old = {
        "kind": "ReplicaSet",
        "metadata": {"annotations": {"wsdeploy/release": "zero", "wsdeploy/by": "me"}},
        "spec": {"template": template},
    }
    wanted = fields.with_template(deployment(), old)
    assert wanted["metadata"]["annotations"] == {"wsdeploy/release": "zero", "wsdeploy/by": "me"}
    assert wanted["spec"]["template"] == {
        "metadata": {"labels": {"app.kubernetes.io/name": "ws"}},
        "spec": {"containers": [{"name": "app", "image": "chat:0"}]},
    }


def test_what_others_have_added_to_pods_is_named() -> None:
    wanted, live = fields.ours(deployment()), deployment()
    assert fields.of_others(live, wanted) == {}
    inside = live["spec"]["template"]["spec"]
    inside["containers"][0]["image"] = "chat:theirs"
    theirs: Object = {
        "f:replicas": {},
        "f:template": {
            "f:metadata": {"f:annotations": {"f:kubectl.kubernetes.io/restartedAt": {}}},
            "f:spec": {
                "f:containers": {
                    'k:{"name":"app"}': {
                        "f:env": {'k:{"name":"THEIRS"}': {".": {}, "f:name": {}, "f:value": {}}},
                        # Another image than ours is a difference, and goes.
                        "f:image": {},
                        "f:terminationMessagePath": {},
                    },
                    'k:{"name":"sidecar"}': {".": {}, "f:image": {}, "f:name": {}},
                    'k:{"name":"gone"}': {".": {}, "f:image": {}, "f:name": {}},
                },
                "f:dnsPolicy": {},
            },
        },
    }
    noted = live["spec"]["template"].setdefault("metadata", {}).setdefault("annotations", {})
    noted["kubectl.kubernetes.io/restartedAt"] = "2026-11-30T10:00:00Z"
    entry = {"manager": "kubectl-edit", "operation": "Update", "fieldsV1": {"f:spec": theirs}}
    live["metadata"]["managedFields"].append(entry)
    status: Object = {"f:spec": {"f:template": {"f:spec": {"f:hostNetwork": {}}}}}
    other = {"manager": "a", "operation": "Update", "fieldsV1": status, "subresource": "status"}
    live["metadata"]["managedFields"].append(other)
    paths = ["spec.containers[app].env[THEIRS]", "spec.containers[sidecar]"]
    assert fields.of_others(live, wanted) == {"kubectl-edit": paths}
    (line,) = changes.additions([wanted], found.Found("ws", (live,)))
    assert line == (
        "Deployment ws: kubectl-edit has added spec.containers[app].env[THEIRS], "
        "spec.containers[sidecar] to its pods, which stays; kubectl edit deployment ws takes it "
        "away"
    )
