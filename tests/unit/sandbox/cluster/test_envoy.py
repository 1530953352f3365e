"""What Envoy is told of a service's route and policies, as they are rendered."""

from pathlib import Path
from typing import Any

import pytest

from wsdeploy import Acme, App, Edge, HTTPRoute, Image, Kubernetes, Settings
from wsdeploy.cluster import objects
from wsdeploy.image import contents
from wsdeploy_sandbox.cluster import envoy, gateway, host
from wsdeploy_sandbox.cluster.store import Object, Store

IMAGE = Image("registry.a-company.com/chat", base=f"docker.io/library/python@sha256:{'a' * 64}")
WAY_IN = HTTPRoute("public", policies="envoy")
FOLDER = "/run/envoy"
CLUSTER = "httproute/chat/ws/rule/0"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A service, its Gateway, one pod that is ready, one that ends and one that starts."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "app.py").write_text("")
    settings = Settings(
        "ws.a-company.com", App("app.py"), Acme("a@b.com"), edge=Edge(paths=["/", "/rooms/*"])
    )
    target = contents.target(settings, Kubernetes("chat", IMAGE, WAY_IN))
    store = Store()
    kinds = ("HTTPRoute", "Service", "BackendTrafficPolicy", "ClientTrafficPolicy")
    for each in objects.objects(target):
        if each["kind"] in kinds:
            store.create(each)
    store.create(host.gateway("chat", WAY_IN, "public-tls"))
    secret = {"tls.crt": "Y2VydA==", "tls.key": "a2V5"}
    head = {"name": "public-tls", "namespace": "chat"}
    store.create({"apiVersion": "v1", "kind": "Secret", "metadata": head, "data": secret})
    states = {"10.244.0.2": (True, False), "10.244.0.3": (True, True), "10.244.0.4": (False, False)}
    store.create(
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": "ws-endpoints", "namespace": "chat"},
            "endpoints": [
                {
                    "addresses": [address],
                    "conditions": {
                        "ready": serving and not ending,
                        "serving": serving,
                        "terminating": ending,
                    },
                }
                for address, (serving, ending) in states.items()
            ],
            "ports": [{"port": 8000}],
        }
    )
    return store


def files(store: Store) -> dict[str, Object]:
    (found,) = store.list("Gateway")
    return envoy.files(store, found, "10.0.0.1", FOLDER)


def only(store: Store, name: str) -> Object:
    (found,) = files(store)[name]["resources"]
    return dict(found)


def test_each_file_comes_after_those_that_it_needs(store: Store) -> None:
    assert [*files(store)] == [
        "secret-public-tls",
        "endpoints-httproute-chat-ws-rule-0",
        "clusters",
        "routes-https",
        "routes-http",
        "listeners",
    ]


def test_a_pod_that_ends_gets_no_new_clients_and_one_that_starts_is_unknown(store: Store) -> None:
    (locality,) = only(store, "endpoints-httproute-chat-ws-rule-0")["endpoints"]
    found = {
        it["endpoint"]["address"]["socket_address"]["address"]: it["health_status"]
        for it in locality["lb_endpoints"]
    }
    assert found == {"10.244.0.2": "UNKNOWN", "10.244.0.3": "DRAINING"}


def test_policies_reach_envoy(store: Store) -> None:
    cluster = only(store, "clusters")
    (limits,) = cluster["circuit_breakers"]["thresholds"]
    assert set(limits.values()) == {40_000}
    assert (cluster["lb_policy"], cluster["connect_timeout"]) == ("LEAST_REQUEST", "2s")
    (https, _) = files(store)["listeners"]["resources"]
    (chain,) = https["filter_chains"]
    assert chain["filters"][0]["typed_config"]["request_timeout"] == "7s"


def test_without_policies_envoy_has_the_defaults_of_its_gateway(store: Store) -> None:
    for kind in ("BackendTrafficPolicy", "ClientTrafficPolicy"):
        store.remove(kind, "chat", "ws")
    cluster = only(store, "clusters")
    assert set(cluster["circuit_breakers"]["thresholds"][0].values()) == {1024}
    assert cluster["connect_timeout"] == "10s"


def routes(store: Store, listener: str) -> list[Object]:
    (host,) = only(store, f"routes-{listener}")["virtual_hosts"]
    assert host["domains"] == ["ws.a-company.com"]
    return list(host["routes"])


def test_routes_lead_to_the_pods_and_long_paths_come_first(store: Store) -> None:
    found = routes(store, "https")
    paths = [{**it["match"], "headers": it["match"]["headers"][0]["string_match"]} for it in found]
    assert paths == [
        {field: path, "headers": {"exact": method}}
        for field, path in (
            ("path", "/healthz"),
            ("path", "/"),
            ("path_separated_prefix", "/rooms"),
        )
        for method in ("GET", "HEAD")
    ]
    action: dict[str, Any] = found[0]["route"]
    assert action["cluster"] == CLUSTER
    assert action["timeout"] == "0s"
    assert int(action["idle_timeout"].removesuffix("s")) > 20
    assert action["retry_policy"]["num_retries"] == 5
    assert action["retry_policy"]["retry_on"] == "connect-failure,retriable-status-codes"


def test_plain_http_is_redirected(store: Store) -> None:
    (found,) = routes(store, "http")
    expected = {"scheme_redirect": "https", "response_code": "MOVED_PERMANENTLY"}
    assert found["redirect"] == expected


def test_new_pods_and_limits_leave_listeners_alone(store: Store) -> None:
    before = files(store)
    store.remove("EndpointSlice", "chat", "ws-endpoints")
    store.remove("BackendTrafficPolicy", "chat", "ws")
    after = files(store)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"endpoints-httproute-chat-ws-rule-0", "clusters", "routes-https"}


def accepted(store: Store, name: str) -> tuple[str, str]:
    route = store.get("HTTPRoute", "chat", name)
    assert route is not None
    (parent,) = route["status"]["parents"]
    (found,) = [it for it in parent["conditions"] if it["type"] == "Accepted"]
    return found["status"], found["reason"]


def test_objects_say_what_has_become_of_them_once(store: Store) -> None:
    def write() -> int:
        (found,) = store.list("Gateway")
        gateway.write_status(store, found, "10.0.0.1")
        return store.revision

    first = write()
    assert write() == first
    assert accepted(store, "ws") == ("True", "Accepted")
    (found,) = store.list("Gateway")
    assert found["status"]["addresses"] == [{"type": "IPAddress", "value": "10.0.0.1"}]
    assert [it["attachedRoutes"] for it in found["status"]["listeners"]] == [1, 1]


def test_a_route_that_is_let_in_nowhere_is_not_accepted(store: Store) -> None:
    def drop(it: Object) -> None:
        it["spec"]["listeners"] = it["spec"]["listeners"][:1]

    (found,) = store.list("Gateway")
    changed = store.change("Gateway", "chat", "public", drop)
    assert changed is not None
    gateway.write_status(store, changed, "10.0.0.1")
    assert accepted(store, "ws") == ("True", "Accepted")
    assert accepted(store, "ws-redirect") == ("False", "NoMatchingParent")
    # One of another namespace, at a Gateway for its own.
    own = {**found["metadata"], "namespace": "edge"}
    edge = {**found, "metadata": own}
    for listener in edge["spec"]["listeners"]:
        listener["allowedRoutes"] = {"namespaces": {"from": "Same"}}
    route = store.get("HTTPRoute", "chat", "ws")
    assert route is not None
    route["spec"]["parentRefs"][0]["namespace"] = "edge"
    (wish,) = envoy.attachments(store, edge)
    assert (wish.listeners, wish.problem) == ((), "NotAllowedByListeners")
