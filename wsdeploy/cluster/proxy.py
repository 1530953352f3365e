"""HAProxy in pods of the service's own, behind a LoadBalancer Service. Pure but for templates.

Its configuration is that of hosts, so that every setting of `edge` means the same.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import TypedDict

from wsdeploy.cluster import environment, network, routes
from wsdeploy.cluster.manifest import Object
from wsdeploy.cluster.pods import (
    KEPT,
    REVISIONS,
    SECURITY,
    disruption_budget,
    labels,
    metadata,
    pod_security,
    spread,
)
from wsdeploy.cluster.target import IMAGE_PULL, ClusterTarget
from wsdeploy.plan.capacity.model import FREE, MIB, PROXY_CLIENT, TCP_SOCKET
from wsdeploy.plan.host.render import render
from wsdeploy.plan.host.survey import Survey
from wsdeploy.plan.proxy import haproxy_cfg, tls
from wsdeploy.plan.proxy.haproxy_cfg import HAProxyCfg, Room
from wsdeploy.plan.target import Target
from wsdeploy.settings import HAProxy, Settings
from wsdeploy.settings.cluster import LoadBalancer
from wsdeploy.settings.names import is_address
from wsdeploy.settings.topology import Topology

COMPONENT = "proxy"
HTTP, HTTPS = 8080, 8443
"""Ports of the pods, which are nobody's and so above 1,023. The Service has 80 and 443."""
FOLDER, TLS_FOLDER = "/usr/local/etc/haproxy", "/etc/haproxy/tls"
"""Where the configuration is, as HAProxy's own image has it, and where certificate and key are."""
LUA = "certificate.lua"
LOOK = 10
"""Seconds between two looks at the certificate, which takes HAProxy a fraction of a millisecond."""
END = 3600
"""Seconds that a pod may go on serving those whom it has, once it is to end, if the settings name
none. `App.max_age` bounds it without cutting anybody."""
BASE = 64 * MIB
"""Bytes of HAProxy without clients, with room for its tables of addresses."""
PLACES_LEAST = 16
"""Places for pods, at least: up to half as many pods, another number does not exchange HAProxy's.
New ones would count only their own clients, and send a new pod of the app only its share."""
ANSWERS = "! rstatus ^5"
"""What a pod's answer has to be: any but that it is not well. While `app.health` changes, pods of
one release are asked for the other's path, which they do not know; readiness asks for their own."""
MORE_PLACES = 2
"""Places for pods, for each that there may be: in a rollout, twice as many may be there."""


class PodsCfg(HAProxyCfg):
    """What templates/kubernetes/haproxy.cfg.j2 is given."""

    places: int
    pods: str
    """The name that the app's pods have in the cluster's DNS."""
    port: int
    family: str
    lua: str
    """The program that exchanges certificates, beside the configuration."""


class CertificateLua(TypedDict):
    """What templates/kubernetes/certificate.lua.j2 is given."""

    certificate: str
    seconds: int
    """How often it looks for another one."""


def clients(target: ClusterTarget, way_in: LoadBalancer) -> int:
    """Return how many clients a pod of HAProxy holds: all that the app's pods hold, if need be."""
    most = target.settings.max_connections * target.kubernetes.most
    return way_in.max_connections or min(1_000_000, most)


def objects(target: ClusterTarget, way_in: LoadBalancer) -> Iterator[Object]:
    """Yield HAProxy's objects, and the name by which it finds the app's pods."""
    configuration = _config_map(target, way_in)
    yield _account(target)
    yield configuration
    yield _deployment(target, way_in, configuration["metadata"]["name"])
    yield _service(target, way_in)
    yield _headless(target)
    yield disruption_budget(target, COMPONENT)
    if target.settings.firewall is not False:
        yield _policy(target)
    if way_in.issuer is not None:
        yield routes.certificate(target, way_in.issuer)


def _name(target: ClusterTarget) -> str:
    return f"{target.name}-{COMPONENT}"


def _account(target: ClusterTarget) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata(target, _name(target), COMPONENT),
        "automountServiceAccountToken": False,
    }


def configuration(target: ClusterTarget, way_in: LoadBalancer) -> dict[str, str]:
    """Return HAProxy's files, by their names.

    They are its configuration, which certificate is shown for what, and how a
    new one comes into use.
    """
    exchange: CertificateLua = {"certificate": f"{TLS_FOLDER}/cert.pem", "seconds": LOOK}
    return {
        LUA: render("kubernetes/certificate.lua", exchange),
        "haproxy.cfg": render("kubernetes/haproxy.cfg", _view(target, way_in)),
        haproxy_cfg.certificates(target.settings): render(
            "haproxy/certificates",
            {
                "certificate": f"{TLS_FOLDER}/cert.pem",
                "names": [name for name in tls.names(target.settings) if not is_address(name)],
            },
        ),
    }


def _view(target: ClusterTarget, way_in: LoadBalancer) -> PodsCfg:
    held, kubernetes = clients(target, way_in), target.kubernetes
    settings = _as_on_hosts(target.settings, held)
    topology = Topology(("pods",), ("proxy",), {"pods": "0.0.0.0", "proxy": "0.0.0.0"})  # noqa: S104
    # One listener stands for all pods: a handshake is passed to three of them at most.
    on_host = Target(
        settings.placed(topology), "proxy", Survey(app_processes={"pods": 1}, packages={})
    )
    room = Room(held, held + on_host.limits.waiting)
    seen = haproxy_cfg.view(on_host, None, room)
    replaced = kubernetes.most + target.settings.hosts_at_once
    return {
        **seen,
        "http_port": HTTP,
        "https_port": HTTPS,
        # The pod's own end is what bounds it.
        "leaving": False,
        "shutdown_timeout": None,
        "expected": ANSWERS,
        "places": max(PLACES_LEAST, replaced, kubernetes.most * MORE_PLACES),
        "pods": f"{target.name}-pods.{target.namespace}.svc.{way_in.dns_domain}",
        "port": target.settings.app.port,
        "lua": LUA,
        "family": "ipv6" if kubernetes.address == "::" else "ipv4",
    }


def _as_on_hosts(settings: Settings, held: int) -> Settings:
    """Return the settings of a proxy host that holds so many clients."""
    given = {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings)}
    proxy = HAProxy(access_log=settings.proxy.access_log)
    return Settings(**given | {"max_connections": held, "proxy": proxy})


def _config_map(target: ClusterTarget, way_in: LoadBalancer) -> Object:
    files = configuration(target, way_in)
    name = f"{_name(target)}-{environment.digest(files)}"
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(target, name, COMPONENT, **KEPT),
        "immutable": True,
        "data": files,
    }


def _grace(settings: Settings, way_in: LoadBalancer) -> int:
    given = settings.proxy.shutdown_timeout
    return way_in.pre_stop + (END if given is None else math.ceil(given))


def _deployment(target: ClusterTarget, way_in: LoadBalancer, config: str) -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(target, _name(target), COMPONENT),
        "spec": {
            "replicas": way_in.replicas,
            "revisionHistoryLimit": REVISIONS,
            "minReadySeconds": 2,
            "progressDeadlineSeconds": IMAGE_PULL * 2,
            "selector": {"matchLabels": labels(target, COMPONENT)},
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
            },
            "template": {
                "metadata": {"labels": labels(target, COMPONENT)},
                "spec": {
                    "serviceAccountName": _name(target),
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    "securityContext": pod_security(),
                    "terminationGracePeriodSeconds": _grace(target.settings, way_in),
                    "topologySpreadConstraints": spread(target, COMPONENT),
                    "containers": [_container(target, way_in)],
                    "volumes": _volumes(target, config),
                },
            },
        },
    }


def _container(target: ClusterTarget, way_in: LoadBalancer) -> Object:
    held = clients(target, way_in)
    # A client takes an end of a connection on either side.
    memory = math.ceil(
        (BASE + held * (PROXY_CLIENT["HAProxy"] + 2 * TCP_SOCKET)) / (1 - FREE) / MIB
    )
    # Its own answer, over TLS: that of the app would take all of HAProxy out when the app is down.
    ask = {"tcpSocket": {"port": "https"}}
    return {
        "name": "haproxy",
        "image": way_in.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["haproxy", "-W", "-db", "-f", f"{FOLDER}/haproxy.cfg"],
        "ports": [
            {"name": "http", "containerPort": HTTP},
            {"name": "https", "containerPort": HTTPS},
        ],
        "resources": {
            "requests": {"cpu": "250m", "memory": f"{memory}Mi"},
            "limits": {"memory": f"{memory}Mi"},
        },
        "lifecycle": {"preStop": {"sleep": {"seconds": way_in.pre_stop}}},
        "startupProbe": ask | {"periodSeconds": 1, "timeoutSeconds": 1, "failureThreshold": 30},
        "readinessProbe": ask | {"periodSeconds": 2, "timeoutSeconds": 1, "failureThreshold": 2},
        "securityContext": SECURITY,
        "volumeMounts": [
            {"name": "config", "mountPath": FOLDER, "readOnly": True},
            {"name": "tls", "mountPath": TLS_FOLDER, "readOnly": True},
            {"name": "run", "mountPath": "/run/haproxy"},
        ],
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def _volumes(target: ClusterTarget, config: str) -> list[Object]:
    # HAProxy looks for the key of cert.pem in cert.pem.key. Root's, and for the pod's group.
    pair = [{"key": "tls.crt", "path": "cert.pem"}, {"key": "tls.key", "path": "cert.pem.key"}]
    return [
        {"name": "config", "configMap": {"name": config}},
        {
            "name": "tls",
            "secret": {"secretName": routes.secret(target), "items": pair, "defaultMode": 0o440},
        },
        {"name": "run", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
    ]


def _service(target: ClusterTarget, way_in: LoadBalancer) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(target, _name(target), COMPONENT, **way_in.annotations),
        "spec": {
            "type": "LoadBalancer",
            # Else clients have the address of a node, by which limits would count them.
            "externalTrafficPolicy": "Local",
            "selector": labels(target, COMPONENT),
            "ports": [
                {"name": "http", "port": 80, "targetPort": "http"},
                {"name": "https", "port": 443, "targetPort": "https"},
            ],
        },
    }


def _headless(target: ClusterTarget) -> Object:
    """Return the name that stands for the addresses of all pods that are ready."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(target, f"{target.name}-pods"),
        "spec": {
            "clusterIP": "None",
            "selector": labels(target),
            "ports": [{"name": "ws", "port": target.settings.app.port, "targetPort": "ws"}],
        },
    }


def _policy(target: ClusterTarget) -> Object:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(target, _name(target), COMPONENT),
        "spec": {
            "podSelector": {"matchLabels": labels(target, COMPONENT)},
            "policyTypes": ["Ingress"],
            "ingress": [
                {
                    "ports": [
                        {"protocol": "TCP", "port": "http"},
                        {"protocol": "TCP", "port": "https"},
                    ]
                },
                *network.allowed(target.settings.firewall),
            ],
        },
    }
