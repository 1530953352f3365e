"""What is rendered is what Kubernetes takes: strict schemas of three of its versions.

Rules that schemas have no words for are in test_traps.py.
"""

import functools
from collections.abc import Callable
from typing import Any

import kubernetes_validate
import pytest
from kubernetes_validate import utils

from tests.unit.cluster.conftest import HAPROXY, Plan, every
from wsdeploy import (
    CertFiles,
    Edge,
    Firewall,
    FromFile,
    HTTPRoute,
    Ingress,
    LoadBalancer,
    Replicas,
)
from wsdeploy.cluster import manifest

READ_ONCE = functools.cache(utils.schema_contents)
VERSIONS = ("1.34", "1.35", "1.36")
# Kinds that are not Kubernetes' own: their definitions are in the cluster, if at all.
OTHERS = {
    "cert-manager.io/v1 Certificate",
    "gateway.envoyproxy.io/v1alpha1 BackendTrafficPolicy",
    "gateway.networking.k8s.io/v1 HTTPRoute",
    "keda.sh/v1alpha1 ScaledObject",
    "monitoring.coreos.com/v1 PodMonitor",
}
BY_CONNECTIONS = Replicas(by="connections", prometheus="http://prometheus.monitoring:9090")
CASES: dict[str, dict[str, Any]] = {
    "an Ingress": {},
    "another class": {"way": Ingress("nginx", secret="a-pair"), "settings": {
        "tls": CertFiles("a.pem", "b.pem")}},
    "a route": {"way": "route"},
    "a route elsewhere": {"way": HTTPRoute("a", gateway_namespace="b", http_listener=None)},
    "HAProxy": {"way": "haproxy"},
    "HAProxy with rules": {
        "way": LoadBalancer(HAPROXY, issuer="a", annotations={"a/b": "true"}),
        "settings": {"edge": Edge(paths=("/a/*",), origins=("https://a-company.com",))},
        "address": "::",
    },
    "an autoscaler": {"replicas": Replicas()},
    "KEDA": {"replicas": BY_CONNECTIONS, "metrics_namespace": "monitoring"},
    "Istio": {"mesh": "istio"},
    "Linkerd": {"mesh": "linkerd"},
    "secrets": {"app": {"secrets": {"KEY": FromFile("app.py")}}},
    "no health check": {"app": {"health": None}},
    "no firewall": {"settings": {"firewall": False}},
    "more firewall": {
        "settings": {"firewall": Firewall(allow=("tcp/9000-9010 from 10.0.0.0/8", "udp/1"))}
    },
    "longest": {"app": {"drain": 3600, "start_timeout": 600, "hang_timeout": 600}},
    "folders": {"app": {"writable": ["/srv/uploads"]}},
}  # fmt: skip


@pytest.fixture(autouse=True)
def _schemas_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    # For each object, it would read megabytes of definitions.
    monkeypatch.setattr(utils, "schema_contents", READ_ONCE)


def test_every_object_is_what_kubernetes_takes(plan: Plan) -> None:
    # In one test, as each process of pytest would read the schemas for itself.
    found = {
        manifest.text(each): each for case in CASES.values() for each in every(plan(**case))
    }.values()
    own = [each for each in found if f"{each['apiVersion']} {each['kind']}" not in OTHERS]
    count = len(own)
    assert count > 30
    for version in VERSIONS:
        for each in own:
            kubernetes_validate.validate(each, version, strict=True)


def _misspelt(each: dict[str, Any]) -> None:
    each["spec"]["strategy"]["rollingUpdate"]["maxSurg"] = 1


def _of_another_type(each: dict[str, Any]) -> None:
    each["spec"]["minReadySeconds"] = "2"


@pytest.mark.parametrize("spoil", [_misspelt, _of_another_type])
def test_what_is_wrong_is_seen(plan: Plan, spoil: Callable[[dict[str, Any]], None]) -> None:
    (deployment,) = [each for each in every(plan()) if each["kind"] == "Deployment"]
    spoil(deployment)
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, VERSIONS[0], strict=True)
