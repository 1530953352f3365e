"""What templates/nginx/nginx.conf.j2 is given. Pure."""

from __future__ import annotations

from typing import TypedDict

from wsdeploy.plan.app import upstreams
from wsdeploy.plan.host import paths
from wsdeploy.plan.proxy import acme, edge, host_keypairs, tls
from wsdeploy.plan.proxy.tls import Policy
from wsdeploy.plan.target import Target
from wsdeploy.settings import Settings
from wsdeploy.settings.edge import Behind
from wsdeploy.settings.topology import Upstream

# nginx counts connections in 16 bits.
COUNTED_MOST = 65_535


class NginxConf(TypedDict):
    """What templates/nginx/nginx.conf.j2 is given, with its parts. Patterns are without their ^."""

    settings: Settings
    """All settings, for directives of one's own."""
    name: str
    domain: str
    server_names: tuple[str, ...]
    """The domain, and what else the service answers to."""
    shutdown_timeout: int | None
    workers: int | None
    """None for as many as there are processors."""
    worker_files: int
    worker_connections: int
    backlog: int
    idle_timeout: int
    ping_interval: float
    ping_timeout: float | str
    access_log: str
    """What the directive of that name is told."""
    request_id: str
    """The variable with the name of a request."""
    scheme: str
    """The variable with what the client has spoken: http or https."""

    tls: Policy
    listen: str
    """What follows the port where TLS is spoken."""
    certificate: str
    key: str
    hsts: str | None
    thumbprint: str | None

    balancer: Behind | None
    balancer_ends_tls: bool
    """Then what it says of a request is kept."""
    proxy_protocol: bool
    """Whether the balancer names the client that way."""
    real_ip_header: str

    loopback: tuple[str, ...]
    unlimited: tuple[str, ...]
    """Networks that are not counted, loopback with them."""
    header_size: int
    handshake_paths: list[str]
    plain_paths: list[str]
    origins: list[str]
    origin_required: bool
    handshakes_per_second: int
    handshake_burst: int
    """How many come at once, beyond the first."""
    address_connections: int
    zone_megabytes: int
    """What clients are counted in, by address."""
    shard_digits: int
    """Clients are counted in parts: by so many last digits of a connection's number."""
    shard_clients: int
    """Clients of each part."""
    retry_after: int

    upstream: str
    """How the app is asked, but for the path."""
    health: str | None
    """The path of the app's health check."""
    leaving: str | None
    """The file that is there when the machine goes; None if nothing tells."""
    servers: list[str]
    listeners: int
    """How many of them are different ones."""
    alone: bool
    """Whether they are on this host."""
    tries: int
    internal: host_keypairs.Client | None


def view(target: Target, internal: host_keypairs.Client | None) -> NginxConf:
    """Return it for a host. internal: what the host needs to talk to app hosts over TLS."""
    settings, limits = target.settings, target.limits
    app, rules = settings.app, settings.edge
    proxy_protocol = rules.behind is not None and rules.behind.header == "proxy-protocol"
    ends_tls = rules.behind is not None and not proxy_protocol
    digits = shard_digits(limits.worker_clients)
    servers = addresses(target)
    return {
        "settings": settings,
        "name": settings.name,
        "domain": settings.domain,
        "server_names": tls.names(settings),
        "shutdown_timeout": edge.shutdown_timeout(settings),
        "workers": limits.workers,
        "worker_files": limits.worker_files,
        "worker_connections": limits.worker_connections,
        "backlog": limits.backlog,
        "idle_timeout": limits.idle_timeout,
        "ping_interval": app.ping_interval,
        "ping_timeout": app.ping_timeout or "(never)",
        "access_log": access_log(settings),
        "request_id": "$client_id" if ends_tls else "$request_id",
        "scheme": "$client_scheme" if ends_tls else "$scheme",
        "tls": tls.policy(target),
        "listen": "ssl proxy_protocol" if proxy_protocol else "ssl",
        "certificate": paths.certificate(settings.name),
        "key": paths.key(settings.name),
        "hsts": edge.hsts(settings),
        "thumbprint": acme.thumbprint(target),
        "balancer": rules.behind,
        "balancer_ends_tls": ends_tls,
        "proxy_protocol": proxy_protocol,
        "real_ip_header": "proxy_protocol" if proxy_protocol else "X-Forwarded-For",
        "loopback": edge.LOOPBACK,
        "unlimited": (*edge.LOOPBACK, *rules.unlimited_networks),
        "header_size": rules.header_size,
        "handshake_paths": _rest(edge.handshake_paths(settings)),
        "plain_paths": _rest(edge.path_patterns(rules.plain_paths)),
        "origins": _rest(edge.origin_patterns(settings)),
        "origin_required": rules.origin_required,
        "handshakes_per_second": rules.handshakes_per_second,
        "handshake_burst": edge.at_once(settings) - 1,
        "address_connections": min(edge.connections(settings), COUNTED_MOST),
        "zone_megabytes": edge.zone_size(settings),
        "shard_digits": digits,
        "shard_clients": limits.worker_clients // 10**digits,
        "retry_after": edge.RETRY_AFTER,
        "upstream": "https://app" if settings.internal_tls else "http://app",
        "health": app.health,
        "leaving": paths.leaving_mark(settings.name) if settings.leaving else None,
        # One that is the only one is there twice.
        "servers": servers * 2 if len(servers) == 1 else servers,
        "listeners": len(servers),
        "alone": settings.topology.alone,
        "tries": upstreams.tries(target),
        "internal": internal,
    }


def shard_digits(clients: int) -> int:
    """Return how many digits tell the parts apart that clients are counted in.

    Each part has to be counted, and parts are told apart by the last digits of a connection's
    number, so they are of equal size, but for chance.
    """
    digits = 0
    while clients > 10**digits * COUNTED_MOST:
        digits += 1
    return digits


def access_log(settings: Settings) -> str:
    """Return where requests are logged, and in which format."""
    return f"{paths.proxy_log(settings.name)} websocket" if settings.proxy.access_log else "off"


def addresses(target: Target) -> list[str]:
    """Return the app's listeners as nginx writes addresses."""
    return [_address(upstream) for upstream in upstreams.upstreams(target)]


def _address(upstream: Upstream) -> str:
    return f"unix:{upstream.unix}" if upstream.unix else upstream.endpoint


def _rest(patterns: list[str]) -> list[str]:
    """Return patterns without their ^, as the variable that they are for begins with another."""
    return [pattern.removeprefix("^") for pattern in patterns]
