"""What others may reach on a host."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from wsdeploy.settings.section import Problem, Section, refused

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# Protocols without ports that services on a host speak: keepalived, VPNs, routing.
PORTLESS = ("ah", "esp", "gre", "igmp", "ipip", "ospf", "vrrp", "all")
RULE = re.compile(
    r"(?:(?P<protocol>tcp|udp)/(?P<first>[0-9]{1,5})(?:-(?P<last>[0-9]{1,5}))?"
    rf"|(?P<portless>{'|'.join(PORTLESS)}))(?: from (?P<network>\S+))?"
)


@dataclass(frozen=True)
class Allowed:
    """What an entry of `Firewall.allow` lets in."""

    protocol: str
    first: int = 0
    last: int = 0
    network: Network | None = None
    """Where it may come from, or None for anywhere."""

    @classmethod
    def parse(cls, text: str) -> Allowed | None:
        """Read an entry such as `tcp/9100 from 10.0.0.0/8`, or return None if it is none.

        >>> Allowed.parse("udp/51820")
        Allowed(protocol='udp', first=51820, last=51820, network=None)
        """
        match = RULE.fullmatch(text)
        if match is None:
            return None
        network = None
        if match["network"] is not None and (network := as_network(match["network"])) is None:
            return None
        if match["portless"]:
            # Everything from everywhere would be no firewall.
            everywhere = network is None or network.prefixlen == 0
            everything = match["portless"] == "all" and everywhere
            return None if everything else cls(match["portless"], network=network)
        first = int(match["first"])
        last = int(match["last"] or first)
        if not 1 <= first <= last <= 65_535:
            return None
        return cls(match["protocol"], first, last, network)


def as_network(text: str) -> Network | None:
    """Return the network, or the single address, that a text names, or None.

    >>> as_network("10.0.0.7"), as_network("10.0.0.7/8")
    (IPv4Network('10.0.0.7/32'), None)
    """
    try:
        # A zone (fe80::1%eth0) is any text, and would get into the rules as it stands.
        return None if "%" in text else ipaddress.ip_network(text)
    except ValueError:
        return None


class Firewall(Section):
    """What others may reach on every host of the fleet, beside the service itself.

    Open anyway: SSH, on the ports that sshd listens on; on proxies 80 and 443; on app hosts the
    app's TCP ports, for the proxies only. All else is closed.
    """

    ssh_from: Sequence[str] = ()
    """Networks and addresses that SSH may come from, such as `["192.0.2.0/24"]`; none means
    anywhere. Rules that keep the machine that deploys out are taken back by themselves."""
    allow: Sequence[str] = ()
    """What else may be reached: `"tcp/9100"`, `"udp/51820"`, `"tcp/9000-9010 from 10.0.0.0/8"`,
    `"vrrp from 10.0.0.9"` (also ah, esp, gre, igmp, ipip, ospf), `"all from 10.0.0.0/8"`."""

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong with these values."""
        for text in self.ssh_from:
            if as_network(text) is None:
                yield refused("ssh_from", text, "give a network or an address: '192.0.2.0/24'")
        for text in self.allow:
            if Allowed.parse(text) is None:
                yield refused(
                    "allow", text, "write 'tcp/9100', 'udp/51820' or 'tcp/9100 from 10.0.0.0/8'"
                )
