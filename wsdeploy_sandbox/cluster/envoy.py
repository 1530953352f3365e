"""Envoy's configuration for a Gateway and its routes, as Envoy Gateway writes it. Pure.

Envoy watches the files, so that endpoints, routes and certificates change without its listeners,
whose every change ends the WebSockets that came through them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from wsdeploy_sandbox.cluster.store import Object, Store

CLASS = "envoy"
"""The class of the Gateways that Envoy plays."""
LIMITS: Mapping[str, str] = {
    "maxConnections": "max_connections",
    "maxPendingRequests": "max_pending_requests",
    "maxParallelRequests": "max_requests",
    "maxParallelRetries": "max_retries",
}
"""Limits of a BackendTrafficPolicy, and what Envoy calls them."""
LIMIT = 1024
"""What each of them is unless told."""
CONNECT_TIMEOUT = "10s"
"""How long Envoy Gateway lets a connection to a pod take unless told."""
OTHER_PODS = 5
"""How often a pod is drawn anew for a retry, when it is one that has failed already."""
DURATION = re.compile(r"([0-9]+)(h|ms|m|s)")
MILLISECONDS = {"h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
TYPE = "type.googleapis.com/envoy"
CONFIG = f"{TYPE}.config"
EXTENSIONS = f"{TYPE}.extensions"

REDIRECTS = {
    301: "MOVED_PERMANENTLY",
    302: "FOUND",
    303: "SEE_OTHER",
    307: "TEMPORARY_REDIRECT",
    308: "PERMANENT_REDIRECT",
}


def duration(text: str) -> str:
    """Return a duration of the Gateway API as Envoy takes it.

    >>> duration("1m30s"), duration("500ms"), duration("0s")
    ('90s', '0.5s', '0s')
    """
    found = sum(int(number) * MILLISECONDS[unit] for number, unit in DURATION.findall(text))
    return f"{found / 1000:g}s" if found % 1000 else f"{found // 1000}s"


@dataclass(frozen=True)
class Attachment:
    """A route's wish to be at a Gateway, and what came of it."""

    route: Object
    parent: Object
    """The reference by which the route names the Gateway."""
    listeners: tuple[str, ...]
    """The names of the listeners that it is at."""
    problem: str = ""
    """Why it is at none, in the Gateway API's word."""


def attachments(store: Store, gateway: Object) -> list[Attachment]:
    """Return the routes that name a Gateway."""
    meta = gateway["metadata"]
    found = []
    for route in store.list("HTTPRoute"):
        own = route["metadata"]["namespace"]
        for parent in route["spec"].get("parentRefs", ()):
            at = (parent.get("namespace", own), parent["name"])
            if at != (meta["namespace"], meta["name"]):
                continue
            named = [
                it
                for it in gateway["spec"]["listeners"]
                if parent.get("sectionName") in (None, it["name"])
            ]
            allowed = tuple(it["name"] for it in named if own == at[0] or _lets_in_all(it))
            problem = "NotAllowedByListeners" if named else "NoMatchingParent"
            found.append(Attachment(route, parent, allowed, "" if allowed else problem))
    return found


def _lets_in_all(listener: Object) -> bool:
    namespaces = listener.get("allowedRoutes", {}).get("namespaces", {})
    return bool(namespaces.get("from") == "All")


def policy(
    store: Store, kind: str, namespace: str, target: tuple[str, str], section: str | None = None
) -> Object:
    """Return the specification of the policy for an object, empty without one.

    target: kind and name of the object. section: the listener that is asked for.
    """
    for each in store.list(kind, namespace):
        for it in each["spec"].get("targetRefs", ()):
            meant = it.get("sectionName") in (None, section)
            if meant and (it["kind"], it["name"]) == target:
                found: Object = each["spec"]
                return found
    return {}


def bootstrap(folder: str) -> Object:
    """Return what Envoy starts with: where all else is."""
    local = {"address": "127.0.0.1", "port_value": 19000}
    return {
        "node": {"id": "stand-in", "cluster": "stand-in"},
        "admin": {"address": {"socket_address": local}},
        "dynamic_resources": {
            "cds_config": _source(folder, "clusters"),
            "lds_config": _source(folder, "listeners"),
        },
    }


def files(store: Store, gateway: Object, address: str, folder: str) -> dict[str, Object]:
    """Return Envoy's files by name, each after those that it needs.

    address: where it listens. folder: where the files are to be.
    """
    routes = attachments(store, gateway)
    namespace, name = gateway["metadata"]["namespace"], gateway["metadata"]["name"]
    endpoints: dict[str, Object] = {}
    clusters, tables, listeners, secrets = [], {}, [], {}
    for each in routes:
        for number, rule in enumerate(each.route["spec"]["rules"] if each.listeners else ()):
            if not rule.get("backendRefs"):
                continue
            cluster = _cluster_name(each.route, number)
            endpoints[cluster] = _endpoints(store, each.route, rule, cluster)
            clusters.append(_cluster(store, each.route, cluster, folder))
    for listener in gateway["spec"]["listeners"]:
        client = policy(
            store, "ClientTrafficPolicy", namespace, ("Gateway", name), listener["name"]
        )
        its = [it.route for it in routes if listener["name"] in it.listeners]
        tables[listener["name"]] = _table(store, listener["name"], its)
        for reference in listener.get("tls", {}).get("certificateRefs", ()):
            found = store.get("Secret", namespace, reference["name"])
            if found is not None:
                secrets[reference["name"]] = _secret(found)
        listeners.append(_listener(listener, client, address, folder))
    return {
        **{_file("secret", key): _response([value]) for key, value in secrets.items()},
        **{_file("endpoints", key): _response([value]) for key, value in endpoints.items()},
        "clusters": _response(clusters),
        **{_file("routes", key): _response([value]) for key, value in tables.items()},
        "listeners": _response(listeners),
    }


def _file(kind: str, name: str) -> str:
    return f"{kind}-{name.replace('/', '-')}"


def _response(found: list[Object]) -> Object:
    return {"resources": found}


def _source(folder: str, name: str) -> Object:
    path = {"path": f"{folder}/{name}.json"}
    return {"resource_api_version": "V3", "path_config_source": path}


def _cluster_name(route: Object, number: int) -> str:
    meta = route["metadata"]
    return f"httproute/{meta['namespace']}/{meta['name']}/rule/{number}"


def _endpoints(store: Store, route: Object, rule: Object, cluster: str) -> Object:
    """Return the pods of the Service that a rule leads to.

    One that is about to end gets no new clients while most others are there.
    """
    backend, namespace = rule["backendRefs"][0], route["metadata"]["namespace"]
    service = store.get("Service", namespace, backend["name"]) or {"spec": {"ports": []}}
    slice_ = store.get("EndpointSlice", namespace, f"{backend['name']}-endpoints") or {}
    ports = zip(service["spec"]["ports"], slice_.get("ports", ()), strict=False)
    port = next((its["port"] for own, its in ports if own["port"] == backend["port"]), 0)
    found = [
        {
            "endpoint": {"address": _address(address, port)},
            "health_status": "DRAINING" if it["conditions"]["terminating"] else "UNKNOWN",
        }
        for it in slice_.get("endpoints", ())
        if port and it["conditions"]["serving"]
        for address in it["addresses"]
    ]
    return {
        "@type": f"{CONFIG}.endpoint.v3.ClusterLoadAssignment",
        "cluster_name": cluster,
        "endpoints": [{"lb_endpoints": found}],
    }


def _address(host: str, port: int) -> Object:
    return {"socket_address": {"address": host, "port_value": port}}


def _backend_policy(store: Store, route: Object) -> Object:
    meta = route["metadata"]
    return policy(store, "BackendTrafficPolicy", meta["namespace"], ("HTTPRoute", meta["name"]))


def _cluster(store: Store, route: Object, name: str, folder: str) -> Object:
    told = _backend_policy(store, route)
    limits = told.get("circuitBreaker", {})
    timeout = told.get("timeout", {}).get("tcp", {}).get("connectTimeout", CONNECT_TIMEOUT)
    balancer = told.get("loadBalancer", {}).get("type", "LeastRequest")
    source = _source(folder, _file("endpoints", name))
    return {
        "@type": f"{CONFIG}.cluster.v3.Cluster",
        "name": name,
        "type": "EDS",
        "eds_cluster_config": {"eds_config": source},
        "connect_timeout": duration(timeout),
        "lb_policy": re.sub(r"(?<=[a-z])(?=[A-Z])", "_", balancer).upper(),
        "circuit_breakers": {
            "thresholds": [{its: limits.get(own, LIMIT) for own, its in LIMITS.items()}]
        },
        "ignore_health_on_host_removal": True,
    }


def _table(store: Store, name: str, routes: list[Object]) -> Object:
    """Return a listener's routes: those of each host name, exact paths and long ones first."""
    of_host: dict[str, list[tuple[tuple[bool, int], Object]]] = {}
    for route in routes:
        entries = [*_entries(store, route)]
        for host in route["spec"].get("hostnames", ["*"]):
            of_host.setdefault(host, []).extend(entries)
    return {
        "@type": f"{CONFIG}.route.v3.RouteConfiguration",
        "name": name,
        "ignore_port_in_host_matching": True,
        "virtual_hosts": [
            {
                "name": host,
                "domains": [host],
                "routes": [it for _, it in sorted(entries, key=lambda each: each[0])],
            }
            for host, entries in of_host.items()
        ],
    }


def _entries(store: Store, route: Object) -> Iterator[tuple[tuple[bool, int], Object]]:
    """Yield a route's entries, each with what it comes before others by."""
    told = _backend_policy(store, route)
    for number, rule in enumerate(route["spec"]["rules"]):
        action = _action(rule, told, _cluster_name(route, number))
        for match in rule.get("matches") or [{}]:
            path = match.get("path", {"type": "PathPrefix", "value": "/"})
            exact, value = path["type"] == "Exact", path["value"]
            field = "path" if exact else "prefix" if value == "/" else "path_separated_prefix"
            found: Object = {field: value}
            if "method" in match:
                method = {"name": ":method", "string_match": {"exact": match["method"]}}
                found["headers"] = [method]
            yield (not exact, -len(value)), {"match": found, **action}


def _action(rule: Object, told: Object, cluster: str) -> Object:
    """Return what is done with a request."""
    headers = []
    for each in rule.get("filters", ()):
        if each["type"] == "RequestRedirect":
            given = each["requestRedirect"]
            code = REDIRECTS[given.get("statusCode", 302)]
            return {"redirect": {"scheme_redirect": given["scheme"], "response_code": code}}
        headers += [
            {
                "header": {"key": it["name"], "value": it["value"]},
                "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
            }
            for it in each.get("responseHeaderModifier", {}).get("set", ())
        ]
    to: Object = {"cluster": cluster, "upgrade_configs": [{"upgrade_type": "websocket"}]}
    if "request" in rule.get("timeouts", {}):
        to["timeout"] = duration(rule["timeouts"]["request"])
    if idle := told.get("timeout", {}).get("http", {}).get("streamIdleTimeout"):
        to["idle_timeout"] = duration(idle)
    if retry := told.get("retry"):
        to["retry_policy"] = _retry(retry)
    return {"route": to, "response_headers_to_add": headers}


def _retry(told: Object) -> Object:
    when = told.get("retryOn", {})
    previous = {
        "name": "envoy.retry_host_predicates.previous_hosts",
        "typed_config": {
            "@type": f"{EXTENSIONS}.retry.host.previous_hosts.v3.PreviousHostsPredicate"
        },
    }
    return {
        "retry_on": ",".join(when.get("triggers", ())),
        "num_retries": told.get("numRetries", 2),
        "retriable_status_codes": when.get("httpStatusCodes", []),
        "retry_host_predicate": [previous],
        "host_selection_retry_max_attempts": OTHER_PODS,
    }


def _secret(found: Object) -> Object:
    pair = {"certificate_chain": "tls.crt", "private_key": "tls.key"}
    return {
        "@type": f"{EXTENSIONS}.transport_sockets.tls.v3.Secret",
        "name": found["metadata"]["name"],
        "tls_certificate": {
            name: {"inline_bytes": found["data"][key]} for name, key in pair.items()
        },
    }


def _listener(listener: Object, client: Object, address: str, folder: str) -> Object:
    name = listener["name"]
    manager: dict[str, Any] = {
        "@type": f"{EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "use_remote_address": True,
        "normalize_path": True,
        "merge_slashes": True,
        "rds": {
            "route_config_name": name,
            "config_source": _source(folder, _file("routes", name)),
        },
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{EXTENSIONS}.filters.http.router.v3.Router"},
            }
        ],
    }
    if received := client.get("timeout", {}).get("http", {}).get("requestReceivedTimeout"):
        manager["request_timeout"] = duration(received)
    chain: Object = {
        "filters": [{"name": "envoy.http_connection_manager", "typed_config": manager}]
    }
    if references := listener.get("tls", {}).get("certificateRefs"):
        chain["transport_socket"] = {
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": f"{EXTENSIONS}.transport_sockets.tls.v3.DownstreamTlsContext",
                "common_tls_context": {
                    "alpn_protocols": ["h2", "http/1.1"],
                    "tls_certificate_sds_secret_configs": [
                        {"name": n, "sds_config": _source(folder, _file("secret", n))}
                        for n in (it["name"] for it in references)
                    ],
                },
            },
        }
    return {
        "@type": f"{CONFIG}.listener.v3.Listener",
        "name": name,
        "address": _address(address, listener["port"]),
        "filter_chains": [chain],
    }
