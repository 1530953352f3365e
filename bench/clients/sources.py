"""Source addresses: each has only so many ports for connections to one address and port."""

from __future__ import annotations

from wsdeploy_sandbox import network
from wsdeploy_sandbox.command import run

PORTS = 28_232
"""Source ports of an address, by the kernel's default (net.ipv4.ip_local_port_range)."""

MOST = network.FIRST_NUMBER - network.GATEWAY_NUMBER
"""Addresses of the sandbox's network that no host gets."""


def needed(clients: int) -> int:
    """Return how many addresses so many clients of one address and port need. Pure."""
    return max(1, -(-clients // PORTS))


def on_bridge(count: int) -> tuple[str, ...]:
    """Return so many addresses of this machine in the sandbox's network, and make them if missing.

    They go when the bridge goes, with the last sandbox host.
    Raises ValueError if there are not so many; the bridge must be there.
    """
    subnets = network.planned()
    if count > MOST or subnets is None:
        raise ValueError(f"the sandbox's network has {MOST} addresses for clients, not {count}")
    found = tuple(subnets.address(network.GATEWAY_NUMBER + number) for number in range(count))
    for address in found:
        run("ip", "address", "replace", f"{address}/{subnets.v4.prefixlen}", "dev", network.BRIDGE)
    return found
