"""Where clients come in, as the cluster says it. Pure."""

from __future__ import annotations

from wsdeploy.cluster.manifest import Object
from wsdeploy.plan.summary import readable
from wsdeploy.settings import Settings
from wsdeploy.settings.cluster import HTTPRoute, Ingress, Kubernetes

TLS_PORT = 443


def source(settings: Settings, kubernetes: Kubernetes) -> tuple[str, str, str]:
    """Return the object that has the way in's address: its kind, name and namespace."""
    match kubernetes.way_in:
        case Ingress():
            return "ingresses.networking.k8s.io", settings.name, kubernetes.namespace
        case HTTPRoute() as route:
            kind = "gateways.gateway.networking.k8s.io"
            return kind, route.gateway, route.gateway_namespace or kubernetes.namespace
        case _:
            return "services", f"{settings.name}-proxy", kubernetes.namespace


def address(each: Object | None) -> str | None:
    """Return the address that such an object has been given, or None."""
    status = (each or {}).get("status") or {}
    balancer = (status.get("loadBalancer") or {}).get("ingress") or []
    given = [it.get("ip") or it.get("hostname") for it in balancer]
    given += [it.get("value") for it in status.get("addresses") or []]
    return next((it for it in given if it), None)


def refusal(route: Object | None) -> str | None:
    """Return why a Gateway does not take an HTTPRoute, or None if it has not said so."""
    for parent in ((route or {}).get("status") or {}).get("parents") or []:
        for each in parent.get("conditions") or []:
            if each["type"] in ("Accepted", "ResolvedRefs") and each["status"] == "False":
                name, message = parent["parentRef"]["name"], each.get("message") or ""
                why = f"{each['reason']}: {' '.join(message.split())}".removesuffix(": ")
                return readable(f"Gateway {name} does not take the HTTPRoute: {why}")
    return None


def split(reached_at: str) -> tuple[str, int]:
    """Return the host and the port of a setting.

    >>> split("10.0.0.1:30443"), split("[::1]:8443"), split("ws.internal"), split("::1")
    (('10.0.0.1', 30443), ('::1', 8443), ('ws.internal', 443), ('::1', 443))
    """
    host, separator, port = reached_at.rpartition(":")
    if separator and port.isdecimal() and (":" not in host or host.endswith("]")):
        return host.strip("[]"), int(port)
    return reached_at.strip("[]"), TLS_PORT
