"""What is in the way of a service on a host: found before anything is changed, each with a way out.

A service that is there already has been looked at; what is asked again is only whether the system
is one that this project knows.
"""

from __future__ import annotations

from wsdeploy.plan.host import firewall, system
from wsdeploy.plan.host.files import FileSet
from wsdeploy.plan.host.survey import DEBIAN_PYTHON, Request, Survey
from wsdeploy.plan.proxy import failover, proxies
from wsdeploy.plan.target import Target
from wsdeploy.settings import Nginx, Settings

OURS = ("wsdeploy",)


def findings(target: Target) -> list[str]:
    """Return a line for each thing that is in the way."""
    settings, survey = target.settings, target.survey
    found = _system(survey) + failover.findings(target)
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
        found += _names(target)
    if target.is_proxy:
        found += _proxies(target)
    found += _filters(target)
    others = sorted(
        {
            process.group
            for process in survey.processes or ()
            if not process.group.startswith(f"{name}-")
        }
    )
    if others and target.is_app and not settings.take_over:
        found.append(
            f"Supervisor runs other programs ({', '.join(others)}), and they can write to few "
            "folders after its next start: name those in 30-own.conf beside our 20-*-sandbox.conf "
            "(docs/operate/hosts.md), then say Settings(take_over=True)"
        )
    return found


def kept(target: Target) -> list[str]:
    """Return what to say of configuration that is replaced with the user's leave."""
    around, others = target.survey.neighbours, failover.replaced(target)
    if around is None or not target.is_proxy or not target.settings.take_over:
        return [_kept(path) for path in others]
    files = [path for each in around.get("proxies", {}).values() for path in each]
    return [_kept(path) for path in (*files, *others)]


def _kept(path: str) -> str:
    return f"{path} was there before; it stays under {BEFORE}"


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


def _names(target: Target) -> list[str]:
    name, survey = target.name, target.survey
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


def _proxies(target: Target) -> list[str]:
    settings, survey = target.settings, target.survey
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


def _filters(target: Target) -> list[str]:
    wanted = [*firewall.public_ports(target)]
    if not target.settings.topology.alone:
        wanted += firewall.app_ports(target)
    found = []
    for each in (target.survey.neighbours or {}).get("filters", ()):
        missing = [port for port in wanted if port not in each["numbers"]]
        if missing:
            ports = ", ".join(map(str, missing))
            found.append(
                f"the packet filter {each['table']} drops what it does not allow (chain "
                f"{each['chain']}), and says nothing of TCP {ports}: allow that there (ufw: "
                f"`ufw allow {missing[-1]}/tcp`), or no client gets in"
            )
    return found


def request(target: Target) -> Request:
    """Return what to ask a host about."""
    settings, names = target.settings, [system.NAME]
    if target.is_proxy:
        names.append(proxies.chosen(settings).NAME)
    markers = tuple(_marker(settings, name) for name in names)
    return Request(
        neighbours=markers,
        groups=(settings.name, f"{settings.name}-proxy"),
        paths=(*markers, f"{KEPT}/{settings.name}"),
    )


def _marker(settings: Settings, name: str) -> str:
    return FileSet(f"{settings.name}-{name}", ()).marker.path
