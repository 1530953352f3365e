"""What implementations of the Gateway API have to be told beside the routes. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from wsdeploy.cluster.manifest import Object
from wsdeploy.cluster.pods import metadata
from wsdeploy.cluster.target import ClusterTarget
from wsdeploy.settings.cluster import HTTPRoute

GATEWAY_API = "gateway.networking.k8s.io"
HAPROXY = "gate.v3.haproxy.org"

ENVOY_MOST = 2**32 - 1
"""The largest limit that Envoy Gateway takes."""
ENVOY_RETRIES = 5
"""Other pods that a handshake is tried on, if one can't be reached or is full. Least request sends
nearly all handshakes to a pod that refuses them: of two pods one was dead, and without retries 158
of 200 handshakes got 503, with 2 four, with 5 none (Envoy 1.40)."""
HAPROXY_RETRIES = 3
"""The same for HAProxy, which does not try the pod again that has just failed."""
CONNECT_TIMEOUT = 2
"""Seconds to reach a pod. One that is up accepts at once; the next one may be on another node."""
REQUEST_TIMEOUT = 7
"""Seconds for a whole request head, as on hosts: slow clients."""


def policies(target: ClusterTarget, way_in: HTTPRoute) -> Iterator[Object]:
    """Yield the objects of the implementation that is named."""
    match way_in.policies:
        case "envoy":
            yield _envoy_backend(target)
            if target.kubernetes.own_gateway:
                yield _envoy_listener(target, way_in)
        case "haproxy":
            yield _haproxy_backend(target)


def backend_filter(target: ClusterTarget) -> Object:
    """Return what names the Backend of HAProxy's Gateway in a route."""
    reference = {"group": HAPROXY, "kind": "Backend", "name": target.name}
    return {"type": "ExtensionRef", "extensionRef": reference}


def _envoy_backend(target: ClusterTarget) -> Object:
    """Return what Envoy Gateway is told of the route.

    Its circuit breaker lets 1,024 connections and requests through by default: the next WebSocket
    hangs until it times out.
    """
    limit = min(target.settings.max_connections * target.pods_at_once, ENVOY_MOST)
    held = ("maxConnections", "maxParallelRequests", "maxPendingRequests", "maxParallelRetries")
    return {
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "BackendTrafficPolicy",
        "metadata": metadata(target, target.name),
        "spec": {
            "targetRefs": [{"group": GATEWAY_API, "kind": "HTTPRoute", "name": target.name}],
            "loadBalancer": {"type": "LeastRequest"},
            "circuitBreaker": dict.fromkeys(held, limit),
            "retry": {
                "numRetries": ENVOY_RETRIES,
                # The route lets only GET and HEAD through.
                "retryOn": {
                    "triggers": ["connect-failure", "retriable-status-codes"],
                    "httpStatusCodes": [503],
                },
            },
            "timeout": {
                "tcp": {"connectTimeout": f"{CONNECT_TIMEOUT}s"},
                # Its default is five minutes, and pings may be as rare.
                "http": {"streamIdleTimeout": f"{target.idle}s"},
            },
        },
    }


def _envoy_listener(target: ClusterTarget, way_in: HTTPRoute) -> Object:
    gateway: Object = {"group": GATEWAY_API, "kind": "Gateway", "name": way_in.gateway}
    listener = {"sectionName": way_in.listener} if way_in.listener else {}
    return {
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "ClientTrafficPolicy",
        "metadata": metadata(target, target.name),
        "spec": {
            "targetRefs": [gateway | listener],
            # Over once the answer begins: a WebSocket has no end of it.
            "timeout": {"http": {"requestReceivedTimeout": f"{REQUEST_TIMEOUT}s"}},
        },
    }


def _haproxy_backend(target: ClusterTarget) -> Object:
    """Return what HAProxy's Gateway puts into the backend of the route. Times are milliseconds."""
    return {
        "apiVersion": f"{HAPROXY}/v3",
        "kind": "Backend",
        "metadata": metadata(target, target.name),
        "spec": {
            "balance": {"algorithm": "leastconn"},
            # What is no GET may have been done already.
            "http_request_rule_list": [
                {"type": "disable-l7-retry", "cond": "unless", "cond_test": "METH_GET"}
            ],
            "connect_timeout": CONNECT_TIMEOUT * 1000,
            "redispatch": {"enabled": "enabled", "interval": 1},
            "retries": HAPROXY_RETRIES,
            "retry_on": "conn-failure empty-response response-timeout 503",
            "tunnel_timeout": target.idle * 1000,
        },
    }
