"""HAProxy as the proxy: its configuration, and how many clients a host lets it hold."""

from __future__ import annotations

from typing import TypedDict

from wsdeploy.plan.app import process_counts, upstreams
from wsdeploy.plan.host import hardening, paths, remote
from wsdeploy.plan.host.files import Command, File, FileSet, enabled
from wsdeploy.plan.host.limits import SPARE_FILES, Limits
from wsdeploy.plan.host.render import render
from wsdeploy.plan.host.survey import Request
from wsdeploy.plan.proxy import haproxy_cfg, host_keypairs, tls
from wsdeploy.plan.proxy.haproxy_cfg import Room, certificates, jail
from wsdeploy.plan.target import Target
from wsdeploy.settings import Settings
from wsdeploy.settings.names import is_address

NAME = "haproxy"
UNIT = "haproxy.service"
# socat: talks to HAProxy's admin socket, for scripts and for people.
PACKAGES: tuple[str, ...] = ("haproxy", "socat")

FOLDER = "/etc/haproxy"
CONFIGURATION = f"{FOLDER}/haproxy.cfg"

# Open files of a thread: its poller, and the pipe that wakes it.
THREAD_FILES = 8

# Lets a running HAProxy use a new certificate, without a reload: nobody notices.
NEW_CERTIFICATE: tuple[Command, ...] = (
    remote.script("certificates/renew_haproxy.sh", "renew-haproxy-certificate"),
)


class SandboxConf(TypedDict):
    """What templates/haproxy/sandbox.conf.j2 is given beyond what all sandboxes have."""

    open_files: int


class Certificates(TypedDict):
    """What templates/haproxy/certificates.j2 is given."""

    certificate: str
    names: list[str]
    """What it is shown for."""


def back_after(settings: Settings) -> float:
    """Return the seconds after which a server that was down, and is back, gets clients for sure.

    It is checked five times a second (downinter); the rest is for a host that is busy.
    """
    return 1


def fits(target: Target) -> int:
    """Return how many connections fit into the open files that a host allows a process.

    HAProxy takes two for each connection, one for each server's health check, and refuses to start
    if the limit can't be raised that far.
    """
    topology = target.settings.topology
    # On a host that is alone, whatever its name is.
    hosts = topology.app[:1] if topology.alone else topology.app
    servers = sum(process_counts.of(host, target) for host in hosts)
    servers += len(upstreams.spare(target.settings))
    threads = target.survey.limits.get("processors", 1)
    return (target.limits.open_files - SPARE_FILES - servers - THREAD_FILES * threads) // 2


def room(target: Target) -> Room:
    """Return how many of the connections that fit are clients, as far as those are wanted."""
    waiting = target.limits.waiting
    clients = min(target.settings.max_connections, fits(target) - waiting)
    return Room(clients, clients + waiting)


def maxconn(target: Target) -> int:
    """Return HAProxy's `maxconn` for a host."""
    return room(target).maxconn


def shortfall(target: Target) -> str | None:
    """Return what the host's limits don't allow of max_connections, in words, or None."""
    clients, wanted = room(target).clients, target.settings.max_connections
    ceiling = target.limits.open_files
    if clients >= wanted:
        return None
    return (
        f"this host allows {ceiling:,} open files per process, so its HAProxy holds {clients:,} "
        f"clients, not the {wanted:,} of max_connections"
    )


def files(target: Target) -> FileSet:
    """Return HAProxy's configuration for a host."""
    settings, limits = target.settings, target.limits
    internal = host_keypairs.client(target, FOLDER) if settings.internal_tls else None
    certificate, key = paths.certificate(settings.name), paths.key(settings.name)
    configuration = render(
        "haproxy/haproxy.cfg",
        haproxy_cfg.view(target, internal, room(target)),
    )
    shown: Certificates = {
        "certificate": certificate,
        # Clients who connect by address send no name in the TLS handshake.
        "names": [name for name in tls.names(settings) if not is_address(name)],
    }
    short = shortfall(target)
    return FileSet(
        name=f"{settings.name}-{NAME}",
        files=(
            File(CONFIGURATION, configuration),
            File(f"{FOLDER}/{certificates(settings)}", render("haproxy/certificates", shown)),
            *((internal.file,) if internal else ()),
            *process_counts.cache_file(target, FOLDER),
            File(paths.drop_in(settings.name, UNIT), render("haproxy/unit.conf")),
            hardening.file(settings, UNIT, _sandbox(limits)),
        ),
        validate=(
            # Without it, a new worker would fail when it has the ports already: HAProxy then stops.
            ("ls", "-d", jail(settings)),
            # HAProxy looks for the key of cert.pem in cert.pem.key.
            ("ln", "-sfn", key.rpartition("/")[2], f"{certificate}.key"),
            ("haproxy", "-c", "-f", f"{{stage}}{CONFIGURATION}"),
        ),
        activate=(
            ("systemctl", "daemon-reload"),
            enabled(UNIT),
            # Those who are connected stay with the old worker.
            remote.script("config/reload_haproxy.sh", "reload-haproxy", "nginx"),
        ),
        verify=(("systemctl", "is-active", UNIT),),
        notes=(
            *((short,) if short else ()),
            *hardening.note(target, UNIT, _sandbox(limits)),
            *(internal.notes if internal else ()),
        ),
    )  # fmt: skip


def _sandbox(limits: Limits) -> SandboxConf:
    return {"open_files": limits.open_files}


def started(target: Target) -> File:
    """Return the note that the unit leaves when it starts with its present sandbox."""
    return hardening.started(target.settings, UNIT, _sandbox(target.limits))


def drift(target: Target) -> list[str]:
    """Return what keeps HAProxy from running, now and after a boot."""
    found = [] if target.survey.running(UNIT) else [f"{UNIT} is not running as configured"]
    key = f"{paths.certificate(target.name)}.key"
    return found if key in target.survey.paths else [*found, f"{key} is missing"]


def logs(settings: Settings) -> tuple[str, ...]:
    """Return patterns of its own logs of the service: none, as it logs to the journal."""
    return ()


def asks(settings: Settings) -> Request:
    """Return what its plan has to know of a host beyond its files."""
    return Request(
        paths=(
            f"{paths.certificate(settings.name)}.key",
            paths.started(settings.name, UNIT),
        )
    )
