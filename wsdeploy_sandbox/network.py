"""The bridge that connects hosts to each other, to this machine and through it to the outside."""

import contextlib
import ipaddress
import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from wsdeploy_sandbox import state
from wsdeploy_sandbox.command import run, succeeds
from wsdeploy_sandbox.errors import SandboxError

Network4 = ipaddress.IPv4Network
Network6 = ipaddress.IPv6Network

BRIDGE = "wsd0"
TABLE = "wsdeploy_sandbox"
GATEWAY_NUMBER = 1
FIRST_NUMBER = 11
LAST_NUMBER = 254


@dataclass(frozen=True)
class Subnets:
    """The two subnets of the bridge; a host has the same number in both."""

    v4: Network4
    v6: Network6

    def address(self, number: int) -> str:
        """Return the IPv4 address with a number."""
        return str(self.v4[number])

    def address6(self, number: int) -> str:
        """Return the IPv6 address that reads like the IPv4 one: 11 gives …::11, not …::b."""
        return str(self.v6[int(str(number), 16)])


CANDIDATES4 = tuple(Network4(f"10.{77 + i}.77.0/24") for i in range(150))
CANDIDATES6 = tuple(Network6(f"fd77:7364:6570:{i:x}::/64") for i in range(1, 150))


def plan_subnets(taken: Iterable[str]) -> Subnets:
    """Choose subnets that overlap nothing this machine has a route or a name server in.

    `taken` holds addresses and networks in CIDR notation. The first free candidates are chosen,
    so that addresses are mostly the same on every machine. Raises SandboxError if all are taken.
    """
    in_use = list(taken)
    v4 = next((network for network in CANDIDATES4 if not _overlaps(network, in_use)), None)
    v6 = next((network for network in CANDIDATES6 if not _overlaps(network, in_use)), None)
    if v4 is None or v6 is None:
        raise SandboxError("no subnet is free for the sandbox: every candidate has a route already")
    return Subnets(v4, v6)


def is_free(subnets: Subnets, taken: Iterable[str]) -> bool:
    """Tell whether subnets overlap nothing of what is taken."""
    in_use = list(taken)
    return not _overlaps(subnets.v4, in_use) and not _overlaps(subnets.v6, in_use)


def _overlaps(network: Network4 | Network6, taken: Iterable[str]) -> bool:
    others = (ipaddress.ip_network(other, strict=False) for other in taken)
    if isinstance(network, Network4):
        return any(isinstance(o, Network4) and network.overlaps(o) for o in others)
    return any(isinstance(o, Network6) and network.overlaps(o) for o in others)


def mac(number: int) -> str:
    """Return the MAC address that belongs to a number, whichever host has it.

    Otherwise neighbours would go on sending to a deleted host's MAC address for many seconds
    after another host was given its number.
    """
    return f"02:77:73:64:00:{number:02x}"


def next_number(used: Iterable[int]) -> int:
    """Return the lowest number that no host has; raise SandboxError if there is none."""
    taken = set(used)
    for number in count(FIRST_NUMBER):
        if number > LAST_NUMBER:
            break
        if number not in taken:
            return number
    raise SandboxError(f"the sandbox is full: it has room for {len(taken)} hosts")


def taken_networks(routes: Iterable[dict[str, Any]], nameservers: Iterable[str]) -> list[str]:
    """Return where subnets can't be, from the JSON routes of `ip route` and the name servers.

    Left out are default routes, which overlap everything, and our own bridge's.
    """
    networks = [
        route["dst"]
        for route in routes
        if route["dst"] != "default" and route.get("dev") != BRIDGE and _is_unicast(route["dst"])
    ]
    return networks + [server.partition("%")[0] for server in nameservers]


def _is_unicast(network: str) -> bool:
    return not ipaddress.ip_network(network, strict=False).network_address.is_multicast


def nft_rules(subnets: Subnets, local_resolver: str | None) -> str:
    """Return the script that makes our nftables table, whatever it was before.

    What hosts send to the outside gets this machine's address. If this machine's only name server
    listens on a loopback address, hosts reach it through the bridge's address.
    """
    resolver = ""
    if local_resolver:
        gateway = subnets.address(GATEWAY_NUMBER)
        resolver = f"""
    chain resolver {{
        type nat hook prerouting priority dstnat
        iifname "{BRIDGE}" ip daddr {gateway} udp dport 53 dnat ip to {local_resolver}
        iifname "{BRIDGE}" ip daddr {gateway} tcp dport 53 dnat ip to {local_resolver}
    }}"""
    return f"""table inet {TABLE} {{}}
delete table inet {TABLE}
table inet {TABLE} {{
    chain outside {{
        type nat hook postrouting priority srcnat
        ip saddr {subnets.v4} oifname != "{BRIDGE}" masquerade
        ip6 saddr {subnets.v6} oifname != "{BRIDGE}" masquerade
    }}{resolver}
}}
"""


# ---- what there is ----


def planned() -> Subnets | None:
    """Return the subnets that were chosen when the first host was made."""
    with contextlib.suppress(FileNotFoundError, ValueError, KeyError):
        return _subnets(json.loads(state.NETWORK.read_text()))
    return None


def is_up() -> bool:
    """Tell whether the bridge is there."""
    return Path("/sys/class/net", BRIDGE).exists()


# ---- changing it ----


def ensure(nameservers: Iterable[str], local_resolver: str | None) -> Subnets:
    """Make the bridge, let its hosts out, and return the subnets. Does no harm if done before."""
    saved = _load()
    taken = taken_networks(_routes(), nameservers)
    # While the bridge is up, its subnets stay: hosts may be using them.
    if saved and (is_up() or is_free(_subnets(saved), taken)):
        subnets = _subnets(saved)
    else:
        subnets = plan_subnets(taken)
    wanted = {"net/ipv4/ip_forward": "1", "net/ipv6/conf/all/forwarding": "1"}
    for link in _links_with_advertised_routes():
        # A machine that forwards stops listening to router advertisements, and would lose its
        # own way out, unless it is told to listen all the same.
        wanted[f"net/ipv6/conf/{link}/accept_ra"] = "2"
    before = {name: _sysctl(name) for name in wanted} | (saved.get("sysctls", {}) if saved else {})
    # Written down before anything is changed, so that `down` can always change it back.
    state.write_json(
        state.NETWORK, {"v4": str(subnets.v4), "v6": str(subnets.v6), "sysctls": before}
    )
    if not is_up():
        # Without an address of its own it takes over one of its ports', and so a new one, which
        # the hosts' neighbour tables don't know, as hosts come and go.
        run("ip", "link", "add", BRIDGE, "address", mac(GATEWAY_NUMBER), "type", "bridge")
    v4 = f"{subnets.address(GATEWAY_NUMBER)}/{subnets.v4.prefixlen}"
    v6 = f"{subnets.address6(GATEWAY_NUMBER)}/{subnets.v6.prefixlen}"
    Path("/proc/sys/net/ipv6/conf", BRIDGE, "disable_ipv6").write_text("0")
    run("ip", "address", "replace", v4, "dev", BRIDGE)
    run("ip", "address", "replace", v6, "dev", BRIDGE, "nodad")
    run("ip", "link", "set", BRIDGE, "up")
    if local_resolver:
        wanted[f"net/ipv4/conf/{BRIDGE}/route_localnet"] = "1"
    for name, value in wanted.items():
        if _sysctl(name) != value:
            Path("/proc/sys", name).write_text(value)
    run("nft", "-f", "-", stdin=nft_rules(subnets, local_resolver))
    _accept_forwarding()
    return subnets


def remove() -> None:
    """Take the bridge and all that belongs to it away, and put kernel settings back."""
    for tool in ("iptables", "ip6tables"):
        for rule in _FORWARD_RULES:
            while succeeds([tool, "-D", "FORWARD", *rule]):
                pass
    if succeeds(["nft", "list", "table", "inet", TABLE]):
        run("nft", "delete", "table", "inet", TABLE)
    if is_up():
        run("ip", "link", "delete", BRIDGE)
    saved = _load()
    for name, value in (saved.get("sysctls", {}) if saved else {}).items():
        # A network interface may have gone since.
        with contextlib.suppress(FileNotFoundError):
            if _sysctl(name) != value:
                Path("/proc/sys", name).write_text(value)
    state.NETWORK.unlink(missing_ok=True)


def remove_link(name: str) -> None:
    """Remove a host's end of its link to the bridge, if killing the host left it behind."""
    for link in _json("ip", "-j", "link", "show", "master", BRIDGE) if is_up() else []:
        if link["ifname"] == name or name in link.get("altnames", []):
            # It disappears by itself when the kernel has cleaned up the host's network.
            succeeds(["ip", "link", "delete", link["ifname"]])


def set_link(name: str, *, up: bool) -> None:
    """Let a host's link to the bridge carry packets, or none, as when a cable is pulled."""
    run("ip", "link", "set", name, "up" if up else "down")


def mtu() -> int:
    """Return the MTU of this machine's way out, in bytes, which hosts had better not exceed."""
    for route in _json("ip", "-j", "route", "show", "default"):
        with contextlib.suppress(FileNotFoundError):
            return int(Path("/sys/class/net", route["dev"], "mtu").read_text())
    return 1500


_FORWARD_RULES = (("-i", BRIDGE, "-j", "ACCEPT"), ("-o", BRIDGE, "-j", "ACCEPT"))


def _accept_forwarding() -> None:
    """Get past a firewall that forwards nothing by default, as Docker and ufw set up.

    Accepting in a table of our own would not do: every table has to accept.
    """
    for tool in ("iptables", "ip6tables"):
        try:
            policy = run(tool, "-S", "FORWARD").splitlines()[0]
        except SandboxError:
            continue
        if policy.endswith("ACCEPT"):
            continue
        for rule in _FORWARD_RULES:
            if not succeeds([tool, "-C", "FORWARD", *rule]):
                run(tool, "-I", "FORWARD", *rule)


def _links_with_advertised_routes() -> list[str]:
    routes = _json("ip", "-j", "-6", "route", "show", "default", "proto", "ra")
    return sorted(
        {
            route["dev"]
            for route in routes
            if "dev" in route and _sysctl(f"net/ipv6/conf/{route['dev']}/accept_ra") == "1"
        }
    )


def _routes() -> list[dict[str, Any]]:
    v4 = _json("ip", "-j", "-4", "route", "show", "table", "all")
    return v4 + _json("ip", "-j", "-6", "route", "show", "table", "all")


def _json(*command: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run(*command) or "[]")
    return found


def _sysctl(name: str) -> str:
    return Path("/proc/sys", name).read_text().strip()


def _load() -> dict[str, Any] | None:
    with contextlib.suppress(FileNotFoundError, ValueError):
        saved: dict[str, Any] = json.loads(state.NETWORK.read_text())
        return saved
    return None


def _subnets(saved: dict[str, Any]) -> Subnets:
    return Subnets(Network4(saved["v4"]), Network6(saved["v6"]))
