"""The packet filter of app hosts: their TCP ports are for the proxies only.

A host that is its own proxy reaches them over loopback, and nobody else does: an app that listens
on all interfaces, as many do, would otherwise be on the Internet without TLS.
"""

from __future__ import annotations

from ipaddress import ip_address

from wsdeploy.files import File, FileSet
from wsdeploy.plan import upstreams
from wsdeploy.render import render
from wsdeploy.settings import Settings
from wsdeploy.survey import Request, Survey

PACKAGES = ("nftables",)


def unit(settings: Settings) -> str:
    """Return the systemd unit that loads the rules."""
    return f"{settings.name}-firewall.service"


def set_name(settings: Settings) -> str:
    """Return the name of the set of files."""
    return f"{settings.name}-firewall"


def wanted(settings: Settings, host: str) -> bool:
    """Tell whether a host has ports that others could reach but should not."""
    return settings.firewall and host in settings.topology.app and bool(upstreams.ports(settings))


def files(settings: Settings, survey: Survey) -> FileSet:
    """Return the rules, and the unit that loads them before the network is up."""
    topology = settings.topology
    proxies = () if topology.alone else topology.proxy
    sources = [ip_address(topology.addresses[proxy]) for proxy in proxies]
    rules = f"/etc/{settings.name}/firewall.nft"
    name = unit(settings)
    return FileSet(
        name=set_name(settings),
        files=(
            File(
                rules,
                render(
                    "system/firewall.nft",
                    name=settings.name,
                    ports=upstreams.ports(settings),
                    sources4=sorted(str(source) for source in sources if source.version == 4),
                    sources6=sorted(str(source) for source in sources if source.version == 6),
                ),
                mode=0o600,
            ),
            File(
                f"/etc/systemd/system/{name}",
                render("system/firewall.service", name=settings.name, rules=rules),
            ),
        ),
        validate=(("nft", "--check", "--file", f"{{stage}}{rules}"),),
        activate=(
            ("systemctl", "daemon-reload"),
            ("systemctl", "enable", "--quiet", name),
            # reload replaces the whole table in one transaction: there is no moment without it.
            ("systemctl", "reload-or-restart", name),
        ),
        verify=(("nft", "list", "table", "inet", settings.name),),
    )


def undone(settings: Settings, survey: Survey) -> list[str]:
    """Return what keeps the rules from being in force, now and after a boot."""
    return [] if survey.running(unit(settings)) else [f"{unit(settings)} is not running"]


def request(settings: Settings, host: str) -> Request:
    """Return what to ask a host about, to plan this part."""
    asked = Request(paths=(FileSet(set_name(settings), ()).marker.path,), units=(unit(settings),))
    return asked + files(settings, Survey()).request() if wanted(settings, host) else asked
