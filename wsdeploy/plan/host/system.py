"""The ground that both tiers stand on: packages, users, folders, kernel limits, programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from wsdeploy.plan.app import upstreams
from wsdeploy.plan.host import paths
from wsdeploy.plan.host.files import File, FileSet
from wsdeploy.plan.host.limits import PROCESSES_LEAST
from wsdeploy.plan.host.render import render
from wsdeploy.plan.host.survey import PathState, Request
from wsdeploy.plan.proxy import acme, failover
from wsdeploy.plan.target import Target
from wsdeploy.settings import Settings

NAME = "system"

# Beyond so many connections to one listener of the app, source ports may run out: the kernel has
# 28,232 by default, and half of the listeners can be down.
PORTS_ENOUGH = 14_000

# Where outgoing connections may get their source ports from, by default or as set below.
SOURCE_PORTS = 10_240


class SysusersConf(TypedDict):
    """What templates/system/sysusers.conf.j2 is given."""

    name: str


class Folder(TypedDict):
    """A folder as systemd-tmpfiles makes it."""

    path: str
    mode: str
    owner: str
    group: str


class TmpfilesConf(TypedDict):
    """What templates/system/tmpfiles.conf.j2 is given."""

    name: str
    folders: list[Folder]
    writable: Sequence[str]
    """Folders of the app that are made only if they are missing."""


class SysctlConf(TypedDict):
    """What templates/system/sysctl.conf.j2 is given."""

    sysctl: list[tuple[str, str, str]]
    """Key, value and reason."""


def sysctl(target: Target) -> list[tuple[str, str, str]]:
    """Return kernel settings as (key, value, reason)."""
    settings, backlog = target.settings, str(target.limits.backlog)
    found = [
        ("net.core.somaxconn", backlog, "Caps every listener's queue, unix sockets included."),
        ("net.ipv4.tcp_max_syn_backlog", backlog, "Handshakes under way when everyone reconnects."),
        (
            "net.ipv4.tcp_migrate_req",
            "1",
            "A queued connection moves on when its listener closes and another has its port.",
        ),
        (
            "net.ipv4.tcp_slow_start_after_idle",
            "0",
            "A message after a silence goes out as fast as the connection was before it.",
        ),
        (
            "net.ipv4.tcp_notsent_lowat",
            "131072",
            "A client who reads slowly holds this much unsent data in the kernel, not 4 MB.",
        ),
    ]
    ports = upstreams.ports(settings, target.processes)
    if ports and ports[-1] >= SOURCE_PORTS:
        found.append(
            (
                "net.ipv4.ip_local_reserved_ports",
                f"{ports[0]}-{ports[-1]}" if len(ports) > 1 else str(ports[0]),
                "No outgoing connection takes one of the app's ports while a process restarts.",
            )
        )
    if failover.wanted(settings) and target.is_proxy:
        found += failover.kernel()
    if not settings.topology.alone:
        found.append(
            (
                "net.ipv4.tcp_tw_reuse",
                "1",
                "Source ports of ended connections to the app can be used again after a second.",
            )
        )
        # Hosts may have more than the least, but which ones, others don't know.
        least = settings.app.processes if settings.app.processes != "auto" else PROCESSES_LEAST
        listeners = len(upstreams.reached(settings, least)) * len(settings.topology.app) or 1
        if settings.max_connections > PORTS_ENOUGH * listeners:
            found.append(
                (
                    "net.ipv4.ip_local_port_range",
                    f"{SOURCE_PORTS}\t65535",
                    "Source ports for so many connections to each listener of the app.",
                )
            )
    return found


def _settable(target: Target) -> list[tuple[str, str, str]]:
    """Return the kernel settings that this host lets root change: in a container, not all are."""
    survey = target.survey
    return [
        setting
        for setting in sysctl(target)
        if survey.bare or survey.sysctl.get(setting[0]) is not None
    ]


def set_name(settings: Settings) -> str:
    """Return the name of the set of files: the first that a deployment puts on a host."""
    return f"{settings.name}-{NAME}"


def files(target: Target) -> FileSet:
    """Return the files that make the user, the folders and the kernel settings."""
    settings, survey, name = target.settings, target.survey, target.name
    users, made, kernel = (
        f"/etc/sysusers.d/{name}.conf",
        f"/etc/tmpfiles.d/{name}.conf",
        f"/etc/sysctl.d/60-{name}.conf",
    )
    sysusers: SysusersConf = {"name": name}
    tmpfiles: TmpfilesConf = {
        "name": name,
        "folders": [
            {"path": path, "mode": f"{it.mode:04o}", "owner": it.owner, "group": it.group}
            for path, it in folders(settings).items()
        ],
        "writable": settings.app.writable,
    }
    settable: SysctlConf = {"sysctl": _settable(target)}
    return FileSet(
        name=set_name(settings),
        files=(
            File(users, render("system/sysusers.conf", sysusers)),
            File(made, render("system/tmpfiles.conf", tmpfiles)),
            File(kernel, render("system/sysctl.conf", settable)),
        ),
        activate=(
            ("systemd-sysusers", users),
            ("systemd-tmpfiles", "--create", made),
            ("sysctl", "--quiet", f"--load={kernel}"),
        ),
        notes=tuple(
            f"this host does not let {key} be set to {value}"
            for key, value, _ in sysctl(target)
            if not survey.bare and survey.sysctl.get(key) is None
        ),
    )


def folders(settings: Settings) -> dict[str, PathState]:
    """Return the folders that the files of this set make, as they should be."""
    name = settings.name

    def folder(mode: int, owner: str, group: str) -> PathState:
        return PathState("directory", mode, owner, group)

    made = {paths.acme(name): folder(0o700, "root", "root")} if acme.wanted(settings) else {}
    return made | {
        f"/srv/{name}": folder(0o755, "root", "root"),
        # Code, and what was shipped with it, is for the app alone.
        paths.releases(name): folder(0o750, "root", name),
        paths.etc(name): folder(0o750, "root", name),
        f"{paths.etc(name)}/tls": folder(0o700, "root", "root"),
        f"/run/{name}": folder(0o755, "root", "root"),
        f"/var/log/{name}": folder(0o750, "root", "adm"),
        paths.data(name): folder(0o750, name, name),
        # What was applied, records with secrets, locks: who could write there would be root at the
        # next rollback.
        "/var/lib/wsdeploy": folder(0o700, "root", "root"),
        **{
            f"/var/lib/wsdeploy/{each}": folder(0o700, "root", "root")
            for each in ("previous", "sets", "services", f"services/{name}")
        },
    }


def drift(target: Target) -> list[str]:
    """Return what the files of this set should have brought about, but did not or no longer do."""
    settings, survey, name = target.settings, target.survey, target.name
    found = [f"user {name}"] if name not in survey.users else []
    if f"{name}-proxy" not in survey.groups:
        found.append(f"group {name}-proxy")
    found += [path for path, it in folders(settings).items() if survey.paths.get(path) != it]
    found += [path for path in settings.app.writable if path not in survey.paths]
    kernel = _settable(target)
    return found + [key for key, value, _ in kernel if survey.sysctl.get(key) != value]


def asks(target: Target) -> Request:
    """Return what its plan has to know of a host beyond its files."""
    settings = target.settings
    keys = [key for key, _, _ in sysctl(Target.unknown(settings, target.host))]
    if settings.app.processes == "auto":
        # Only for so many processes that they have ports of that range.
        keys.append("net.ipv4.ip_local_reserved_ports")
    return Request(
        users=(settings.name,),
        groups=(f"{settings.name}-proxy",),
        sysctl=tuple(dict.fromkeys(keys)),
        paths=(*folders(settings), *settings.app.writable),
    )
