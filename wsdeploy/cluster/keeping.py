"""What a cluster makes of each setting: kept, and by what; said; or refused. Pure.

docs/reference/kubernetes.md has the table, made from this one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from wsdeploy.cluster.scaling import STEP_MOST
from wsdeploy.cluster.target import stop_limit
from wsdeploy.settings import Acme, App, CertFiles, SelfSigned, Settings
from wsdeploy.settings.cluster import HTTPRoute, Ingress, Kubernetes, LoadBalancer, Replicas
from wsdeploy.settings.firewall import Allowed, Firewall
from wsdeploy.settings.section import Problem, Section, refused

WAYS: tuple[type[LoadBalancer | Ingress | HTTPRoute], ...] = (LoadBalancer, Ingress, HTTPRoute)
"""The ways in, in the order of each row's answers."""


@dataclass(frozen=True)
class Fate:
    """What becomes of a setting with one way in."""

    kind: Literal["kept", "said", "refused"]
    words: str
    """By what it is kept, or what is said to whoever gives it."""


@dataclass(frozen=True)
class Row:
    """What becomes of a setting on hosts, and with each way in of a cluster."""

    hosts: str
    """What keeps it on hosts."""
    fates: tuple[Fate, Fate, Fate]


def kept(by: str) -> Fate:
    """Say that a setting does what it does on hosts, and what does it."""
    return Fate("kept", by)


def said(words: str) -> Fate:
    """Say what a setting does not do here; whoever gives it is told, and goes on."""
    return Fate("said", words)


def no(words: str) -> Fate:
    """Say why a setting is refused, and what to do."""
    return Fate("refused", words)


def _all(hosts: str, fate: Fate) -> Row:
    return Row(hosts, (fate, fate, fate))


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
        _all("HAProxy, nginx", no("pods have no TLS of their own; give Kubernetes(mesh=...)")),
    )
    yield (
        "security_updates",
        _all("unattended-upgrades", no("pods are not updated; build the image on a newer base")),
    )
    yield "take_over", _all("the run", no("a cluster has nothing to take over; leave it out"))
    yield "firewall", _all("nftables", kept("NetworkPolicy, where the network enforces it"))
    yield (
        "firewall.ssh_from",
        _all("nftables", no("pods have no SSH; leave it out")),
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
                said("the controller is the proxy"),
                said("the Gateway is the proxy"),
            ),
        ),
    )
    yield (
        "proxy.shutdown_timeout",
        Row(
            proxy,
            (
                kept("terminationGracePeriodSeconds; None is an hour"),
                no("the controller has it: hard-stop-after in its ConfigMap"),
                no("the Gateway has it: such as drainTimeout of EnvoyProxy"),
            ),
        ),
    )
    yield (
        "proxy.access_log",
        Row(
            proxy,
            (
                kept("HAProxy"),
                no("the controller has it; leave it out"),
                no("the Gateway has it; leave it out"),
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
    one = no("a pod is one process; give Kubernetes(replicas=...)")
    yield "app.processes", _all("Supervisor", one)
    yield "app.env", _all("a file for root and app", said("whoever sees ConfigMaps sees it"))
    yield "app.secrets", _all("a file for root and app", kept("Secret"))
    yield "app.writable", _all("systemd", said("what is there ends with the pod (emptyDir)"))
    yield (
        "app.listen",
        _all("sockets, ports", no('a pod listens on its own address; leave it out, or give "tcp"')),
    )
    yield "app.port", _all("the app", kept("containerPort"))
    yield (
        "app.reuse_port",
        _all("rollout", kept("not needed: each pod has an address of its own")),
    )
    for name in ("compression", "max_size", "ping_interval", "ping_timeout", "max_age"):
        yield f"app.{name}", _all("wsapp", kept("wsapp"))
    for name in ("close_code", "log_level"):
        yield f"app.{name}", _all("wsapp", kept("wsapp"))
    yield "app.drain", _all("wsapp, Supervisor", kept("wsapp, terminationGracePeriodSeconds"))
    yield (
        "app.shutdown_drain",
        _all("wsapp, systemd", no("nodes have it: shutdownGracePeriod of the kubelet")),
    )
    yield "app.start_timeout", _all("rollout", kept("startupProbe"))
    yield "app.healthy_for", _all("rollout", kept("minReadySeconds"))
    yield "app.hang_timeout", _all("watchdog", kept("livenessProbe, with app.health"))
    yield "app.health", _all("watchdog, proxy", kept("probes; TCP alone if it is None"))
    for name in ("path", "send", "expect"):
        words = "no probe of Kubernetes does a handshake; try one after each release"
        yield f"app.probe.{name}", _all("rollout", said(words))


def _edge(proxy: str) -> Iterator[tuple[str, Row]]:
    own = kept("HAProxy")
    wsapp = kept("wsapp (WS_ORIGINS)")
    yield "edge.origins", Row(proxy, (own, wsapp, wsapp))
    yield "edge.origin_required", Row(proxy, (own, wsapp, wsapp))
    by_segments = kept("paths; a * only after a /")
    yield "edge.paths", Row(proxy, (own, by_segments, by_segments))
    any_request = said("GETs that are no handshake get to the app there, and handshakes too")
    yield "edge.plain_paths", Row(proxy, (own, any_request, any_request))
    yield (
        "edge.handshakes_per_second",
        Row(
            proxy,
            (
                own,
                kept('annotations of class "haproxy", in each of its pods'),
                no("Gateways answer 429, on which clients give up; limit it before them"),
            ),
        ),
    )
    yield (
        "edge.connections",
        Row(
            proxy,
            (
                own,
                no("an Ingress can't count them; give LoadBalancer(...), or leave it out"),
                no("a Gateway can't count them; give LoadBalancer(...), or leave it out"),
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
                no("nothing is limited there; leave it out"),
            ),
        ),
    )
    yield (
        "edge.header_size",
        Row(
            proxy,
            (
                own,
                no("the controller has it: tune.bufsize in its ConfigMap"),
                no("the Gateway has it; leave it out"),
            ),
        ),
    )
    yield (
        "edge.behind",
        Row(
            proxy,
            (
                own,
                no("the controller has it: proxy-protocol or src-ip-header in its ConfigMap"),
                no("the Gateway has it: such as clientIPDetection of ClientTrafficPolicy"),
            ),
        ),
    )
    for name in ("networks", "header", "direct"):
        yield f"edge.behind.{name}", Row(proxy, (own, kept("see edge.behind"), kept("the same")))


def _tls(proxy: str) -> Iterator[tuple[str, Row]]:
    listener = said("the Gateway's listener has its own certificate")
    for name, what in (("email", "account"), ("directory_url", "server"), ("authority", "server")):
        theirs = said(f"the issuer of cert-manager has its own {what}")
        yield f"tls.Acme.{name}", Row("renewal", (theirs, theirs, listener))
    yield (
        "tls.Acme.names",
        Row("renewal", (kept("Certificate"), kept("tls[].hosts"), kept("hostnames"))),
    )
    default = no("cert-manager has its own default for an Ingress; leave it out")
    yield "tls.Acme.key_type", Row("renewal", (kept("Certificate"), default, listener))
    theirs = kept("cert-manager's own check")
    yield "tls.Acme.check", Row("renewal", (theirs, theirs, listener))
    for name in ("certificate", "key"):
        pair = kept("a Secret that you make from it")
        yield f"tls.CertFiles.{name}", Row(proxy, (pair, pair, listener))
    for name in ("names", "days"):
        none = no("give CertFiles(...), or Acme(...) with an issuer")
        yield f"tls.SelfSigned.{name}", Row(proxy, (none, none, listener))
    yield (
        "tls.policy",
        Row(
            proxy,
            (
                kept("HAProxy"),
                no("the controller has it: global-config-snippet in its ConfigMap"),
                no("the Gateway has it: such as tls.minVersion of ClientTrafficPolicy"),
            ),
        ),
    )
    header = kept("Strict-Transport-Security, set by the route")
    annotation = kept('annotation of class "haproxy"')
    for name in ("hsts", "hsts_subdomains"):
        yield f"tls.{name}", Row(proxy, (kept("HAProxy"), annotation, header))


ROWS: Mapping[str, Row] = dict(_rows())
"""Every setting, by its name in an error."""


def fates(settings: Settings, kubernetes: Kubernetes) -> Iterator[tuple[str, object, Fate]]:
    """Yield each setting that is not as it is by default, its value, and what becomes of it."""
    way = next(
        (number for number, each in enumerate(WAYS) if isinstance(kubernetes.way_in, each)), None
    )
    if way is None:
        return
    for name, value in _given("", settings):
        if name in ROWS:
            yield _shown(name), value, ROWS[name].fates[way]


def _given(place: str, section: Section) -> Iterator[tuple[str, Any]]:
    """Yield the settings of a section, and of those in it, that differ from their defaults."""
    for field in dataclasses.fields(section):  # type: ignore[arg-type]
        name, value = f"{place}{field.name}", getattr(section, field.name)
        default = field.default
        if default is dataclasses.MISSING and field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        if isinstance(value, Section) and name in ("tls",):
            kind = type(value).__name__
            shared = {"policy", "hsts", "hsts_subdomains"}
            for inner, given in _given("", value):
                yield f"tls.{inner}" if inner in shared else f"tls.{kind}.{inner}", given
            continue
        if value != default and value not in ([], ()):
            yield name, value
        if isinstance(value, Section):
            yield from _given(f"{name}.", value)


def _shown(name: str) -> str:
    """Return a setting's name as a user writes it: without the kind of certificate."""
    return (
        name.replace("tls.Acme.", "tls.")
        .replace("tls.CertFiles.", "tls.")
        .replace("tls.SelfSigned.", "tls.")
    )


def problems(settings: Settings, kubernetes: Kubernetes) -> Iterator[Problem]:
    """Yield what a cluster can't keep of the settings."""
    if not isinstance(settings.app, App):
        return
    for name, value, fate in fates(settings, kubernetes):
        if fate.kind == "refused" and (name, value) not in (
            ("app.listen", "tcp"),
            ("app.processes", 1),
        ):
            yield refused(name, _plain(value), fate.words)
    yield from _tls_problems(settings, kubernetes)
    yield from _app_problems(settings, kubernetes)
    yield from _edge_problems(settings, kubernetes)
    if isinstance(settings.firewall, Firewall):
        for text in settings.firewall.allow:
            rule = Allowed.parse(text)
            if rule is not None and rule.protocol not in ("tcp", "udp"):
                wanted = "a NetworkPolicy has ports only; leave it out"
                yield refused("firewall.allow", text, wanted)


def _edge_problems(settings: Settings, kubernetes: Kubernetes) -> Iterator[Problem]:
    way_in = kubernetes.way_in
    if isinstance(way_in, LoadBalancer):
        return
    for setting in ("paths", "plain_paths"):
        for path in getattr(settings.edge, setting):
            if path.endswith("*") and not path.endswith("/*"):
                wanted = "a route's paths end between two /; write a / before the *"
                yield refused(f"edge.{setting}", path, wanted)
    if isinstance(way_in, Ingress) and way_in.class_name != "haproxy":
        for name, _ in _given("", settings):
            if name in ("edge.handshakes_per_second", "edge.unlimited_networks"):
                yield Problem(name, 'it is kept with class_name="haproxy" only; leave it out')


def _plain(value: object) -> object:
    return f"{type(value).__name__}(...)" if isinstance(value, Section) else value


def _tls_problems(settings: Settings, kubernetes: Kubernetes) -> Iterator[Problem]:
    way_in = kubernetes.way_in
    if not isinstance(way_in, Ingress | LoadBalancer):
        return
    if isinstance(settings.tls, SelfSigned):
        wanted = "nobody makes it in a cluster; give CertFiles(...), or Acme(...) with an issuer"
        yield Problem("tls", f"SelfSigned() given; {wanted}")
    if isinstance(settings.tls, Acme) and way_in.issuer is None:
        wanted = "missing; with Acme, cert-manager gets the certificate: give its ClusterIssuer"
        yield Problem("kubernetes.way_in.issuer", wanted)
    if isinstance(settings.tls, CertFiles) and way_in.issuer is not None:
        wanted = "with CertFiles, the certificate is yours; leave it out, or give Acme(...)"
        yield refused("kubernetes.way_in.issuer", way_in.issuer, wanted)


def _app_problems(settings: Settings, kubernetes: Kubernetes) -> Iterator[Problem]:
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
    for name, _, fate in fates(settings, kubernetes):
        if fate.kind == "said":
            yield f"{name}: {fate.words}"
    if settings.app.health is None and settings.app.hang_timeout is not None:
        yield "app.hang_timeout: without app.health, nothing tells that a pod hangs"


def markdown() -> str:
    """Return the table for the documentation."""
    head = [
        "| Setting | Hosts | Own HAProxy | Ingress | HTTPRoute |",
        "| --- | --- | --- | --- | --- |",
    ]
    rows = [
        f"| `{name}` | {row.hosts} | {' | '.join(map(_cell, row.fates))} |"
        for name, row in ROWS.items()
    ]
    return "\n".join([*head, *rows]) + "\n"


def _cell(fate: Fate) -> str:
    if fate.kind == "kept":
        return fate.words
    return f"{'**refused**' if fate.kind == 'refused' else '*told*'}: {fate.words}"
