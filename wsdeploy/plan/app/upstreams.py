"""The app's listeners, on their host and as the proxies see them."""

from __future__ import annotations

from wsdeploy.plan.app import process_counts
from wsdeploy.plan.host import paths
from wsdeploy.plan.target import Target
from wsdeploy.settings import Settings
from wsdeploy.settings.service import TLS_PORTS_AFTER
from wsdeploy.settings.topology import Upstream


def process_names(settings: Settings, count: int) -> list[str]:
    """Return the names of a host's processes, as Supervisor gives them: ws_00, ws_01, …."""
    return [f"{settings.name}_{number:02d}" for number in range(count)]


def reached(settings: Settings, count: int) -> list[int]:
    """Return the TCP ports of an app host that proxies connect to; none for unix sockets.

    The app listens on them itself, or with internal_tls its host's TLS listener does.
    count: how many processes that host has.
    """
    first = settings.app.port
    if settings.internal_tls:
        return [first + TLS_PORTS_AFTER + number for number in range(count)]
    match settings.listen():
        case "tcp":
            return [first + number for number in range(count)]
        case "shared":
            return [first]
    return []


def ports(settings: Settings, count: int) -> list[int]:
    """Return the TCP ports of an app host that nobody but proxies may reach.

    With internal_tls, processes that were there before it was switched on may still have theirs.
    count: how many processes that host has.
    """
    if not settings.internal_tls:
        return reached(settings, count)
    own = [settings.app.port + number for number in range(count)]
    return [*own, *reached(settings, count)]


def upstreams(proxy: Target) -> list[Upstream]:
    """Return the listeners of the inventory that a proxy host balances over, in a fixed order."""
    settings, topology, found = proxy.settings, proxy.settings.topology, []
    for host in topology.app_hosts_of(proxy.host):
        count = process_counts.of(host, proxy)
        if not reached(settings, count):
            folder = paths.sockets(settings.name, "current")
            found += [
                Upstream(f"{host}-{name}", unix=f"{folder}/{name}.sock")
                for name in process_names(settings, count)
            ]
            continue
        found += _on_ports(settings, host, topology.listen_address(host), count)
    return found


def spare(settings: Settings) -> list[Upstream]:
    """Return the listeners at the spare addresses, whether anybody is there or not."""
    # The settings are refused where hosts that may not exist would have to be asked for it.
    count = settings.app.processes if settings.app.processes != "auto" else 1
    addresses = settings.topology.spare
    return [each for it in addresses for each in _on_ports(settings, it, it, count)]


def _on_ports(settings: Settings, host: str, address: str, count: int) -> list[Upstream]:
    """Return the listeners of a host that proxies reach by TCP. count: its processes."""
    shared = settings.listen() == "shared"
    names = [settings.name] if shared else process_names(settings, count)
    return [
        Upstream(f"{host}-{name}", address=address, port=port)
        for name, port in zip(names, reached(settings, count), strict=True)
    ]


def tries(proxy: Target) -> int:
    """Return how many of the app's listeners one handshake may be passed to.

    All of a host that has gone down this moment can be the first ones, as they have lost their
    clients; then one that restarts, and one that serves. More would let a single request that the
    app can't read go through the whole fleet.
    """
    by_host: dict[str, int] = {}
    for each in upstreams(proxy):
        where = each.unix.rpartition("/")[0] if each.unix else each.address
        by_host[where] = by_host.get(where, 0) + 1
    return max(by_host.values(), default=0) + 2
