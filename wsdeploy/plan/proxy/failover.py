"""Addresses that proxies share: keepalived gives them to one, and to another if that one fails.

All proxies have them on lo, too, where nobody else sees them. So what began while a host had an
address can be ended from there after it has moved: with a close frame, a ping that finds out, or a
FIN. Without that, who only listens would never learn that the address has moved.
"""

from __future__ import annotations

import ipaddress
import zlib
from typing import TypedDict

from wsdeploy.plan.host import paths
from wsdeploy.plan.host.files import Command, File, FileSet, active, enabled, restarted
from wsdeploy.plan.host.render import render
from wsdeploy.plan.host.survey import Request
from wsdeploy.plan.target import Target
from wsdeploy.settings import Failover, Settings
from wsdeploy.settings.failover import as_written

NAME = "failover"
ADDRESSES = "addresses"
"""The set of files that puts the addresses on lo."""
UNIT = "keepalived.service"
PACKAGES = ("keepalived",)
CONFIGURATION = "/etc/keepalived/keepalived.conf"

GUESS = "eth0"
"""The interface of a host that has not been asked yet."""

CLOUDS = {
    "Amazon EC2": "AWS",
    "Google": "Google Cloud",
    "DigitalOcean": "DigitalOcean",
    "Hetzner": "Hetzner Cloud",
}
"""Whose networks move an address only by an API, by the vendor that a machine's firmware names."""

# Debian 12's keepalived ends with 143 after files that are good (acassen/keepalived #2587). It
# complains of what it would ignore, and then ends with 0 or 143, too. Debian 13's looks for the
# scripts, which are not in their place yet.
VALIDATE = (
    """sed 's|"/etc/keepalived/[^"]*"|"/bin/true"|' "$1" >"$1.tried"; """
    'said=$(keepalived --config-test --use-file "$1.tried" 2>&1); code=$?; printf "%s" "$said"; '
    'test -z "$said" && { test $code = 0 || test $code = 143; }'
)


class Address(TypedDict):
    """A shared address, in templates/failover/keepalived.conf.j2."""

    network: str
    """With its length, of a network of its own."""
    interface: str
    """Where its holder has it."""


class KeepalivedConf(TypedDict):
    """What templates/failover/keepalived.conf.j2 is given."""

    name: str
    router_id: int
    interface: str
    """Where the proxies talk to each other."""
    source: str
    peers: list[str]
    addresses: list[Address]
    tracked: list[str]
    """Further interfaces whose loss is one of the proxy."""
    script: str
    moved: str


class ServesSh(TypedDict):
    """What templates/failover/serves.sh.j2 is given."""

    name: str
    domain: str
    hold_file: str
    drain_file: str
    shutdown: int
    """Seconds that the app has for its end when the host goes down; 0 without an app."""


class MovedSh(TypedDict):
    """What templates/failover/moved.sh.j2 is given."""

    unit: str
    script: str
    addresses: list[str]


class UnitConf(TypedDict):
    """What templates/failover/unit.conf.j2 is given."""

    name: str
    is_app: bool


class AddressesService(TypedDict):
    """What templates/failover/addresses.service.j2 is given."""

    name: str
    networks: list[str]


def wanted(settings: Settings) -> bool:
    """Tell whether proxies share addresses."""
    return settings.failover is not None


def _chosen(settings: Settings) -> Failover:
    assert settings.failover is not None
    return settings.failover


def addresses_unit(settings: Settings) -> str:
    """Return the systemd unit that puts the addresses on lo."""
    return f"{settings.name}-addresses.service"


def shared(settings: Settings) -> list[str]:
    """Return the shared addresses as hosts write them, the one that is announced first.

    That one is of the version by which the proxies reach each other.
    """
    found = list(map(as_written, _chosen(settings).addresses))
    version = ipaddress.ip_address(settings.topology.addresses[settings.topology.proxy[0]]).version
    return sorted(found, key=lambda each: ipaddress.ip_address(each).version != version)


def peers(target: Target) -> list[str]:
    """Return the addresses by which the other proxies are reached."""
    topology = target.settings.topology
    return [as_written(topology.addresses[each]) for each in topology.proxy if each != target.host]


def router_id(settings: Settings) -> int:
    """Return the virtual router ID: the setting, or one that follows from the service's name."""
    return _chosen(settings).router_id or zlib.crc32(settings.name.encode()) % 255 + 1


def announced_by(target: Target) -> str:
    """Return the interface by which a proxy reaches the others."""
    routes = target.survey.network.get("routes", {})
    return next((each["interface"] for each in routes.values()), GUESS)


def interface(target: Target, address: str) -> str:
    """Return the interface on which the holder of an address has it."""
    if (named := _chosen(target.settings).interface) is not None:
        return named
    wanted = ipaddress.ip_address(address)
    for name, found in target.survey.network.get("addresses", {}).items():
        networks = map(ipaddress.ip_interface, found)
        # An address alone, such as one that is shared, says nothing of where its network is.
        if name != "lo" and any(
            wanted in each.network and each.network.num_addresses > 1 for each in networks
        ):
            return name
    return announced_by(target)


def _network(address: str) -> str:
    return f"{address}/{128 if ':' in address else 32}"


def files(target: Target) -> FileSet:
    """Return keepalived's configuration, its scripts and what makes its unit fit for it."""
    settings, name = target.settings, target.name
    # Not below /usr/local, which a group may write to: keepalived runs no script from there then.
    script, moved = (f"/etc/keepalived/{name}-{each}.sh" for each in ("serves", "moved"))
    addresses: list[Address] = [
        {"network": _network(each), "interface": interface(target, each)}
        for each in shared(settings)
    ]
    used = dict.fromkeys(each["interface"] for each in addresses)
    configuration: KeepalivedConf = {
        "name": name,
        "router_id": router_id(settings),
        "interface": announced_by(target),
        "source": as_written(settings.topology.addresses[target.host]),
        "peers": peers(target),
        "addresses": addresses,
        "tracked": [each for each in used if each != announced_by(target)],
        "script": script,
        "moved": moved,
    }
    serves: ServesSh = {
        "name": name,
        "domain": settings.domain,
        "hold_file": paths.hold_file(name),
        "drain_file": paths.drain_file(name),
        "shutdown": target.limits.unit_stop if target.is_app else 0,
    }
    moving: MovedSh = {
        "unit": addresses_unit(settings),
        "script": script,
        "addresses": shared(settings),
    }
    unit: UnitConf = {"name": name, "is_app": target.is_app}
    return FileSet(
        name=f"{name}-{NAME}",
        files=(
            File(CONFIGURATION, render("failover/keepalived.conf", configuration)),
            File(script, render("failover/serves.sh", serves), mode=0o755),
            File(moved, render("failover/moved.sh", moving), mode=0o755),
            File(paths.drop_in(name, UNIT), render("failover/unit.conf", unit)),
        ),
        validate=(
            *(_refused(finding) for finding in findings(target)),
            *(("bash", "-n", f"{{stage}}{each}") for each in (script, moved)),
            ("sh", "-c", VALIDATE, "keepalived", f"{{stage}}{CONFIGURATION}"),
        ),
        activate=(
            ("systemctl", "daemon-reload"),
            enabled(UNIT),
            # A restart would move the addresses.
            ("systemctl", "reload-or-restart", UNIT),
        ),
        verify=active(UNIT),
    )


def _refused(finding: str) -> Command:
    """Return a command that fails with a finding: a bare host has only now been asked."""
    return ("sh", "-c", 'echo "$1"; exit 1', "shared addresses", finding)


def lo_files(target: Target) -> FileSet:
    """Return the unit that puts the addresses on lo."""
    settings = target.settings
    unit = addresses_unit(settings)
    view: AddressesService = {
        "name": target.name,
        "networks": [_network(each) for each in shared(settings)],
    }
    return FileSet(
        name=f"{target.name}-{ADDRESSES}",
        files=(File(paths.unit(unit), render("failover/addresses.service", view)),),
        # By the file that is there, which knows addresses that are not shared any more.
        prepare=(
            (
                "sh",
                "-c",
                'systemctl stop "$1" || ! systemctl cat "$1" >/dev/null 2>&1',
                "stop",
                unit,
            ),
        ),
        activate=restarted(unit),
        verify=active(unit),
    )


def drift(target: Target) -> list[str]:
    """Return what keeps keepalived from running, now and after a boot."""
    return [] if target.survey.running(UNIT) else [f"{UNIT} is not running as configured"]


def lo_drift(target: Target) -> list[str]:
    """Return what keeps the addresses from being on lo, now and after a boot."""
    there = target.survey.network.get("addresses", {}).get("lo", ())
    missing = [each for each in shared(target.settings) if _network(each) not in there]
    return [
        *target.survey.not_running(addresses_unit(target.settings)),
        *(f"{each} is not on lo" for each in missing),
    ]


def kernel() -> list[tuple[str, str, str]]:
    """Return the kernel settings that addresses on lo need, as (key, value, reason)."""
    return [
        (
            "net.ipv4.conf.all.arp_ignore",
            "1",
            "Only who has a shared address on an interface answers for it; all have it on lo.",
        ),
        (
            "net.ipv4.conf.all.arp_announce",
            "2",
            "Nobody asks for another host in the name of a shared address.",
        ),
    ]


def asks(target: Target) -> Request:
    """Return what the plan has to know of a host."""
    return Request(network=tuple(peers(target)))


def findings(target: Target) -> list[str]:
    """Return what is in the way of sharing addresses on a host, a line each."""
    if not (wanted(target.settings) and target.is_proxy) or target.survey.bare:
        return []
    settings, survey = target.settings, target.survey
    found = []
    vendor = survey.network.get("vendor", "")
    for name, cloud in CLOUDS.items():
        if vendor.startswith(name):
            found.append(
                f"it is a machine of {cloud}, whose network does not let hosts move an address: "
                "use its load balancer instead of failover (docs/guides/balancers.md)"
            )
    routes = survey.network.get("routes", {})
    names = {
        as_written(settings.topology.addresses[each]): each for each in settings.topology.proxy
    }
    for peer in peers(target):
        if peer not in routes:
            found.append(f"it has no way to {names[peer]} ({peer}); mend its private_address")
        elif (router := routes[peer]["router"]) is not None:
            found.append(
                f"its way to {names[peer]} ({peer}) goes through the router {router}, and an "
                "address can't move beyond a router: give a private_address of a common network"
            )
        elif routes[peer]["interface"] == "lo":
            found.append(f"{names[peer]}'s private_address {peer} is its own; mend the inventory")
    return found + _taken(target)


def _taken(target: Target) -> list[str]:
    """Return what on a host is somebody else's, that has not shared these addresses yet."""
    settings, survey = target.settings, target.survey
    if FileSet(f"{target.name}-{NAME}", ()).marker.path in survey.paths:
        return []
    found = []
    if CONFIGURATION in survey.paths and not settings.take_over:
        found.append(
            f"keepalived has a configuration that is not ours ({CONFIGURATION}), and its addresses "
            "would be gone: use another host, or say Settings(take_over=True); what is there then "
            "stays under /var/lib/wsdeploy/before"
        )
    if CONFIGURATION not in survey.paths:
        for name, addresses in survey.network.get("addresses", {}).items():
            own = {each.partition("/")[0] for each in addresses} & {*shared(settings)}
            found += [
                f"{each} is its own address ({name}), and a shared one has to be nobody's: give "
                "another in failover.addresses, or take it off the host"
                for each in sorted(own)
                if name != "lo"
            ]
    return found


def replaced(target: Target) -> list[str]:
    """Return the files of others that are replaced with the user's leave."""
    marker = FileSet(f"{target.name}-{NAME}", ()).marker.path
    there = target.survey.paths
    taken = wanted(target.settings) and target.is_proxy and target.settings.take_over
    return [CONFIGURATION] if taken and CONFIGURATION in there and marker not in there else []
