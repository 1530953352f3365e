"""The TLS listener of app hosts, between the proxies and the app's sockets (internal_tls).

It is the program that the proxies are, too, with a unit and a configuration of its own: a host may
be a proxy as well, and what is done to one of the two should not touch the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from wsdeploy.plan.app import upstreams
from wsdeploy.plan.host import paths, remote
from wsdeploy.plan.host.files import Command, File, FileSet
from wsdeploy.plan.host.limits import SPARE_FILES
from wsdeploy.plan.host.render import render
from wsdeploy.plan.host.survey import Request
from wsdeploy.plan.proxy import edge, host_keypairs, proxies, tls
from wsdeploy.plan.proxy.tls import Policy
from wsdeploy.plan.target import Target
from wsdeploy.settings import Nginx, Settings
from wsdeploy.settings.topology import endpoint

NAME = "internal"

# Seconds that it waits longer than the proxies for a connection on which nothing happens, so that
# it is them who end it, and log it.
OUTLASTS = 30


@dataclass(frozen=True)
class Program:
    """What the listener can be: nginx or HAProxy."""

    folder: str
    """Of its templates."""
    packages: tuple[str, ...]
    debians_unit: str
    """The unit that Debian's package brings, which has nothing to do on an app host."""
    configuration: str
    check: Command


NGINX = Program(
    "nginx",
    # stream: passes connections on without a look at what is in them.
    ("openssl", "nginx", "libnginx-mod-stream"),
    "nginx.service",
    "nginx.conf",
    ("nginx", "-t", "-q", "-e", "stderr", "-c"),
)
HAPROXY = Program(
    "haproxy",
    ("openssl", "haproxy"),
    "haproxy.service",
    "haproxy.cfg",
    ("haproxy", "-c", "-q", "-f"),
)


def program(settings: Settings) -> Program:
    """Return what the listener is."""
    return NGINX if isinstance(settings.proxy, Nginx) else HAPROXY


def wanted(target: Target) -> bool:
    """Tell whether a host has one."""
    return target.settings.internal_tls and target.is_app


def unit(settings: Settings) -> str:
    """Return its systemd unit."""
    return f"{settings.name}-internal.service"


def folder(settings: Settings) -> str:
    """Return the folder with its configuration."""
    return f"{paths.etc(settings.name)}/internal"


def configuration(settings: Settings) -> str:
    """Return its configuration file."""
    return f"{folder(settings)}/{program(settings).configuration}"


def trust(settings: Settings) -> str:
    """Return the file with the certificates of those who may connect."""
    return f"{folder(settings)}/proxies.pem"


class Listener(TypedDict):
    """Where the TLS listener takes connections for a process of the app."""

    process: str
    address: str
    """Address and port."""


class InternalConf(TypedDict):
    """What templates/internal/nginx.conf.j2 and haproxy.cfg.j2 are given."""

    name: str
    pair: str
    """The file with key and certificate of the host."""
    trust: str
    """The file with the certificates of those who may connect, beside this one."""
    tls: Policy
    listeners: list[Listener]
    sockets: str
    """The folder with the app's sockets."""
    jail: str
    """The folder above it."""
    connections: int
    open_files: int
    backlog: int
    proxies_wait: int
    """Seconds without traffic after which the proxies give a connection up."""
    idle_timeout: int
    shutdown_timeout: int | None


class InternalService(TypedDict):
    """What templates/internal/nginx.service.j2 and haproxy.service.j2 are given."""

    name: str
    configuration: str
    open_files: int


@dataclass(frozen=True)
class Room:
    """How many connections a host lets the listener have."""

    wanted: int
    """All clients of all proxies: this could be the only app host that is left."""
    connections: int
    """As many of those as the host's open files allow one process."""
    open_files: int
    """What a process needs for that."""


def fits(target: Target) -> int:
    """Return how many connections fit: each takes two open files, as in the proxies."""
    return (target.limits.open_files - _own_files(target)) // 2


def _own_files(target: Target) -> int:
    # A poller and a pipe for each thread of HAProxy; nginx has less.
    return SPARE_FILES + target.processes + 8 * target.survey.limits.get("processors", 1)


def room(target: Target) -> Room:
    """Return how many connections the listener should have, and what it needs for them."""
    settings = target.settings
    clients = settings.max_connections * max(1, len(settings.topology.proxy))
    connections = min(clients, fits(target))
    needed = 2 * connections + _own_files(target) + SPARE_FILES
    return Room(clients, connections, min(needed, target.limits.open_files))


def files(target: Target) -> FileSet:
    """Return its configuration for a host."""
    settings, limits, count = target.settings, target.limits, target.processes
    chosen, size = program(settings), room(target)
    names, ports = upstreams.process_names(settings, count), upstreams.reached(settings, count)
    conf: InternalConf = {
        "name": settings.name,
        "pair": paths.host_keypair(settings.name),
        "trust": trust(settings).rpartition("/")[2],
        "tls": tls.policy(target),
        "listeners": [
            {"process": process, "address": endpoint(target.listen_address, port)}
            for process, port in zip(names, ports, strict=True)
        ],
        "sockets": paths.sockets(settings.name, "current"),
        "jail": paths.sockets(settings.name, "").rstrip("/"),
        "connections": size.connections,
        "open_files": size.open_files,
        "backlog": limits.backlog,
        "proxies_wait": limits.idle_timeout,
        "idle_timeout": limits.idle_timeout + OUTLASTS,
        "shutdown_timeout": edge.shutdown_timeout(settings),
    }
    service: InternalService = {
        "name": settings.name,
        "configuration": configuration(settings),
        "open_files": size.open_files,
    }
    proxies = settings.topology.proxy
    trusted = host_keypairs.trusted(target, proxies)
    notes = host_keypairs.notes(target, proxies, trusted)
    if size.connections < size.wanted:
        notes += (
            f"this host allows {limits.open_files:,} open files per process, so its TLS listener "
            f"holds {size.connections:,} clients, not the {size.wanted:,} of all proxies",
        )
    return FileSet(
        name=f"{settings.name}-{NAME}",
        files=(
            File(
                configuration(settings),
                render(f"internal/{chosen.configuration}", conf),
                # As all that is in that folder.
                mode=0o640,
            ),
            File(trust(settings), trusted, mode=0o600),
            File(paths.unit(unit(settings)), render(f"internal/{chosen.folder}.service", service)),
        ),
        validate=(
            # HAProxy would fail without it only after it has the ports.
            ("ls", "-d", conf["jail"]),
            # nginx looks whether it could write its PID there; the unit makes the folder.
            ("mkdir", "-p", f"/run/{settings.name}-internal"),
            (*chosen.check, f"{{stage}}{configuration(settings)}"),
        ),
        activate=(
            ("systemctl", "daemon-reload"),
            *(() if target.is_proxy else (unused(chosen),)),
            ("systemctl", "enable", "--quiet", unit(settings)),
            # Those who are connected stay with the old processes.
            remote.script(
                "config/reload_internal.sh", "reload-internal", unit(settings), chosen.folder
            ),
        ),
        verify=(("systemctl", "is-active", unit(settings)),),
        notes=notes,
    )  # fmt: skip


def unused(chosen: Program) -> Command:
    """Return the command that keeps Debian's own unit from being started at the next boot.

    Somebody else's, that runs, is left alone.
    """
    text = 'systemctl is-active --quiet "$1" || systemctl disable --quiet "$1"'
    return ("sh", "-c", text, "disable-unused", chosen.debians_unit)


def drift(target: Target) -> list[str]:
    """Return what keeps it from running, now and after a boot."""
    settings, survey = target.settings, target.survey
    found = survey.not_running(unit(settings))
    debians = survey.units.get(program(settings).debians_unit, {})
    waits = debians.get("UnitFileState") == "enabled" and debians.get("ActiveState") != "active"
    if waits and not target.is_proxy:
        found.append(f"{program(settings).debians_unit} would start at the next boot")
    return found


def use_new_keypair(target: Target) -> tuple[Command, ...]:
    """Return the commands that let what runs on a host use another certificate between the tiers.

    Those who are connected stay with the old processes.
    """
    units = [unit(target.settings)]
    if target.is_proxy:
        units.append(proxies.chosen(target.settings).UNIT)
    return tuple(
        ("systemctl", "try-reload-or-restart", each)
        for each in units
        if each in target.survey.units
    )


def asks(settings: Settings) -> Request:
    """Return what its plan has to know of a host beyond its files."""
    return Request(units=(program(settings).debians_unit,), texts=(trust(settings),))
