"""What a cluster makes of each setting: kept, and by what; said; or refused. Pure.

docs/reference/targets.md has the table, made from this one.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from wsdeploy.cluster.scaling import STEP_MOST
from wsdeploy.cluster.target import stop_limit
from wsdeploy.settings import Acme, App, CertFiles, SelfSigned, Settings
from wsdeploy.settings.cluster import HTTPRoute, Ingress, Kubernetes, LoadBalancer, Replicas
from wsdeploy.settings.firewall import Allowed, Firewall
from wsdeploy.settings.section import Problem, Section, refused
from wsdeploy.settings.tls import TLS
from wsdeploy.settings.verdict import Verdict, kept, refuse, told

WAYS: tuple[type[LoadBalancer | Ingress | HTTPRoute], ...] = (LoadBalancer, Ingress, HTTPRoute)
"""The ways in, in the order of each row's verdicts."""

NO_SELF_SIGNED = "nobody makes it in a cluster; give CertFiles(...), or Acme(...) with an issuer"


@dataclass(frozen=True)
class Row:
    """What becomes of a setting on hosts, and with each way in of a cluster."""

    hosts: str
    """What keeps it on hosts."""
    verdicts: tuple[Verdict, Verdict, Verdict]


def _all(hosts: str, verdict: Verdict) -> Row:
    return Row(hosts, (verdict, verdict, verdict))


def _rows() -> Iterator[tuple[str, Row]]:
    proxy = "nginx, HAProxy"
    yield (
        "domain",
        Row(proxy, (kept("HAProxy"), kept("rules[].host"), kept("hostnames"))),
    )
    yield "name", _all("user, folders, processes", kept("names and labels of objects"))
    yield (
        "max_connections",
        Row(
            f"{proxy}: of a proxy host",
            (
                kept("of a pod: HAProxy, wsapp's 503, memory"),
                kept("of a pod: wsapp's 503, memory"),
                kept("of a pod: wsapp's 503, memory"),
            ),
        ),
    )
    yield "hosts_at_once", _all("order of the run", kept("maxSurge: pods at the same time"))
    yield (
        "internal_tls",
        Row(
            proxy,
            (
                refuse("pods have no TLS of their own; leave it out, or give another way in"),
                refuse("pods have no TLS of their own; give Kubernetes(mesh=...)"),
                refuse("pods have no TLS of their own; give Kubernetes(mesh=...)"),
            ),
        ),
    )
    yield (
        "security_updates",
        _all(
            "unattended-upgrades",
            refuse("pods are not updated; leave it out, and build the image on a newer base"),
        ),
    )
    yield "take_over", _all("the run", kept("the run: objects of these names"))
    yield (
        "failover",
        _all("keepalived", refuse("a Service has an address that moves by itself; leave it out")),
    )
    monitor = refuse("give Kubernetes(metrics_namespace=...), which makes a PodMonitor")
    yield "metrics", _all("a program for each scrape", monitor)
    yield (
        "leaving",
        _all("ws-leaving", refuse("the cluster tells pods when they go; leave it out")),
    )
    yield "firewall", _all("nftables", kept("NetworkPolicy, where the network enforces it"))
    yield (
        "firewall.ssh_from",
        _all("nftables", refuse("nobody logs in to pods; leave it out")),
    )
    yield (
        "firewall.allow",
        _all("nftables", kept("NetworkPolicy; protocols without ports are refused")),
    )
    yield (
        "proxy",
        Row(
            proxy,
            (
                kept("HAProxy, whichever is given"),
                told("the controller is the proxy"),
                told("the Gateway is the proxy"),
            ),
        ),
    )
    yield (
        "proxy.shutdown_timeout",
        Row(
            proxy,
            (
                kept("terminationGracePeriodSeconds; None is an hour"),
                refuse("set hard-stop-after in the controller's ConfigMap instead"),
                refuse("set it at the Gateway instead, such as drainTimeout of EnvoyProxy"),
            ),
        ),
    )
    yield (
        "proxy.access_log",
        Row(
            proxy,
            (
                kept("HAProxy"),
                refuse("the controller logs; leave it out"),
                refuse("the Gateway logs; leave it out"),
            ),
        ),
    )
    yield from _app()
    yield from _edge(proxy)
    yield from _tls(proxy)


def _app() -> Iterator[tuple[str, Row]]:
    for name in ("path", "requirements", "exclude"):
        yield f"app.{name}", _all("release", kept("release, in the image"))
    yield "app.command", _all("Supervisor", kept("command; without $WS_SOCKET"))
    one = refuse("a pod is one process; give Kubernetes(replicas=...)", 1)
    yield "app.processes", _all("Supervisor", one)
    yield "app.env", _all("a file for root and app", told("whoever sees ConfigMaps sees it"))
    yield "app.secrets", _all("a file for root and app", kept("Secret"))
    yield "app.writable", _all("systemd", told("what is there ends with the pod (emptyDir)"))
    yield (
        "app.listen",
        _all(
            "sockets, ports",
            refuse('a pod listens on its own address; leave it out, or give "tcp"', "tcp"),
        ),
    )
    yield (
        "app.port",
        Row(
            "the app",
            (
                # HAProxy is told it as a number, and gets another one after the pods.
                refuse("each pod has an address of its own, so any port will do; leave it out"),
                kept("containerPort"),
                kept("containerPort"),
            ),
        ),
    )
    yield (
        "app.reuse_port",
        _all("rollout", kept("not needed: each pod has an address of its own")),
    )
    for name in (
        "compression", "max_size", "ping_interval", "ping_timeout", "max_age", "close_code",
        "log_level",
    ):  # fmt: skip
        yield f"app.{name}", _all("wsapp", kept("wsapp"))
    for name in ("before_release", "after_release"):
        job = refuse("let a Job do it, such as a hook of Argo CD's or Helm's; leave it out")
        yield f"app.{name}", _all("rollout", job)
    yield "app.release_timeout", _all("rollout", refuse("nothing runs then; leave it out"))
    yield "app.drain", _all("wsapp, Supervisor", kept("wsapp, terminationGracePeriodSeconds"))
    yield (
        "app.shutdown_drain",
        _all("wsapp, systemd", refuse("set shutdownGracePeriod of the kubelets instead")),
    )
    yield "app.start_timeout", _all("rollout", kept("startupProbe"))
    yield "app.healthy_for", _all("rollout", kept("minReadySeconds"))
    yield "app.hang_timeout", _all("watchdog", kept("livenessProbe, with app.health"))
    yield (
        "app.health",
        _all("watchdog, proxy", kept("readinessProbe, TCP alone if it is None; livenessProbe")),
    )
    first_and_last = "startupProbe, and the WebSocket that ends a deployment"
    yield "app.probe.path", _all("rollout", kept(first_and_last))
    for name in ("send", "expect"):
        words = f"{first_and_last}; of a secret, the latter alone"
        yield f"app.probe.{name}", _all("rollout", kept(words))


def _edge(proxy: str) -> Iterator[tuple[str, Row]]:
    own = kept("HAProxy")
    wsapp = kept("wsapp (WS_ORIGINS)")
    yield "edge.origins", Row(proxy, (own, wsapp, wsapp))
    yield "edge.origin_required", Row(proxy, (own, wsapp, wsapp))
    by_segments = kept("paths; a * only after a /")
    yield "edge.paths", Row(proxy, (own, by_segments, by_segments))
    handshakes = told("the app gets handshakes there, too")
    yield "edge.plain_paths", Row(proxy, (own, handshakes, handshakes))
    yield (
        "edge.handshakes_per_second",
        Row(
            proxy,
            (
                own,
                kept('annotations of class "haproxy", in each of its pods'),
                refuse("Gateways answer 429, on which clients give up; limit it before them"),
            ),
        ),
    )
    yield (
        "edge.connections",
        Row(
            proxy,
            (
                own,
                refuse("an Ingress can't count them; give LoadBalancer(...), or leave it out"),
                refuse("a Gateway can't count them; give LoadBalancer(...), or leave it out"),
            ),
        ),
    )
    yield (
        "edge.unlimited_networks",
        Row(
            proxy,
            (
                own,
                kept('annotation of class "haproxy"'),
                refuse("nothing is limited there; leave it out"),
            ),
        ),
    )
    yield (
        "edge.header_size",
        Row(
            proxy,
            (
                own,
                refuse("set tune.bufsize in the controller's ConfigMap instead"),
                refuse("set it at the Gateway instead"),
            ),
        ),
    )
    behind = (
        own,
        refuse("set proxy-protocol or src-ip-header in the controller's ConfigMap instead"),
        refuse("set it at the Gateway instead, such as clientIPDetection of ClientTrafficPolicy"),
    )
    for name in ("", ".networks", ".header", ".direct"):
        yield f"edge.behind{name}", Row(proxy, behind)


def _tls(proxy: str) -> Iterator[tuple[str, Row]]:
    listener = told("the Gateway's listener has its own certificate")
    for name, what in (("email", "account"), ("directory_url", "server"), ("authority", "server")):
        theirs = told(f"the issuer of cert-manager has its own {what}")
        yield f"tls.Acme.{name}", Row("renewal", (theirs, theirs, listener))
    yield (
        "tls.Acme.names",
        Row("renewal", (kept("Certificate"), kept("tls[].hosts"), kept("hostnames"))),
    )
    yield (
        "tls.Acme.key_type",
        Row("renewal", (kept("Certificate"), kept("annotations of cert-manager"), listener)),
    )
    theirs = kept("cert-manager's own check")
    yield "tls.Acme.check", Row("renewal", (theirs, theirs, listener))
    for name in ("certificate", "key"):
        pair = kept("a Secret that you make from it")
        yield f"tls.CertFiles.{name}", Row(proxy, (pair, pair, listener))
    for name in ("names", "days"):
        none = refuse(NO_SELF_SIGNED)
        yield f"tls.SelfSigned.{name}", Row(proxy, (none, none, listener))
    yield (
        "tls.policy",
        Row(
            proxy,
            (
                kept("HAProxy"),
                refuse("set it in the controller's ConfigMap instead, by global-config-snippet"),
                refuse(
                    "set it at the Gateway instead, such as tls.minVersion of ClientTrafficPolicy"
                ),
            ),
        ),
    )
    header = kept("Strict-Transport-Security, set by the route")
    annotation = kept('annotation of class "haproxy"')
    for name in ("hsts", "hsts_subdomains"):
        yield f"tls.{name}", Row(proxy, (kept("HAProxy"), annotation, header))


ROWS: Mapping[str, Row] = dict(_rows())
"""Every setting, by its name in an error."""


def verdicts(settings: Settings, kubernetes: Kubernetes) -> Iterator[tuple[str, object, Verdict]]:
    """Yield each setting that is not as it is by default, its value, and what becomes of it."""
    kind = type(kubernetes.way_in)
    for name, value in _given("", settings) if kind in WAYS else ():
        if name in ROWS:
            yield name, value, ROWS[name].verdicts[WAYS.index(kind)]


def _given(place: str, section: Section) -> Iterator[tuple[str, Any]]:
    """Yield the settings of a section, and of those in it, that differ from their defaults."""
    for field in dataclasses.fields(section):  # type: ignore[arg-type]
        name, value = f"{place}{field.name}", getattr(section, field.name)
        default = field.default
        if default is dataclasses.MISSING and field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        if isinstance(value, TLS):
            for inner, given in _given("", value):
                kind = "" if inner in TLS_SHARED else f"{type(value).__name__}."
                yield f"tls.{kind}{inner}", given
            continue
        if value not in (default, (), []):
            yield name, value
        if isinstance(value, Section):
            yield from _given(f"{name}.", value)


TLS_SHARED = {"policy", "hsts", "hsts_subdomains"}
"""What every kind of certificate can be told. Other names have the kind in them."""


def _shown(name: str) -> str:
    """Return a setting's name as a user writes it: without the kind of certificate."""
    return re.sub(r"^tls\.[A-Z]\w+", "tls", name)


def problems(settings: Settings, kubernetes: Kubernetes) -> Iterator[Problem]:
    """Yield what a cluster can't keep of the settings."""
    if not isinstance(settings.app, App):
        return
    whole: set[str] = set()
    for name, value, verdict in verdicts(settings, kubernetes):
        # What is refused as a whole is not refused once more for each part.
        if name.rpartition(".")[0] in whole or name.startswith("tls.SelfSigned."):
            continue
        if verdict.kind == "refused" and value not in verdict.values:
            whole.add(name)
            given = f"{type(value).__name__}(...)" if isinstance(value, Section) else repr(value)
            yield Problem(_shown(name), f"{given} given; {verdict.words}")
    yield from _tls_problems(settings, kubernetes)
    yield from _app_problems(settings, kubernetes)
    yield from _way_problems(settings, kubernetes)
    if isinstance(settings.firewall, Firewall):
        for text in settings.firewall.allow:
            rule = Allowed.parse(text)
            if rule is not None and rule.protocol not in ("tcp", "udp"):
                wanted = "a NetworkPolicy has ports only; leave it out"
                yield refused("firewall.allow", text, wanted)


NAMES_MOST = 16
"""Host names of an HTTPRoute."""
MATCHES_MOST = 64
"""Matches of an HTTPRoute's rule: of a path, and of a method if it has any."""

BY_HAPROXY = ("edge.handshakes_per_second", "edge.unlimited_networks", "tls.hsts")
"""What an Ingress keeps by annotations of HAProxy's controller only."""


def _way_problems(settings: Settings, kubernetes: Kubernetes) -> Iterator[Problem]:
    way_in = kubernetes.way_in
    if isinstance(way_in, LoadBalancer):
        if kubernetes.mesh is not None:
            wanted = (
                "HAProxy's own pods are outside of it, so what they pass on would be plain; leave "
                "mesh out, or give way_in=Ingress(...) or HTTPRoute(...) with proxies in the mesh"
            )
            yield refused("kubernetes.mesh", kubernetes.mesh, wanted)
        return
    for setting in ("paths", "plain_paths"):
        for path in getattr(settings.edge, setting):
            if path.endswith("*") and not path.endswith("/*"):
                wanted = "a route's paths end between two /; write a / before the *"
                yield refused(f"edge.{setting}", path, wanted)
    if isinstance(way_in, HTTPRoute):
        count = len({*settings.edge.paths, *settings.edge.plain_paths})
        # One is for the health check.
        most = MATCHES_MOST // (len(way_in.methods) or 1) - 1
        if count > most:
            wanted = f"a route has {most} at most; give fewer, such as one with a *"
            yield Problem("edge.paths", f"{count} paths given, with plain_paths; {wanted}")
        count = 1 + len(getattr(settings.tls, "names", ()))
        if count > NAMES_MOST:
            wanted = f"a route has {NAMES_MOST} at most; give fewer"
            yield Problem("tls.names", f"{count} names given, with the domain; {wanted}")
    if isinstance(way_in, Ingress) and way_in.class_name != "haproxy":
        for name, value in _given("", settings):
            if name in BY_HAPROXY and value:
                yield Problem(name, 'it is kept with class_name="haproxy" only; leave it out')


def _tls_problems(settings: Settings, kubernetes: Kubernetes) -> Iterator[Problem]:
    way_in = kubernetes.way_in
    if not isinstance(way_in, Ingress | LoadBalancer):
        return
    if isinstance(settings.tls, SelfSigned):
        yield Problem("tls", f"SelfSigned(...) given; {NO_SELF_SIGNED}")
    if isinstance(settings.tls, Acme) and way_in.issuer is None:
        wanted = "missing; with Acme, cert-manager gets the certificate: give its ClusterIssuer"
        yield Problem("kubernetes.way_in.issuer", wanted)
    if isinstance(settings.tls, CertFiles) and way_in.issuer is not None:
        wanted = "with CertFiles, the certificate is yours; leave it out, or give Acme(...)"
        yield refused("kubernetes.way_in.issuer", way_in.issuer, wanted)


def _app_problems(settings: Settings, kubernetes: Kubernetes) -> Iterator[Problem]:
    if settings.name.endswith("-"):
        yield refused("name", settings.name, "in a cluster, its end is a letter or a digit")
    longer = kubernetes.pre_stop + stop_limit(settings, kubernetes) - STEP_MOST
    if isinstance(kubernetes.replicas, Replicas) and longer > 0:
        wanted = (
            f"with pods that follow the load, one takes {STEP_MOST:,} seconds to end at most; give "
            f"{longer:,} less"
        )
        yield refused("app.drain", settings.app.drain, wanted)
    for word in settings.app.command or ():
        if "$WS_SOCKET" in word or "${WS_SOCKET}" in word:
            wanted = "a pod listens on $WS_HOST and $WS_PORT; give those"
            yield refused("app.command", word, wanted)
    if kubernetes.existing_secret is not None and not settings.app.secrets:
        wanted = "app.secrets names nothing in it; name its variables there, or leave it out"
        yield refused("kubernetes.existing_secret", kubernetes.existing_secret, wanted)


def notes(settings: Settings, kubernetes: Kubernetes) -> Iterator[str]:
    """Yield a line for each setting that does less in a cluster than on hosts."""
    for name, _, verdict in verdicts(settings, kubernetes):
        if verdict.kind == "told":
            yield f"{_shown(name)}: {verdict.words}"
    if settings.app.health is None and settings.app.hang_timeout is not None:
        yield "app.hang_timeout: without app.health, nothing tells that a pod hangs"
    match kubernetes.way_in:
        case Ingress(class_name=name) if name != "haproxy":
            yield (
                f"kubernetes.way_in.class_name: {name} is told nothing of how to balance, of "
                "limits by address and of Strict-Transport-Security; give its own annotations"
            )
        case HTTPRoute(policies=None):
            yield (
                "kubernetes.way_in.policies: without them, the Gateway balances, limits and waits "
                "for silent connections by its own defaults"
            )
        case HTTPRoute(policies="envoy") as way_in if not kubernetes.own_gateway:
            yield (
                f"kubernetes.way_in.gateway_namespace: slow clients are for the owner of "
                f"{way_in.gateway} to limit: requestReceivedTimeout of ClientTrafficPolicy"
            )
