"""The ground that both tiers stand on: packages, users, folders, kernel limits, programs."""

from __future__ import annotations

from collections.abc import Collection

from wsdeploy.files import File, FileSet
from wsdeploy.limits import derive
from wsdeploy.plan import places
from wsdeploy.render import render
from wsdeploy.settings import Settings
from wsdeploy.survey import Request, Survey

POLICY = "/usr/sbin/policy-rc.d"
"""Keeps packages from starting services while they are installed; present only meanwhile."""


def packages(roles: Collection[str]) -> tuple[str, ...]:
    """Return the Debian packages that a host with these roles needs, besides what they need."""
    # logrotate: Debian's nginx brings rules for it, but does not require it.
    by_role = {"app": ("supervisor",), "proxy": ("nginx", "logrotate", "openssl")}
    return ("python3", *(package for role in by_role if role in roles for package in by_role[role]))


def sysctl(settings: Settings, survey: Survey) -> list[tuple[str, str, str]]:
    """Return kernel settings as (key, value, reason)."""
    backlog = str(derive(settings, survey).backlog)
    return [
        ("net.core.somaxconn", backlog, "Caps every listener's queue, unix sockets included."),
        ("net.ipv4.tcp_max_syn_backlog", backlog, "Handshakes under way when everyone reconnects."),
        (
            "net.ipv4.tcp_migrate_req",
            "1",
            "A queued connection moves on when its listener closes and another has its port.",
        ),
    ]


def _settable(settings: Settings, survey: Survey) -> list[tuple[str, str, str]]:
    """Return the kernel settings that this host lets root change: in a container, not all are."""
    return [
        setting
        for setting in sysctl(settings, survey)
        if survey.bare or survey.sysctl.get(setting[0]) is not None
    ]


def files(settings: Settings, survey: Survey) -> FileSet:
    """Return the files that make the user, the folders and the kernel settings."""
    name = settings.name
    users, folders, kernel = (
        f"/etc/sysusers.d/{name}.conf",
        f"/etc/tmpfiles.d/{name}.conf",
        f"/etc/sysctl.d/60-{name}.conf",
    )
    context = {"name": name, "sysctl": _settable(settings, survey)}
    return FileSet(
        name=f"{name}-system",
        files=(
            File(users, render("system/sysusers.conf", **context)),
            File(folders, render("system/tmpfiles.conf", **context)),
            File(kernel, render("system/sysctl.conf", **context)),
        ),
        activate=(
            ("systemd-sysusers", users),
            ("systemd-tmpfiles", "--create", folders),
            ("sysctl", "--quiet", f"--load={kernel}"),
        ),
        notes=tuple(
            f"this host does not let {key} be set to {value}"
            for key, value, _ in sysctl(settings, survey)
            if not survey.bare and survey.sysctl.get(key) is None
        ),
    )


def undone(settings: Settings, survey: Survey) -> list[str]:
    """Return what the files of this set should have brought about, but did not or no longer do."""
    name = settings.name
    found = [f"user {name}"] if name not in survey.users else []
    if f"{name}-proxy" not in survey.groups:
        found.append(f"group {name}-proxy")
    folders = [f"/srv/{name}", places.releases(name), places.etc(name), f"/etc/{name}/tls"]
    folders += [f"/run/{name}", f"/var/log/{name}"]
    found += [path for path in folders if path not in survey.paths]
    kernel = _settable(settings, survey)
    return found + [key for key, value, _ in kernel if survey.sysctl.get(key) != value]


def request(settings: Settings, roles: Collection[str]) -> Request:
    """Return what to ask a host about, to plan this part."""
    name = settings.name
    return files(settings, Survey(bare=True)).request() + Request(
        packages=packages(roles),
        users=(name,),
        groups=(f"{name}-proxy",),
        sysctl=tuple(key for key, _, _ in sysctl(settings, Survey(bare=True))),
        paths=(
            POLICY,
            f"/srv/{name}",
            places.releases(name),
            places.etc(name),
            f"/etc/{name}/tls",
            f"/run/{name}",
            f"/var/log/{name}",
        ),
    )
