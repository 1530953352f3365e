"""The packet filter of every host: SSH, the proxies' ports, the app's for the proxies, no more.

It is a table of its own; those of others go on. An app that listens on all interfaces, as many do,
would otherwise be on the Internet without TLS.
"""

from __future__ import annotations

from ipaddress import IPv4Network, collapse_addresses, ip_address, ip_network
from typing import TypedDict, cast

from wsdeploy.plan.app import upstreams
from wsdeploy.plan.host import metrics, paths, remote
from wsdeploy.plan.host.files import File, FileSet
from wsdeploy.plan.host.render import render
from wsdeploy.plan.host.survey import Listener, Survey
from wsdeploy.plan.proxy import edge, failover
from wsdeploy.plan.target import Target
from wsdeploy.settings import Firewall, Settings
from wsdeploy.settings.firewall import Allowed, Network, as_network
from wshost.requests import TryFirewall

NAME = "firewall"
PACKAGES = ("nftables",)
PUBLIC = (80, 443)
SSH = 22

TRIAL = 30
"""Seconds after which a host takes new rules back, unless they are confirmed."""

FLOOD = 2
"""Connections of an address are dropped beyond as many times the handshakes that it may do."""

KEEP = """systemctl stop "$1" 2>/dev/null || {
    echo "their trial was over before this machine said that it comes in; deploy again"
    exit 1
}"""

# What of conntrack's table is for all else than connections to the app.
TRACKED_LEAST = 262_144


class FirewallNft(TypedDict):
    """What templates/system/firewall.nft.j2 is given. 4 and 6 stand for IPv4 and IPv6."""

    name: str
    public: list[int]
    """Ports for clients."""
    app_ports: list[int]
    untracked: list[int]
    """Ports whose connections are too many to be tracked: all of these."""
    sources4: list[str]
    """The proxies, who alone reach the app's ports."""
    sources6: list[str]
    ssh_ports: list[int]
    ssh_from4: list[str]
    """Who may use SSH; nobody here and there is everybody."""
    ssh_from6: list[str]
    vrrp: list[str]
    """Rules for the other proxies that share addresses with this one."""
    allowed: list[str]
    """Rules for what else is let in, but for the verdict."""
    unpaced4: list[str]
    """Clients who may connect as often as they like."""
    unpaced6: list[str]
    pace: int
    """Connections that an address may open in a second, beyond the burst."""
    burst: int


class FirewallService(TypedDict):
    """What templates/system/firewall.service.j2 is given."""

    name: str
    rules: str
    """The file with the rules."""
    tracked: int
    """Connections that the host has to have room to track, or 0."""


def unit(settings: Settings) -> str:
    """Return the systemd unit that loads the rules."""
    return f"{settings.name}-firewall.service"


def rules(settings: Settings) -> str:
    """Return the file with the rules."""
    return f"{paths.etc(settings.name)}/firewall.nft"


def wanted(settings: Settings) -> bool:
    """Tell whether hosts have the rules."""
    return settings.firewall is not False


def chosen(settings: Settings) -> Firewall:
    """Return what the settings say of it."""
    return settings.firewall if isinstance(settings.firewall, Firewall) else Firewall()


def ssh_ports(survey: Survey, ssh_port: int = SSH) -> list[int]:
    """Return the ports that a host is reached on by SSH.

    ssh_port: where pyinfra connects to, for a host that can't tell: that may be a router's port.
    """
    return sorted(survey.ssh_ports) or [ssh_port]


def app_ports(target: Target) -> list[int]:
    """Return the TCP ports of the app on a host."""
    return upstreams.ports(target.settings, target.processes) if target.is_app else []


def old_ports(target: Target) -> set[int]:
    """Return the app's ports that are open by the present rules, but not by the settings."""
    return set(target.survey.firewall_ports) - set(app_ports(target))


def public_ports(target: Target) -> list[int]:
    """Return the TCP ports for clients on a host."""
    return list(PUBLIC) if target.is_proxy else []


def files(target: Target, *, final: bool = True) -> FileSet:
    """Return the rules, and the unit that loads them before the network is up.

    final: whether ports of the app that are open by the present rules, but not by the settings,
    are closed. Until the proxies have learnt of new ones, they need the old ones.
    """
    settings, survey = target.settings, target.survey
    topology, firewall = settings.topology, chosen(settings)
    proxies = () if topology.alone else topology.proxy
    sources = [ip_address(topology.addresses[proxy]) for proxy in proxies]
    networks = [net for net in map(as_network, firewall.ssh_from) if net is not None]
    behind = settings.edge.behind
    unpaced = [
        ip_network(text)
        for text in (*settings.edge.unlimited_networks, *(behind.networks if behind else ()))
    ]
    ports = set(app_ports(target))
    if not final and target.is_app:
        ports |= set(survey.firewall_ports)
    public = public_ports(target)
    tracked = 0
    if target.is_proxy and not topology.alone:
        tracked = TRACKED_LEAST + settings.max_connections
    name = unit(settings)
    nft: FirewallNft = {
        "name": settings.name,
        "public": public,
        "app_ports": sorted(ports),
        "untracked": sorted({*public, *ports}),
        "sources4": sorted(str(source) for source in sources if source.version == 4),
        "sources6": sorted(str(source) for source in sources if source.version == 6),
        "ssh_ports": ssh_ports(survey, int(topology.ssh_ports.get(target.host, SSH))),
        "ssh_from4": _merged(networks, 4),
        "ssh_from6": _merged(networks, 6),
        "vrrp": [_rule(entry) for entry in _vrrp(target)],
        "allowed": [_rule(entry) for entry in (*_allowed(firewall), *metrics.allowed(settings))],
        "unpaced4": _merged(unpaced, 4),
        "unpaced6": _merged(unpaced, 6),
        "pace": FLOOD * settings.edge.handshakes_per_second,
        "burst": FLOOD * edge.at_once(settings),
    }
    service: FirewallService = {
        "name": settings.name,
        "rules": rules(settings),
        "tracked": tracked,
    }
    return FileSet(
        name=f"{settings.name}-{NAME}",
        files=(
            File(rules(settings), render("system/firewall.nft", nft), mode=0o600),
            File(paths.unit(name), render("system/firewall.service", service)),
        ),
        validate=(("nft", "--check", "--file", f"{{stage}}{rules(settings)}"),),
        # The rules that are tried out now are kept.
        prepare=(("sh", "-c", KEEP, "keep-the-new-rules", f"{settings.name}-firewall-back.timer"),),
        activate=(
            ("systemctl", "daemon-reload"),
            ("systemctl", "enable", "--quiet", name),
            # reload replaces the whole table in one transaction: there is no moment without it.
            ("systemctl", "reload-or-restart", name),
        ),
        verify=(
            ("nft", "list", "table", "inet", settings.name),
            remote.script("config/ruleset.py", "ruleset", settings.name),
        ),
        notes=closed(target),
    )


def trial(settings: Settings, files: FileSet) -> TryFirewall:
    """Return the request that tries new rules out."""
    (content,) = (file.content for file in files.files if file.path == rules(settings))
    return {
        "name": settings.name,
        "rules": content,
        "file": rules(settings),
        "unit": unit(settings),
        "seconds": TRIAL,
    }


def _merged(networks: list[Network], version: int) -> list[str]:
    """Return those of a version, without any that lies in another: nft refuses overlaps."""
    # They are of one kind; the type can't say which.
    found = [cast(IPv4Network, network) for network in networks if network.version == version]
    return [str(network) for network in collapse_addresses(found)]


def _allowed(firewall: Firewall) -> list[Allowed]:
    return [entry for text in firewall.allow if (entry := Allowed.parse(text))]


def _vrrp(target: Target) -> list[Allowed]:
    """Return what lets proxies that share addresses hear each other."""
    if not (failover.wanted(target.settings) and target.is_proxy):
        return []
    return [Allowed("vrrp", network=as_network(peer)) for peer in failover.peers(target)]


def _rule(allowed: Allowed) -> str:
    """Return an entry of Firewall.allow as nft writes it, but for the verdict."""
    words = []
    if allowed.network is not None:
        words.append(f"{'ip' if allowed.network.version == 4 else 'ip6'} saddr {allowed.network}")
    if allowed.first:
        ports = f"{allowed.first}-{allowed.last}".removesuffix(f"-{allowed.first}")
        words.append(f"{allowed.protocol} dport {ports}")
    elif allowed.protocol != "all":
        words.append(f"meta l4proto {NUMBERS[allowed.protocol]}")
    return " ".join(words)


# Of protocols without ports (IANA), as not every host has all their names.
NUMBERS = {"igmp": 2, "ipip": 4, "gre": 47, "esp": 50, "ah": 51, "ospf": 89, "vrrp": 112}


def closed(target: Target) -> tuple[str, ...]:
    """Return what to say of programs that listen on ports that others do not reach."""
    survey = target.survey
    open_tcp = {*ssh_ports(survey), *public_ports(target), *app_ports(target)}
    open_tcp |= set(survey.firewall_ports)
    open_udp = {68, 546}

    def is_open(listener: Listener) -> bool:
        if listener.port in (open_tcp if listener.protocol == "tcp" else open_udp):
            return True
        return any(
            entry.protocol == "all"
            or (entry.protocol == listener.protocol and entry.first <= listener.port <= entry.last)
            for entry in (
                *_allowed(chosen(target.settings)),
                *metrics.allowed(target.settings),
            )
        )

    shut = sorted(
        {
            f"{listener.protocol}/{listener.port}"
            + (f" ({listener.unit})" if listener.unit else "")
            for listener in survey.listeners
            if not is_open(listener)
        }
    )
    if not shut:
        return ()
    return (
        f"closed to other hosts by the firewall: {', '.join(shut)}; "
        "Firewall(allow=...) would open them",
    )


def drift(target: Target) -> list[str]:
    """Return what keeps the rules from being in force, now and after a boot."""
    found = target.survey.not_running(unit(target.settings))
    if not target.survey.firewall_as_loaded:
        found.append(f"the loaded rules of table inet {target.name} are not the planned ones")
    return found
