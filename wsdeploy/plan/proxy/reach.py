"""The checker of nginx hosts: app hosts that do not answer are refused at once, by the kernel."""

from __future__ import annotations

import json
from typing import TypedDict

from wsdeploy.plan.app import upstreams
from wsdeploy.plan.host import paths, programs
from wsdeploy.plan.host.files import File, FileSet, active, restarted
from wsdeploy.plan.host.render import render
from wsdeploy.plan.target import Target
from wsdeploy.settings import Nginx, Settings

NAME = "reach"
PACKAGES = ("nftables",)


class ReachService(TypedDict):
    """What templates/reach/reach.service.j2 is given."""

    name: str
    folder: str
    """The folder with its programs."""
    configuration: str
    table: str
    """Its table in the packet filter."""


def unit(settings: Settings) -> str:
    """Return its systemd unit."""
    return f"{settings.name}-reach.service"


def set_name(settings: Settings) -> str:
    """Return the name of its set of files, and of its table in the packet filter."""
    return f"{settings.name}-{NAME}"


def wanted(settings: Settings) -> bool:
    """Tell whether proxies have one: nginx, where app hosts are others than itself.

    HAProxy has health checks of its own.
    """
    return isinstance(settings.proxy, Nginx) and not settings.topology.alone


def configuration(target: Target) -> str:
    """Return whom it asks: addresses of app hosts, with their ports."""
    hosts: dict[str, list[int]] = {}
    for each in upstreams.upstreams(target):
        if not each.unix:
            hosts.setdefault(each.address, []).append(each.port)
    return json.dumps({"table": set_name(target.settings), "hosts": hosts}, indent=2) + "\n"


def files(target: Target) -> FileSet:
    """Return its programs, its configuration and its unit."""
    settings, name = target.settings, target.name
    folder = paths.reach(name)
    path = f"{folder}/reach.json"
    view: ReachService = {
        "name": name,
        "folder": folder,
        "configuration": path,
        "table": set_name(settings),
    }
    return FileSet(
        name=set_name(settings),
        files=(
            *programs.files("watchdog.reach", folder),
            File(path, configuration(target)),
            File(paths.unit(unit(settings)), render("reach/reach.service", view)),
        ),
        validate=programs.tried(
            folder, "-m", "wshost.watchdog.reach", "--check", f"{{stage}}{path}"
        ),
        # It answers when its rules are there (Type=notify).
        activate=restarted(unit(settings)),
        verify=active(unit(settings)),
    )


def drift(target: Target) -> list[str]:
    """Return what keeps it from watching, now and after a boot."""
    return target.survey.not_running(unit(target.settings))
