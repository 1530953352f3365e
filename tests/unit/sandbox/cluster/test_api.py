"""What the API answers, without a connection."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from wsdeploy_sandbox.cluster.admission import Refused
from wsdeploy_sandbox.cluster.api import APPLY, Request
from wsdeploy_sandbox.cluster.store import Store

MAPS = "/api/v1/namespaces/chat/configmaps"
DEPLOYMENT = "/apis/apps/v1/namespaces/chat/deployments/ws"


@pytest.fixture
def store() -> Store:
    store = Store()
    store.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "chat"}})
    return store


def ask(
    store: Store, method: str, path: str, body: Any = None, kind: str = "", **query: str
) -> tuple[int, Any]:
    request = Request(store, method, path, query, agent="pytest")
    answer = request.answer(kind, b"" if body is None else json.dumps(body).encode())
    assert not isinstance(answer, Iterator)
    return answer


def refused(store: Store, *words: Any, **query: str) -> tuple[int, str]:
    with pytest.raises(Refused) as error:
        ask(store, *words, **query)
    return error.value.code, str(error.value)


def config_map(name: str = "ws", **data: str) -> dict[str, Any]:
    head = {"name": name, "namespace": "chat", "labels": {"name": name}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": head, "data": data}


def deployment(**spec: Any) -> dict[str, Any]:
    template = {
        "metadata": {"labels": {"a": "1"}},
        "spec": {"containers": [{"name": "app", "image": "ws:1"}]},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "ws", "namespace": "chat"},
        "spec": {"selector": {"matchLabels": {"a": "1"}}, "template": template} | spec,
    }


def test_what_is_applied_is_there_and_stays_the_same(store: Store) -> None:
    place = f"{MAPS}/ws"
    code, made = ask(store, "PATCH", place, config_map(A="1"), APPLY, fieldManager="me")
    assert (code, made["data"], made["metadata"]["generation"]) == (201, {"A": "1"}, 1)
    revision = store.revision
    assert ask(store, "PATCH", place, config_map(A="1"), APPLY, fieldManager="me") == (200, made)
    assert store.revision == revision
    code, new = ask(store, "PATCH", place, config_map(B="2"), APPLY, fieldManager="me")
    assert (code, new["data"]) == (200, {"B": "2"})


def test_a_dry_run_changes_nothing(store: Store) -> None:
    said = ask(store, "PATCH", f"{MAPS}/ws", config_map(A="1"), APPLY, dryRun="All")
    assert (said[0], said[1]["data"]) == (201, {"A": "1"})
    assert refused(store, "GET", f"{MAPS}/ws") == (404, 'configmaps "ws" not found')


def test_lists_and_watches(store: Store) -> None:
    for name in ("one", "two"):
        ask(store, "POST", MAPS, config_map(name))
    _, listed = ask(store, "GET", MAPS, labelSelector="name=two")
    assert [each["metadata"]["name"] for each in listed["items"]] == ["two"]
    _, listed = ask(store, "GET", "/api/v1/configmaps", fieldSelector="metadata.name=one")
    assert [each["metadata"]["name"] for each in listed["items"]] == ["one"]
    since = {"resourceVersion": listed["metadata"]["resourceVersion"], "watch": "true"}
    watch = Request(store, "GET", MAPS, since | {"timeoutSeconds": "60"}, agent="pytest")
    events = watch.answer("", b"")
    assert isinstance(events, Iterator)
    ask(store, "DELETE", f"{MAPS}/one")
    event = json.loads(next(events))
    assert (event["type"], event["object"]["metadata"]["name"]) == ("DELETED", "one")


def test_a_deployment_is_scaled(store: Store) -> None:
    ask(store, "PATCH", DEPLOYMENT, deployment(), APPLY)
    patch = {"spec": {"replicas": 3}}
    merge = "application/merge-patch+json"
    _, scale = ask(store, "PATCH", f"{DEPLOYMENT}/scale", patch, merge)
    assert (scale["kind"], scale["spec"]) == ("Scale", {"replicas": 3})
    _, now = ask(store, "GET", DEPLOYMENT)
    assert (now["spec"]["replicas"], now["metadata"]["generation"]) == (3, 2)


def test_what_somebody_else_has_changed_is_not_overwritten(store: Store) -> None:
    _, seen = ask(store, "POST", MAPS, config_map(A="1"))
    ask(store, "PUT", f"{MAPS}/ws", {**seen, "data": {"A": "2"}})
    code, said = refused(store, "PUT", f"{MAPS}/ws", {**seen, "data": {"A": "3"}})
    assert (code, "has been modified" in said) == (409, True)


def test_what_is_not_there(store: Store) -> None:
    assert refused(store, "GET", "/apis/apps/v1/namespaces/chat/daemonsets")[0] == 404
    elsewhere = config_map() | {"metadata": {"name": "ws", "namespace": "other"}}
    place = "/api/v1/namespaces/other/configmaps"
    assert refused(store, "POST", place, elsewhere) == (404, 'namespaces "other" not found')


def test_discovery_names_every_kind_once(store: Store) -> None:
    _, groups = ask(store, "GET", "/apis")
    versions = [each["preferredVersion"]["groupVersion"] for each in groups["groups"]]
    assert len(versions) == len(set(versions))
    found = [ask(store, "GET", f"/apis/{it}")[1]["resources"] for it in versions]
    names = [each["name"] for resources in found for each in resources]
    assert {"deployments", "deployments/scale", "httproutes", "leases"} <= set(names)
