"""Addresses that proxies share, so that one of them may be gone."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from typing import Annotated

from wsdeploy.settings.names import is_address, is_private_address
from wsdeploy.settings.section import Problem, Range, Section, refused

DOCUMENTATION = tuple(
    map(
        ipaddress.ip_network,
        ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20"),
    )
)
"""Networks that only documents use (RFC 5737, 3849, 9637)."""

INTERFACE_LENGTH = 15
"""Characters that the name of a network interface can have (IFNAMSIZ)."""


class Failover(Section):
    """Addresses that two or more proxies share: one of them has them, and another if it fails.

    keepalived moves them. All proxies have to be in one network segment (layer 2) that lets an
    address move; clouds' networks do not. See docs/guides/topologies.md.
    """

    addresses: Sequence[str]
    """The shared addresses, IPv4 or IPv6: what the domain's DNS records say. They move together."""
    interface: str | None = None
    """Network interface that gets the addresses. None is the one whose network they are in, or
    else the one by which the proxies reach each other's `private_address`."""
    router_id: Annotated[int, Range(1, 255)] | None = None
    """Virtual router ID (VRID) of VRRP, which no other group of hosts in the segment may have.
    None derives it from the service's name."""

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong with these values."""
        if not self.addresses and self.addresses is not None:
            yield Problem("addresses", "it is empty; give the addresses that the proxies share")
        for address in self.addresses or ():
            if not is_address(address):
                yield refused("addresses", address, "give an address, without a network's length")
            elif any(ipaddress.ip_address(address) in network for network in DOCUMENTATION):
                yield refused("addresses", address, "that is a placeholder; give your own address")
            elif not is_private_address(address) or ipaddress.ip_address(address).is_link_local:
                yield refused("addresses", address, "give an address that clients can reach")
        found = [as_written(address) for address in self.addresses or ()]
        for address in sorted({each for each in found if found.count(each) > 1}):
            yield refused("addresses", address, "listed twice; list it once")
        name = self.interface
        if name is not None and not (
            0 < len(name) <= INTERFACE_LENGTH
            and name.isascii()
            and all(each.isalnum() or each in "._-" for each in name)
            and name != "lo"
        ):
            yield refused("interface", name, "give a network interface's name, such as 'eth0'")


def as_written(address: str) -> str:
    """Return an address as hosts write it; one that is none stays as it is."""
    return str(ipaddress.ip_address(address)) if is_address(address) else address
