"""What is in the way of a service on a host: found before anything is changed, each with a way out.

A service that is there already has been looked at; what is asked again is only whether the system
is one that this project knows.
"""

from __future__ import annotations

from wsdeploy.plan.host import firewall, system
from wsdeploy.plan.host.files import FileSet
from wsdeploy.plan.host.survey import DEBIAN_PYTHON, Request, Survey
from wsdeploy.plan.proxy import proxies
from wsdeploy.settings import Nginx, Settings

OURS = ("wsdeploy",)


def findings(settings: Settings, survey: Survey, host: str) -> list[str]:
    """Return a line for each thing that is in the way."""
    found = _system(survey)
    around = survey.neighbours
    if around is None:
        return found
    name = settings.name
    found += [
        f"the service {other} of another inventory is here, and a host has one: use another host, "
        f"or remove that one first (pyinfra ITS-INVENTORY wsdeploy.remove)"
        for other in around.get("services", ())
    ]
    if _marker(settings, system.NAME) not in survey.paths:
        found += _names(settings, survey)
    if host in settings.topology.proxy:
        found += _proxies(settings, survey)
    found += _filters(settings, survey, host)
    others = sorted(
        {
            process.group
            for process in survey.processes or ()
            if not process.group.startswith(f"{name}-")
        }
    )
    if others and host in settings.topology.app and not settings.take_over:
        found.append(
            f"Supervisor runs other programs ({', '.join(others)}), and they can write to few "
            "folders after its next start: name those in 30-own.conf beside our 20-*-sandbox.conf "
            "(docs/operate/hosts.md), then say Settings(take_over=True)"
        )
    return found


def kept(settings: Settings, survey: Survey, host: str) -> list[str]:
    """Return what to say of configuration that is replaced with the user's leave."""
    around = survey.neighbours
    if around is None or host not in settings.topology.proxy or not settings.take_over:
        return []
    files = [path for each in around.get("proxies", {}).values() for path in each]
    return [f"{path} was there before; it stays under {BEFORE}" for path in files]


KEPT = "/var/lib/wsdeploy/kept"
"""Where wshost.config.remove notes services whose data and user it has left."""
BEFORE = "/var/lib/wsdeploy/before"
"""Where hosts keep what was there before any deployment (wshost.config.apply_files)."""


def _system(survey: Survey) -> list[str]:
    system_id, version = survey.system.get("id", ""), survey.system.get("version", "")
    if system_id == "debian" and version in DEBIAN_PYTHON:
        return []
    known = " and ".join(DEBIAN_PYTHON)
    return [f"it runs {system_id or 'an unknown system'} {version}, and this is for Debian {known}"]


def _names(settings: Settings, survey: Survey) -> list[str]:
    name = settings.name
    if f"{KEPT}/{name}" in survey.paths:
        return []
    taken = [f"user {name}"] if name in survey.users else []
    taken += [f"group {each}" for each in (name, f"{name}-proxy") if each in survey.groups]
    taken += (survey.neighbours or {}).get("folders", ())
    if not taken:
        return []
    return [
        f"{', '.join(taken)}: there already, and not by a deployment; choose another Settings.name "
        f"than {name!r}, or remove what nobody needs any more"
    ]


def _proxies(settings: Settings, survey: Survey) -> list[str]:
    found: list[str] = []
    around = survey.neighbours or {}
    own = "nginx" if isinstance(settings.proxy, Nginx) else "haproxy"
    files = around.get("proxies", {}).get(own, ())
    if files and not settings.take_over:
        found.append(
            f"{own} has a configuration that is not ours ({', '.join(files)}), and its sites would "
            "be gone: use another host, or say Settings(take_over=True); what is there then stays "
            f"under {BEFORE}"
        )
    units = {proxies.chosen(settings).UNIT}
    if _marker(settings, proxies.other(settings).NAME) in survey.paths:
        units.add(proxies.other(settings).UNIT)
    for port, unit in sorted(around.get("ports", {}).items()):
        if unit not in units:
            found.append(
                f"port {port} is taken by {unit}: stop it (systemctl disable --now {unit}), or use "
                "another host"
            )
    return found


def _filters(settings: Settings, survey: Survey, host: str) -> list[str]:
    wanted = [*firewall.public_ports(settings, host)]
    if not settings.topology.alone:
        wanted += firewall.app_ports(settings, survey, host)
    found = []
    for each in (survey.neighbours or {}).get("filters", ()):
        missing = [port for port in wanted if port not in each["numbers"]]
        if missing:
            ports = ", ".join(map(str, missing))
            found.append(
                f"the packet filter {each['table']} drops what it does not allow (chain "
                f"{each['chain']}), and says nothing of TCP {ports}: allow that there (ufw: "
                f"`ufw allow {missing[-1]}/tcp`), or no client gets in"
            )
    return found


def request(settings: Settings, host: str) -> Request:
    """Return what to ask a host about."""
    names = [system.NAME]
    if host in settings.topology.proxy:
        names.append(proxies.chosen(settings).NAME)
    markers = tuple(_marker(settings, name) for name in names)
    return Request(
        neighbours=markers,
        groups=(settings.name, f"{settings.name}-proxy"),
        paths=(*markers, f"{KEPT}/{settings.name}"),
    )


def _marker(settings: Settings, name: str) -> str:
    return FileSet(f"{settings.name}-{name}", ()).marker.path
