"""How clients come in through what a cluster has: an Ingress, or routes of a Gateway. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from wsdeploy.cluster import policies
from wsdeploy.cluster.manifest import Object
from wsdeploy.cluster.pods import metadata
from wsdeploy.cluster.target import ClusterTarget
from wsdeploy.plan.proxy import edge, tls
from wsdeploy.settings import Acme, Settings
from wsdeploy.settings.cluster import HTTPRoute, Ingress, LoadBalancer
from wsdeploy.settings.names import is_address

HEALTH = "/healthz"
"""What balancers and monitors ask through the way in, as on hosts."""

SLOTS = 42
"""Places for pods that HAProxy's controller has by default."""


def paths(target: ClusterTarget) -> list[tuple[str, bool]]:
    """Return the paths that lead to the app, each with whether it is a prefix."""
    rules = target.settings.edge
    given = [*(rules.paths or ("/*",)), *(rules.plain_paths if rules.paths else ())]
    found = {(path.removesuffix("*").rstrip("/") or "/", path.endswith("*")) for path in given}
    # Below / as a prefix, it is there already.
    if ("/", True) not in found:
        found.add((HEALTH, False))
    return sorted(found)


def names(target: ClusterTarget) -> list[str]:
    """Return the service's host names as Kubernetes takes them: no addresses, no capitals."""
    return [name.lower() for name in tls.names(target.settings) if not is_address(name)]


def secret(target: ClusterTarget) -> str:
    """Return the name of the Secret with certificate and key."""
    way_in = target.kubernetes.way_in
    given = way_in.secret if isinstance(way_in, Ingress | LoadBalancer) else None
    return given or f"{target.name}-tls"


def ingress(target: ClusterTarget, way_in: Ingress) -> Object:
    """Return the Ingress, with what HAProxy's controller is told by annotations."""
    annotations = _haproxy(target) if way_in.class_name == "haproxy" else {}
    if way_in.issuer is not None:
        key = _key(target.settings)
        annotations |= {
            "cert-manager.io/cluster-issuer": way_in.issuer,
            "cert-manager.io/private-key-algorithm": key["algorithm"],
            "cert-manager.io/private-key-size": str(key["size"]),
        }
    annotations |= way_in.annotations
    backend = {"service": {"name": target.name, "port": {"name": "ws"}}}
    hosts = names(target)
    rules = [
        {
            "host": name,
            "http": {
                "paths": [
                    {
                        "path": path,
                        "pathType": "Prefix" if below else "Exact",
                        "backend": backend,
                    }
                    for path, below in paths(target)
                ]
            },
        }
        for name in hosts
    ]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": metadata(target, target.name, **annotations),
        "spec": {
            "ingressClassName": way_in.class_name,
            "tls": [{"hosts": hosts, "secretName": secret(target)}],
            "rules": rules,
        },
    }


def _haproxy(target: ClusterTarget) -> dict[str, str]:
    settings = target.settings
    rules = settings.edge
    found = {
        # Its default is round robin, which gives a new pod no more than its share.
        "haproxy.org/load-balance": "leastconn",
        # A pod without a place takes a reload, after which leastconn counts anew.
        "haproxy.org/scale-server-slots": str(max(SLOTS, target.pods_at_once)),
        "haproxy.org/ssl-redirect": "true",
        # It knows 301, 302 and 303.
        "haproxy.org/ssl-redirect-code": "301",
        # By TCP: while `app.health` changes, pods of one release do not know the other's path, and
        # readiness asks each pod for its own.
        "haproxy.org/check": "true",
        "haproxy.org/rate-limit-period": f"{edge.WINDOW}s",
        "haproxy.org/rate-limit-requests": str(edge.at_once(settings)),
        "haproxy.org/rate-limit-size": str(edge.table_size(settings)),
        # Clients give up at 429.
        "haproxy.org/rate-limit-status-code": "503",
    }
    if settings.app.health is not None:
        # It tries no other pod for a handshake that fails: a dead one has to go soon. An app
        # without a health check may log each connection that says nothing.
        found["haproxy.org/check-interval"] = "1s"
    if rules.unlimited_networks:
        found["haproxy.org/rate-limit-whitelist"] = ",".join(rules.unlimited_networks)
    if header := edge.hsts(settings):
        found["haproxy.org/response-set-header"] = f'Strict-Transport-Security "{header}"'
    return found


def routes(target: ClusterTarget, way_in: HTTPRoute) -> Iterator[Object]:
    """Yield the routes of a Gateway, and what an implementation has to be told beside them."""
    yield _route(target, way_in)
    if way_in.http_listener is not None and way_in.listener is not None:
        yield _redirect(target, way_in)
    yield from policies.policies(target, way_in)


def _parents(way_in: HTTPRoute, listener: str | None) -> list[Object]:
    found = {"name": way_in.gateway}
    if way_in.gateway_namespace is not None:
        found["namespace"] = way_in.gateway_namespace
    return [found | ({"sectionName": listener} if listener else {})]


def _route(target: ClusterTarget, way_in: HTTPRoute) -> Object:
    settings = target.settings
    filters: list[Object] = []
    if header := edge.hsts(settings):
        name = "Strict-Transport-Security"
        modifier = {"set": [{"name": name, "value": header}]}
        filters = [{"type": "ResponseHeaderModifier", "responseHeaderModifier": modifier}]
    backend: Object = {"name": target.name, "port": 80}
    if way_in.policies == "haproxy":
        backend["filters"] = [policies.backend_filter(target)]
    matches = [
        {"path": {"type": "PathPrefix" if below else "Exact", "value": path}, **method}
        for path, below in paths(target)
        for method in [{"method": each} for each in way_in.methods] or [{}]
    ]
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": metadata(target, target.name),
        "spec": {
            "parentRefs": _parents(way_in, way_in.listener),
            "hostnames": names(target),
            "rules": [
                {
                    "matches": matches,
                    **({"filters": filters} if filters else {}),
                    "backendRefs": [backend],
                    # Any other time-out would end WebSockets, however busy they are.
                    "timeouts": {"request": "0s"},
                }
            ],
        },
    }


def _redirect(target: ClusterTarget, way_in: HTTPRoute) -> Object:
    answer = {"scheme": "https", "statusCode": 301}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": metadata(target, f"{target.name}-redirect"),
        "spec": {
            "parentRefs": _parents(way_in, way_in.http_listener),
            "hostnames": names(target),
            "rules": [{"filters": [{"type": "RequestRedirect", "requestRedirect": answer}]}],
        },
    }


def certificate(target: ClusterTarget, issuer: str) -> Object:
    """Return the certificate that cert-manager gets for our own HAProxy."""
    settings = target.settings
    return {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Certificate",
        "metadata": metadata(target, secret(target)),
        "spec": {
            "secretName": secret(target),
            "dnsNames": names(target),
            "issuerRef": {"name": issuer, "kind": "ClusterIssuer"},
            "privateKey": _key(settings) | {"rotationPolicy": "Always"},
        },
    }


def _key(settings: Settings) -> Object:
    """Return a certificate's key in cert-manager's words, whose own default is RSA."""
    kind = settings.tls.key_type if isinstance(settings.tls, Acme) else "ec256"
    algorithm, size = ("ECDSA", kind[2:]) if kind.startswith("ec") else ("RSA", kind[3:])
    return {"algorithm": algorithm, "size": int(size)}
