"""Who may reach the pods. Pure.

In a cluster every pod reaches every other one, and the app believes what X-Forwarded-For says.
"""

from __future__ import annotations

from wsdeploy.cluster import mesh
from wsdeploy.cluster.manifest import Object
from wsdeploy.cluster.pods import labels, metadata
from wsdeploy.cluster.target import ClusterTarget
from wsdeploy.settings.firewall import Allowed, Firewall


def policy(target: ClusterTarget) -> Object:
    """Return the policy of the app's pods: proxies, Prometheus and what `firewall` allows."""
    kubernetes, ports = target.kubernetes, _ports(target)
    proxies: Object = (
        {"podSelector": {"matchLabels": labels(target, "proxy")}}
        if kubernetes.proxies is None
        else namespace(kubernetes.proxies)
    )
    rules: list[Object] = [{"from": [proxies], "ports": ports}]
    if kubernetes.metrics_namespace is not None:
        rules.append({"from": [namespace(kubernetes.metrics_namespace)], "ports": ports})
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


def widened(policy: Object, other: Object) -> Object:
    """Return a policy that lets in whom another one does, too: while pods of both are there."""
    own = policy["spec"].get("ingress") or []
    more = [each for each in other["spec"].get("ingress") or [] if each not in own]
    return policy | {"spec": policy["spec"] | {"ingress": [*own, *more]}}


def _ports(target: ClusterTarget) -> list[Object]:
    ports: list[Object] = [{"protocol": "TCP", "port": "ws"}]
    if target.kubernetes.mesh == "linkerd":
        ports.append({"protocol": "TCP", "port": mesh.LINKERD_PORT})
    return ports


def namespace(name: str) -> Object:
    """Return the selector of a namespace's pods, by the label that Kubernetes gives each."""
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
