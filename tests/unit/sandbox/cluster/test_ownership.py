"""Server-side apply, and who owns which field after it."""

import copy
from typing import Any

import pytest

from wsdeploy_sandbox.cluster import ownership
from wsdeploy_sandbox.cluster.ownership import Conflict

NOW = "2026-11-30T00:00:00Z"


def deployment(**container: Any) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "ws", "namespace": "chat", "labels": {"a": "1"}},
        "spec": {
            "replicas": 2,
            "template": {"spec": {"containers": [{"name": "app", "image": "ws:1"} | container]}},
        },
    }


def apply(
    live: dict[str, Any] | None, applied: dict[str, Any], who: str = "me", *, force: bool = False
) -> dict[str, Any]:
    return ownership.apply(live, applied, who, NOW, force=force)


def container(value: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = value["spec"]["template"]["spec"]["containers"][0]
    return found


def test_what_is_applied_twice_stays_the_same() -> None:
    once = apply(None, deployment())
    assert apply(once, deployment()) == once


def test_a_field_that_is_no_longer_applied_is_gone() -> None:
    live = apply(None, deployment(env=[{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]))
    live["spec"]["template"]["spec"]["restartPolicy"] = "Always"
    new = apply(live, deployment(env=[{"name": "B", "value": "3"}]))
    assert container(new)["env"] == [{"name": "B", "value": "3"}]
    assert "env" not in container(apply(new, deployment()))
    # What nobody has applied is not touched.
    assert new["spec"]["template"]["spec"]["restartPolicy"] == "Always"


def test_a_field_that_another_one_applies_too_stays() -> None:
    live = apply(None, deployment(workingDir="/"))
    live = apply(live, deployment(workingDir="/"), "another")
    assert container(apply(live, deployment()))["workingDir"] == "/"


def test_the_value_of_another_one_is_a_conflict() -> None:
    live = apply(None, deployment())
    edited = copy.deepcopy(live)
    container(edited)["image"] = "ws:2"
    ownership.updated(live, edited, "kubectl-edit", NOW)
    with pytest.raises(Conflict) as error:
        apply(edited, deployment())
    path = '.spec.template.spec.containers[name="app"].image'
    wanted = f'Apply failed with 1 conflict: conflict with "kubectl-edit": {path}'
    assert str(error.value) == wanted
    forced = apply(edited, deployment(), force=True)
    assert container(forced)["image"] == "ws:1"
    # It is ours again.
    assert apply(forced, deployment(image="ws:3"))


def test_an_update_takes_only_what_it_changes() -> None:
    live = apply(None, deployment())
    scaled = copy.deepcopy(live)
    scaled["spec"]["replicas"] = 3
    ownership.updated(live, scaled, "kubectl", NOW)
    owned = ownership.managers(scaled)
    assert owned["kubectl", "Update"] == {("f:spec", "f:replicas")}
    assert ("f:spec", "f:replicas") not in owned["me", "Apply"]
    assert apply(scaled, deployment(image="ws:2") | {"spec": {"replicas": 3}})


def test_fields_are_kept_as_kubernetes_keeps_them() -> None:
    fields = apply(None, deployment())["metadata"]["managedFields"][0]["fieldsV1"]
    assert fields["f:spec"]["f:template"]["f:spec"]["f:containers"] == {
        'k:{"name":"app"}': {".": {}, "f:name": {}, "f:image": {}}
    }
    assert ownership.encode(ownership.decode(fields)) == fields


def test_a_strategic_patch_knows_containers_by_their_names() -> None:
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "app", "image": "ws:2"}]}}}}
    new = ownership.strategic(deployment(env=[{"name": "A", "value": "1"}]), patch)
    assert container(new) == {
        "name": "app",
        "image": "ws:2",
        "env": [{"name": "A", "value": "1"}],
    }


def test_other_patches() -> None:
    assert ownership.merge_patch({"a": 1, "b": {"c": 2}}, {"a": None, "b": {"d": 3}}) == {
        "b": {"c": 2, "d": 3}
    }
    operations: list[dict[str, Any]] = [
        {"op": "replace", "path": "/spec/replicas", "value": 3},
        {"op": "add", "path": "/metadata/labels/x~1y", "value": "2"},
        {"op": "remove", "path": "/spec/template"},
    ]
    new = ownership.json_patch(deployment(), operations)
    assert (new["spec"], new["metadata"]["labels"]) == ({"replicas": 3}, {"a": "1", "x/y": "2"})
