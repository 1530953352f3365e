"""The app's listeners, on their host and as the proxies see them."""

from __future__ import annotations

from wsdeploy.plan import places
from wsdeploy.settings import Settings
from wsdeploy.settings.fleet import TLS_PORTS_AFTER
from wsdeploy.topology import Upstream


def process_names(settings: Settings) -> list[str]:
    """Return the names of a host's processes, as Supervisor gives them: ws_00, ws_01, …."""
    return [f"{settings.name}_{number:02d}" for number in range(settings.app.processes)]


def reached(settings: Settings) -> list[int]:
    """Return the TCP ports of an app host that proxies connect to; none for unix sockets.

    The app listens on them itself, or with internal_tls its host's TLS listener does.
    """
    first, processes = settings.app.port, settings.app.processes
    if settings.internal_tls:
        return [first + TLS_PORTS_AFTER + number for number in range(processes)]
    match settings.listen():
        case "tcp":
            return [first + number for number in range(processes)]
        case "shared":
            return [first]
    return []


def ports(settings: Settings) -> list[int]:
    """Return the TCP ports of an app host that nobody but proxies may reach.

    With internal_tls, processes that were there before it was switched on may still have theirs.
    """
    if not settings.internal_tls:
        return reached(settings)
    own = [settings.app.port + number for number in range(settings.app.processes)]
    return [*own, *reached(settings)]


def upstreams(settings: Settings, proxy: str) -> list[Upstream]:
    """Return all listeners that a proxy host balances over, in a fixed order."""
    topology, found = settings.topology, []
    for host in topology.app_hosts_of(proxy):
        if not reached(settings):
            folder = places.sockets(settings.name, "current")
            found += [
                Upstream(f"{host}-{name}", unix=f"{folder}/{name}.sock")
                for name in process_names(settings)
            ]
            continue
        address = topology.listen_address(host)
        names = [settings.name] if settings.listen() == "shared" else process_names(settings)
        found += [
            Upstream(f"{host}-{name}", address=address, port=port)
            for name, port in zip(names, reached(settings), strict=True)
        ]
    return found
