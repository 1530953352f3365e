"""What the API refuses, and what it adds to an object."""

from typing import Any

import pytest

from wsdeploy_sandbox.cluster import admission, host
from wsdeploy_sandbox.cluster.admission import Refused
from wsdeploy_sandbox.cluster.store import Store


@pytest.fixture(autouse=True)
def _schemas(monkeypatch: pytest.MonkeyPatch) -> None:
    found = host.schemas()
    assert found
    monkeypatch.setattr(admission, "_schemas", lambda: found)


@pytest.fixture
def store() -> Store:
    store = Store()
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}}
    store.create(node | {"status": {"addresses": [{"address": "10.77.77.11"}]}})
    return store


def map_of(immutable: bool = True, **data: str) -> dict[str, Any]:
    head = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ws", "namespace": "a"}}
    return head | {"data": data, "immutable": immutable}


def deployment(seconds: int = 10, **spec: Any) -> dict[str, Any]:
    hook = {"preStop": {"sleep": {"seconds": seconds}}}
    pod = {"containers": [{"name": "app", "image": "ws", "lifecycle": hook}]}
    labels = {"a": "1"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "ws", "namespace": "a", "annotations": {}},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        }
        | spec,
    }


def service(**port: Any) -> dict[str, Any]:
    head = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "ws", "namespace": "a"}}
    return head | {"spec": {"type": "LoadBalancer", "ports": [port]}}


def refused(store: Store, old: dict[str, Any] | None, new: dict[str, Any]) -> str:
    with pytest.raises(Refused) as error:
        admission.admit(store, old, new)
    assert error.value.code == 422
    return str(error.value)


def test_defaults(store: Store) -> None:
    new = deployment()
    new["spec"]["template"]["spec"]["containers"][0]["ports"] = [{"containerPort": 8000}]
    admission.admit(store, None, new)
    (port,) = new["spec"]["template"]["spec"]["containers"][0]["ports"]
    assert port == {"containerPort": 8000, "protocol": "TCP"}
    assert new["spec"]["replicas"] == 1
    assert new["spec"]["strategy"] == {"type": "RollingUpdate"}
    assert "annotations" not in new["metadata"]
    ours = service(port=80, targetPort="ws")
    admission.admit(store, None, ours)
    assert ours["spec"]["clusterIP"] == "10.96.0.1"
    assert ours["status"] == {"loadBalancer": {"ingress": [{"ip": "10.77.77.11"}]}}


def test_what_is_secret_is_encoded(store: Store) -> None:
    secret = map_of() | {"kind": "Secret", "stringData": {"A": "1"}, "data": {}}
    admission.admit(store, None, secret)
    assert (secret["data"], "stringData" in secret) == ({"A": "MQ=="}, False)


def test_an_immutable_object_stays_as_it_is(store: Store) -> None:
    admission.admit(store, map_of(A="1"), map_of(A="1"))
    admission.admit(store, map_of(immutable=False, A="1"), map_of(A="2"))
    assert "field is immutable" in refused(store, map_of(A="1"), map_of(A="2"))
    assert "field is immutable" in refused(store, map_of(A="1"), map_of(immutable=False, A="1"))


def test_a_deployment_keeps_its_selector(store: Store) -> None:
    other = deployment(selector={"matchLabels": {"a": "1", "b": "2"}})
    assert "does not match template" in refused(store, None, other)
    assert "spec.selector: field is immutable" in refused(store, deployment(), other)


def test_a_hook_that_is_longer_than_the_pods_time(store: Store) -> None:
    assert "preStop.sleep" in refused(store, None, deployment(seconds=31))


def test_fields_that_kubernetes_does_not_know(store: Store) -> None:
    said = refused(store, None, deployment(maxSurge=1))
    assert 'unknown field "spec.maxSurge"' in said
    said = refused(store, None, service(port="80"))
    assert 'spec.ports[0].port: "80" is not of type integer' in said
