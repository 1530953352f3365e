"""Which host does what in a fleet, and how the app's processes are reached. Pure.

Everything comes from the inventory file, never from the hosts: a run that is limited to some hosts
must still know all of them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

LOOPBACK = "127.0.0.1"


def endpoint(address: str, port: int) -> str:
    """Return an address and a port as configuration files write them: [fd00::1]:8000."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


@dataclass(frozen=True)
class Upstream:
    """A listener of the app, as a proxy reaches it."""

    name: str
    """Unique in the fleet, the same at every run: `app1-ws_00`."""
    unix: str | None = None
    """Path of a unix socket, or None for TCP."""
    address: str = LOOPBACK
    port: int = 0

    @property
    def endpoint(self) -> str:
        """Its address and port."""
        return endpoint(self.address, self.port)


@dataclass(frozen=True)
class Topology:
    """The hosts of a fleet and their private addresses."""

    app: tuple[str, ...] = ()
    proxy: tuple[str, ...] = ()
    addresses: Mapping[str, str] = field(default_factory=dict)
    """Where a host is reached from the other tier: `private_address` of its host data."""

    ssh_ports: Mapping[str, int] = field(default_factory=dict)
    """Where pyinfra connects to by SSH: `ssh_port` of its host data."""

    spare: tuple[str, ...] = ()
    """Addresses of app hosts that the inventory does not name, and that may not exist."""

    @property
    def alone(self) -> bool:
        """Whether each host is proxy and app for itself, and never needs another."""
        return set(self.app) == set(self.proxy)

    def roles(self, host: str) -> tuple[str, ...]:
        """Return what a host is: `app`, `proxy` or both."""
        return tuple(role for role in ("app", "proxy") if host in getattr(self, role))

    def listen_address(self, host: str) -> str:
        """Return the address that the app's TCP ports are bound to on a host."""
        return LOOPBACK if self.alone else self.addresses[host]

    def app_hosts_of(self, proxy: str) -> Collection[str]:
        """Return the app hosts that a proxy passes clients to."""
        return (proxy,) if self.alone else self.app
