"""What is rendered is what Kubernetes takes: strict schemas of three of its versions.

Rules that schemas have no words for are in test_traps.py.
"""

import functools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
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
from wsdeploy.cluster import found, manifest
from wsdeploy.cluster.manifest import Object

ROLE = Path(__file__).parents[3] / "examples" / "kubernetes" / "role.yaml"

READ_ONCE = functools.cache(utils.schema_contents)
# The oldest that the documentation names, and the three that are supported at the end of 2026.
VERSIONS = ("1.34", "1.35", "1.36", "1.37")
# Kinds that are not Kubernetes' own, with the fields of their specs that are rendered. These were
# compared, with the types of their values, with the definitions of cert-manager, Envoy Gateway,
# Gateway API, HAProxy Unified Gateway, KEDA and the Prometheus operator (main branches of August
# 2026). Compare a further field, too, before it is added here.
OTHERS = {
    "cert-manager.io/v1 Certificate": {
        "secretName",
        "dnsNames",
        "issuerRef.name",
        "issuerRef.kind",
        "privateKey.algorithm",
        "privateKey.size",
        "privateKey.rotationPolicy",
    },
    "gate.v3.haproxy.org/v3 Backend": {
        "balance.algorithm",
        "http_request_rule_list.type",
        "http_request_rule_list.cond",
        "http_request_rule_list.cond_test",
        "connect_timeout",
        "redispatch.enabled",
        "redispatch.interval",
        "retries",
        "retry_on",
        "tunnel_timeout",
    },
    "gateway.envoyproxy.io/v1alpha1 BackendTrafficPolicy": {
        "targetRefs.group",
        "targetRefs.kind",
        "targetRefs.name",
        "loadBalancer.type",
        "circuitBreaker.maxConnections",
        "circuitBreaker.maxParallelRequests",
        "circuitBreaker.maxParallelRetries",
        "circuitBreaker.maxPendingRequests",
        "retry.numRetries",
        "retry.retryOn.triggers",
        "retry.retryOn.httpStatusCodes",
        "timeout.tcp.connectTimeout",
        "timeout.http.streamIdleTimeout",
    },
    "gateway.envoyproxy.io/v1alpha1 ClientTrafficPolicy": {
        "targetRefs.group",
        "targetRefs.kind",
        "targetRefs.name",
        "targetRefs.sectionName",
        "timeout.http.requestReceivedTimeout",
    },
    "gateway.networking.k8s.io/v1 HTTPRoute": {
        "parentRefs.name",
        "parentRefs.namespace",
        "parentRefs.sectionName",
        "hostnames",
        "rules.matches.path.type",
        "rules.matches.path.value",
        "rules.matches.method",
        "rules.filters.type",
        "rules.filters.responseHeaderModifier.set.name",
        "rules.filters.responseHeaderModifier.set.value",
        "rules.filters.requestRedirect.scheme",
        "rules.filters.requestRedirect.statusCode",
        "rules.backendRefs.name",
        "rules.backendRefs.port",
        "rules.backendRefs.filters.type",
        "rules.backendRefs.filters.extensionRef.group",
        "rules.backendRefs.filters.extensionRef.kind",
        "rules.backendRefs.filters.extensionRef.name",
        "rules.timeouts.request",
    },
    "keda.sh/v1alpha1 ScaledObject": {
        "scaleTargetRef.name",
        "minReplicaCount",
        "maxReplicaCount",
        "pollingInterval",
        "fallback.failureThreshold",
        "fallback.replicas",
        "fallback.behavior",
        "advanced.horizontalPodAutoscalerConfig.behavior.scaleDown.stabilizationWindowSeconds",
        "advanced.horizontalPodAutoscalerConfig.behavior.scaleDown.policies.type",
        "advanced.horizontalPodAutoscalerConfig.behavior.scaleDown.policies.value",
        "advanced.horizontalPodAutoscalerConfig.behavior.scaleDown.policies.periodSeconds",
        "triggers.type",
        "triggers.metadata.serverAddress",
        "triggers.metadata.query",
        "triggers.metadata.threshold",
        "triggers.metadata.ignoreNullValues",
    },
    "monitoring.coreos.com/v1 PodMonitor": {
        "selector.matchLabels.app.kubernetes.io/name",
        "selector.matchLabels.app.kubernetes.io/component",
        "podMetricsEndpoints.port",
        "podMetricsEndpoints.path",
    },
}
BY_CONNECTIONS = Replicas(by="connections", prometheus="http://prometheus.monitoring:9090")
CASES: dict[str, dict[str, Any]] = {
    "an Ingress": {},
    "another class": {"way": Ingress("nginx", secret="a-pair"), "settings": {
        "tls": CertFiles("a.pem", "b.pem")}},
    "a route": {"way": "route"},
    "a route of HAProxy's Gateway": {"way": "haproxy's gateway"},
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
    found = [each for each in rendered(plan) if kind(each) not in OTHERS]
    assert len(found) > 30
    for version in VERSIONS:
        for each in found:
            kubernetes_validate.validate(each, version, strict=True)


def test_the_role_of_the_example_may_do_what_a_run_does_and_no_more() -> None:
    account, role, binding = yaml.safe_load_all(ROLE.read_text())
    for each in (account, role, binding):
        kubernetes_validate.validate(each, VERSIONS[-1], strict=True)
    applied = {"get", "list", "create", "patch", "delete"}
    wanted = dict.fromkeys(found.KINDS.values(), applied) | {
        "replicasets.apps": {"get", "list", "delete"},
        "controllerrevisions.apps": {"list"},
        "pods": {"get", "list"},
        "events": {"get", "list"},
        "pods/log": {"get"},
        "leases.coordination.k8s.io": {"get", "create", "update", "delete"},
        "gateways.gateway.networking.k8s.io": {"get"},
    }
    given = {
        f"{resource}.{group}".strip("."): set(rule["verbs"])
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    assert given == wanted


def test_kinds_of_others_have_the_fields_that_were_compared_with_their_definitions(
    plan: Plan,
) -> None:
    found: dict[str, set[str]] = {}
    for each in rendered(plan):
        if kind(each) in OTHERS:
            found.setdefault(kind(each), set()).update(paths(each["spec"]))
    assert found == OTHERS


def rendered(plan: Plan) -> Iterable[Object]:
    """The objects of all cases, each once."""
    return {
        manifest.text(each): each for case in CASES.values() for each in every(plan(**case))
    }.values()


def kind(each: Object) -> str:
    return f"{each['apiVersion']} {each['kind']}"


def paths(value: Any) -> Iterator[str]:
    """The fields of an object that have values, whichever item of a list they are in."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from (f"{key}.{inner}".rstrip(".") for inner in paths(item))
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for item in value:
            yield from paths(item)
    else:
        yield ""


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
