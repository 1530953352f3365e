"""The app's listeners, on their host and as the proxies see them."""

from __future__ import annotations

from wsdeploy.plan import places
from wsdeploy.settings import Settings
from wsdeploy.topology import Upstream


def process_names(settings: Settings) -> list[str]:
    """Return the names of a host's processes, as Supervisor gives them: ws_00, ws_01, …."""
    return [f"{settings.name}_{number:02d}" for number in range(settings.app.processes)]


def ports(settings: Settings) -> list[int]:
    """Return the TCP ports that the app listens on, on each app host; none for unix sockets."""
    match settings.listen():
        case "tcp":
            return [settings.app.port + number for number in range(settings.app.processes)]
        case "shared":
            return [settings.app.port]
    return []


def upstreams(settings: Settings, proxy: str) -> list[Upstream]:
    """Return all listeners that a proxy host balances over, in a fixed order."""
    topology, found = settings.topology, []
    for host in topology.app_hosts_of(proxy):
        if settings.listen() == "unix":
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
            for name, port in zip(names, ports(settings), strict=True)
        ]
    return found
