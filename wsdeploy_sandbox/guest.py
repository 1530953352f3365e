"""The files that make a Debian tree this host: its name, addresses, name servers and so on."""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from wsdeploy_sandbox import network
from wsdeploy_sandbox.control_hosts import Entry
from wsdeploy_sandbox.host import DOMAIN
from wsdeploy_sandbox.state import Record

APT_OPTIONS = "etc/apt/apt.conf.d/90sandbox"
"""Where apt learns how this machine downloads."""

LOCALHOST = """127.0.0.1 localhost
::1 localhost ip6-localhost ip6-loopback
"""


@dataclass(frozen=True)
class Surroundings:
    """What hosts take over from this machine."""

    nameservers: tuple[str, ...]
    search: tuple[str, ...]
    local_resolver: str | None
    """This machine's name server, if it only listens on a loopback address."""
    apt_options: tuple[str, ...]
    mtu: int


def entries(records: Iterable[Record], subnets: network.Subnets, *, short: bool) -> list[Entry]:
    """Return the addresses of all hosts and their names: in full, and for hosts also in short."""
    found: list[Entry] = []
    for record in sorted(records, key=lambda record: record.number):
        full = f"{record.name}.{DOMAIN}"
        names = (full, record.name) if short else (full,)
        found.append((subnets.address(record.number), names))
        found.append((subnets.address6(record.number), names))
    return found


def boot_files(record: Record, subnets: network.Subnets, around: Surroundings) -> dict[str, str]:
    """Return the files, by path, that are written each time a host is started.

    They follow this machine, which may be in another network by then.
    """
    gateway = subnets.address(network.GATEWAY_NUMBER)
    nameservers = (gateway,) if around.local_resolver else around.nameservers
    resolv = [f"nameserver {server}" for server in nameservers]
    if around.search:
        resolv.append(f"search {' '.join(around.search)}")
    return {
        "etc/resolv.conf": "".join(f"{line}\n" for line in resolv),
        "etc/systemd/network/10-sandbox.network": network_unit(record, subnets, around.mtu),
        APT_OPTIONS: "".join(f"{via_gateway(option, gateway)}\n" for option in around.apt_options),
    }


def network_unit(record: Record, subnets: network.Subnets, mtu: int) -> str:
    """Return the systemd-networkd file with a host's static addresses."""
    # Nobody else hands out these addresses, so asking around for a second before using one
    # (duplicate address detection) only makes booting slower.
    return f"""[Match]
Name=host0

[Link]
MACAddress={network.mac(record.number)}
MTUBytes={mtu}

[Network]
LinkLocalAddressing=ipv6
IPv6AcceptRA=no

[Address]
Address={subnets.address(record.number)}/{subnets.v4.prefixlen}

[Address]
Address={subnets.address6(record.number)}/{subnets.v6.prefixlen}
DuplicateAddressDetection=none

[Route]
Gateway={subnets.address(network.GATEWAY_NUMBER)}

[Route]
Gateway={subnets.address6(network.GATEWAY_NUMBER)}
"""


def parse_resolv_conf(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the name servers and the search domains of a resolv.conf."""
    servers: list[str] = []
    search: tuple[str, ...] = ()
    for line in text.splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == "nameserver":
            servers.append(words[1])
        elif len(words) > 1 and words[0] in ("search", "domain"):
            search = tuple(words[1:])
    return tuple(servers), search


def is_loopback(address: str) -> bool:
    """Tell whether only this machine itself can reach an address."""
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def apt_options(dump: str, environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the lines of `apt-config dump` that hosts need to download as this machine does.

    Proxies may also be named by the environment, which apt reads itself on this machine.
    """
    wanted = re.compile(
        r"Acquire::(https?::Proxy(::\S+)?|Check-Valid-Until|Check-Date) \"[^\"]+\";"
    )
    options = [line for line in dump.splitlines() if wanted.fullmatch(line)]
    for scheme in ("http", "https"):
        proxy = environment.get(f"{scheme}_proxy")
        if proxy and not any(f"::{scheme}::Proxy " in option for option in options):
            options.append(f'Acquire::{scheme}::Proxy "{proxy}";')
    return tuple(options)


def via_gateway(option: str, gateway: str) -> str:
    """Return an apt option whose proxy on this machine is named so that a host reaches it."""
    own = r"(localhost|127\.[0-9.]+|\[::1\])(?=[:/\"])"
    return re.sub(rf"//([^@/\"]*@)?{own}", rf"//\g<1>{gateway}", option)
