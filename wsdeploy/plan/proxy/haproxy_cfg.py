"""What templates/haproxy/haproxy.cfg.j2 is given. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

from wsdeploy.plan.app import upstreams
from wsdeploy.plan.host import paths
from wsdeploy.plan.host.limits import OPEN_TIMEOUT
from wsdeploy.plan.proxy import acme, edge, host_keypairs, tls
from wsdeploy.plan.proxy.tls import Policy
from wsdeploy.plan.target import Target
from wsdeploy.settings import Settings
from wsdeploy.settings.edge import Behind
from wsdeploy.settings.topology import Upstream

LOG = (
    ("time", '"%[date,utime(%Y-%m-%dT%H:%M:%SZ)]"'),
    ("client", '"%ci"'),
    ("method", '"%HM"'),
    ("host", '"%[var(txn.host)]"'),
    ("path", '"%[var(txn.path)]"'),
    ("status", "%ST"),
    ("upgrade", '"%[var(txn.upgrade)]"'),
    ("origin", '"%[var(txn.origin)]"'),
    ("milliseconds", "%Tt"),
    ("received", "%U"),
    ("sent", "%B"),
    ("upstream", '"%s"'),
    ("retries", '"%rc"'),
    ("ended", '"%ts"'),
    ("tls", '"%sslv"'),
    ("request_id", '"%[var(txn.id)]"'),
)
"""Fields of a line of the log, each with its value in JSON."""

ERROR_LOG = (
    ("time", '"%[date,utime(%Y-%m-%dT%H:%M:%SZ)]"'),
    ("client", '"%ci"'),
    ("error", '"%[fc_err_str,json(utf8s)]"'),
    ("tls_error", '"%[ssl_fc_err_str,json(utf8s)]"'),
)
"""The same where there was no request."""

LOGGED = (
    ("host", "req.fhdr(host)", 255),
    ("path", "path", 1024),
    ("upgrade", "req.fhdr(upgrade)", 32),
    ("origin", "req.fhdr(origin)", 255),
)
"""What is kept of a request for the log: its name there, where it is from, and its longest."""


@dataclass(frozen=True)
class Server:
    """A listener of the app as HAProxy writes it."""

    name: str
    address: str


@dataclass(frozen=True)
class Room:
    """How many connections a host lets HAProxy have."""

    clients: int
    """Clients that are served."""
    maxconn: int
    """All connections: the clients, those who are not served yet or told "503" instead, and plain
    HTTP."""


class HAProxyCfg(TypedDict):
    """What templates/haproxy/haproxy.cfg.j2 is given, with its parts. Patterns are quoted."""

    settings: Settings
    """All settings, for directives of one's own."""
    name: str
    domain: str
    hosts: list[str]
    """The domain, and what else the service answers to, as in a Host header."""
    jail: str
    """The folder that workers are locked into."""
    http_port: int
    https_port: int
    leaving: bool
    """Whether something tells HAProxy that the machine goes."""
    shutdown_timeout: int | None
    maxconn: int
    clients: int
    backlog: int
    idle_timeout: int
    open_timeout: int
    ping_interval: float
    ping_timeout: float | str
    access_log: bool
    log_format: str
    error_log_format: str
    logged: Sequence[tuple[str, str, int]]
    """What is kept of a request for the log: see LOGGED."""

    tls: Policy
    certificates: str
    """The list of certificates, beside this file."""
    hsts: str | None
    thumbprint: str | None

    balancer: Behind | None
    balancer_ends_tls: bool
    """Then what it says of a request is kept."""
    proxy_protocol: bool
    """Whether the balancer names the client that way."""

    loopback: tuple[str, ...]
    unlimited: tuple[str, ...]
    """Networks that are not counted, loopback with them."""
    buffer_size: int
    header_size: int
    headers_size: int
    """Of all headers together."""
    too_many: str
    """How often a character is there in a header that is too long, as a pattern says it."""
    handshake_paths: list[str]
    plain_paths: list[str]
    origins: list[str]
    origin_required: bool
    handshakes_at_once: int
    address_connections: int
    """WebSockets of an address."""
    address_most: int
    """All its connections, in whatever state."""
    table_size: int
    window: int
    """Seconds over which handshakes are counted."""
    retry_after: int

    health: str | None
    """The path of the app's health check, quoted."""
    health_uri: str | None
    """The same where a format is expected; None for /healthz itself."""
    expected: str
    """What the answer of an app that is well is, as HAProxy matches it."""
    servers: list[Server]
    retries: int
    internal: host_keypairs.Client | None


def view(target: Target, internal: host_keypairs.Client | None, room: Room) -> HAProxyCfg:
    """Return it for a host. internal: what the host needs to talk to app hosts over TLS."""
    settings, limits = target.settings, target.limits
    app, rules = settings.app, settings.edge
    proxy_protocol = rules.behind is not None and rules.behind.header == "proxy-protocol"
    connections = edge.connections(settings)
    health = None if app.health is None else quoted(app.health)
    return {
        "settings": settings,
        "name": settings.name,
        "domain": settings.domain,
        "hosts": [word for name in tls.names(settings) for word in _as_host(name)],
        "jail": jail(settings),
        "http_port": 80,
        "https_port": 443,
        "leaving": settings.leaving is not None,
        "shutdown_timeout": edge.shutdown_timeout(settings),
        "maxconn": room.maxconn,
        "clients": room.clients,
        "backlog": limits.backlog,
        "idle_timeout": limits.idle_timeout,
        "open_timeout": OPEN_TIMEOUT,
        "ping_interval": app.ping_interval,
        "ping_timeout": app.ping_timeout or "(never)",
        "access_log": settings.proxy.access_log,
        "log_format": _json(LOG),
        "error_log_format": _json(ERROR_LOG),
        "logged": LOGGED,
        "tls": tls.policy(target),
        "certificates": certificates(settings),
        "hsts": edge.hsts(settings),
        "thumbprint": acme.thumbprint(target),
        "balancer": rules.behind,
        "balancer_ends_tls": rules.behind is not None and not proxy_protocol,
        "proxy_protocol": proxy_protocol,
        "loopback": edge.LOOPBACK,
        "unlimited": (*edge.LOOPBACK, *rules.unlimited_networks),
        "buffer_size": 2 * rules.header_size + 2048,
        "header_size": rules.header_size,
        "headers_size": 2 * rules.header_size,
        "too_many": f"{{{rules.header_size + 1},}}",
        "handshake_paths": [quoted(each) for each in edge.handshake_paths(settings)],
        "plain_paths": [quoted(each) for each in edge.path_patterns(rules.plain_paths)],
        "origins": [quoted(each) for each in edge.origin_patterns(settings)],
        "origin_required": rules.origin_required,
        "handshakes_at_once": edge.at_once(settings),
        "address_connections": connections,
        "address_most": 2 * connections + 100,
        "table_size": edge.table_size(settings),
        "window": edge.WINDOW,
        "retry_after": edge.RETRY_AFTER,
        "health": health,
        "health_uri": health.replace("%", "%%") if health and app.health != "/healthz" else None,
        "expected": "status 200",
        "servers": servers(target),
        "retries": upstreams.tries(target) - 1,
        "internal": internal,
    }


def jail(settings: Settings) -> str:
    """Return the folder that HAProxy's workers are locked into: the one with the app's sockets."""
    return paths.sockets(settings.name, "").rstrip("/")


def certificates(settings: Settings) -> str:
    """Return the list of certificates, from the configuration's folder."""
    return f"{settings.name}.certificates"


def servers(target: Target) -> list[Server]:
    """Return the app's listeners, with sockets as they are found from inside the jail."""
    return [
        Server(
            # Names of pyinfra's connectors have characters that HAProxy refuses: @docker/debian.
            re.sub(r"[^\w.:-]", "_", upstream.name, flags=re.ASCII),
            _address(upstream, jail(target.settings)),
        )
        for upstream in (*upstreams.upstreams(target), *upstreams.spare(target.settings))
    ]


def _address(upstream: Upstream, jail: str) -> str:
    return f"unix@{upstream.unix.removeprefix(jail)}" if upstream.unix else upstream.endpoint


def _as_host(name: str) -> tuple[str, ...]:
    """Return how clients may write a name in a Host header."""
    # A name with its last dot is the same one.
    return (f"[{name}]",) if ":" in name else (name, f"{name}.")


def _json(fields: Sequence[tuple[str, str]]) -> str:
    return "{" + ",".join(f'"{name}":{value}' for name, value in fields) + "}"


def quoted(word: str) -> str:
    """Return a word as HAProxy's parser takes it literally."""
    return "'" + word.replace("'", "'\\''") + "'"
