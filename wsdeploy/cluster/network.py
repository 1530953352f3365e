"""Who may reach the pods. Pure.

In a cluster every pod reaches every other one, and the app believes what X-Forwarded-For says.
"""

from __future__ import annotations

from wsdeploy.cluster.manifest import Object
from wsdeploy.cluster.pods import labels, metadata
from wsdeploy.cluster.target import ClusterTarget
from wsdeploy.settings.cluster import LoadBalancer
from wsdeploy.settings.firewall import Allowed, Firewall


def policy(target: ClusterTarget) -> Object:
    """Return that only proxies, Prometheus and what `firewall` allows reach the app's pods."""
    way_in, metrics = target.kubernetes.way_in, target.kubernetes.metrics_namespace
    port = [{"protocol": "TCP", "port": "ws"}]
    proxies: Object = (
        {"podSelector": {"matchLabels": labels(target, "proxy")}}
        if isinstance(way_in, LoadBalancer)
        else namespace(way_in.namespace)
    )
    rules: list[Object] = [{"from": [proxies], "ports": port}]
    if metrics is not None:
        rules.append({"from": [namespace(metrics)], "ports": port})
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(target, target.name),
        "spec": {
            "podSelector": {"matchLabels": labels(target)},
            "policyTypes": ["Ingress"],
            "ingress": rules + allowed(target.settings.firewall),
        },
    }


def namespace(name: str) -> Object:
    """Return all pods of a namespace, by the label that Kubernetes gives each."""
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}


def allowed(firewall: Firewall | bool) -> list[Object]:
    """Return the rules of `firewall.allow` that have ports."""
    found = []
    for text in firewall.allow if isinstance(firewall, Firewall) else ():
        rule = Allowed.parse(text)
        if rule is None or rule.protocol not in ("tcp", "udp"):
            continue
        port: Object = {"protocol": rule.protocol.upper(), "port": rule.first}
        if rule.last > rule.first:
            port["endPort"] = rule.last
        sender = [{"ipBlock": {"cidr": str(rule.network)}}] if rule.network else []
        found.append(({"from": sender} if sender else {}) | {"ports": [port]})
    return found
