"""HAProxy as the proxy: its configuration, and how many clients a host lets it hold."""

from __future__ import annotations

from types import MappingProxyType
from typing import TypedDict

from wsdeploy.plan.app import process_counts
from wsdeploy.plan.host import hardening, places, remote
from wsdeploy.plan.host.files import Command, File, FileSet, enabled
from wsdeploy.plan.host.limits import SPARE_FILES, Limits, derive
from wsdeploy.plan.host.render import render
from wsdeploy.plan.host.survey import Request, Survey
from wsdeploy.plan.proxy import haproxy_cfg, identity, tls
from wsdeploy.plan.proxy.haproxy_cfg import Room, certificates, jail
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


def fits(settings: Settings, survey: Survey) -> int:
    """Return how many connections fit into the open files that a host allows a process.

    HAProxy takes two for each connection, one for each server's health check, and refuses to start
    if the limit can't be raised that far.
    """
    topology = settings.topology
    # On a host that is alone, whatever its name is.
    hosts = topology.app[:1] if topology.alone else topology.app
    servers = sum(process_counts.of(settings, survey, host) for host in hosts)
    threads = survey.limits.get("processors", 1)
    ceiling = derive(settings, survey).open_files
    return (ceiling - SPARE_FILES - servers - THREAD_FILES * threads) // 2


def room(settings: Settings, survey: Survey) -> Room:
    """Return how many of the connections that fit are clients, as far as those are wanted."""
    limits = derive(settings, survey)
    clients = min(settings.max_connections, fits(settings, survey) - limits.waiting)
    return Room(clients, clients + limits.waiting)


def maxconn(settings: Settings, survey: Survey) -> int:
    """Return HAProxy's `maxconn` for a host."""
    return room(settings, survey).maxconn


def shortfall(settings: Settings, survey: Survey) -> str | None:
    """Return what the host's limits don't allow of max_connections, in words, or None."""
    clients = room(settings, survey).clients
    if clients >= settings.max_connections:
        return None
    ceiling = derive(settings, survey).open_files
    return (
        f"this host allows {ceiling:,} open files per process, so its HAProxy holds {clients:,} "
        f"clients, not the {settings.max_connections:,} of max_connections"
    )


def files(
    settings: Settings,
    survey: Survey,
    proxy: str,
    identities: identity.Identities = MappingProxyType({}),
) -> FileSet:
    """Return HAProxy's configuration for a host; `proxy` is its name in the inventory.

    identities: the certificates of the hosts of this run, for internal_tls.
    """
    internal = (
        identity.client(settings, survey, identities, FOLDER) if settings.internal_tls else None
    )
    limits = derive(settings, survey)
    certificate, key = places.certificate(settings.name), places.key(settings.name)
    configuration = render(
        "haproxy/haproxy.cfg",
        haproxy_cfg.view(settings, survey, proxy, internal, room(settings, survey)),
    )
    shown: Certificates = {
        "certificate": certificate,
        # Clients who connect by address send no name in the TLS handshake.
        "names": [name for name in tls.names(settings) if not is_address(name)],
    }
    short = shortfall(settings, survey)
    return FileSet(
        name=f"{settings.name}-{NAME}",
        files=(
            File(CONFIGURATION, configuration),
            File(f"{FOLDER}/{certificates(settings)}", render("haproxy/certificates", shown)),
            *((internal.file,) if internal else ()),
            *process_counts.cache_file(settings, survey, FOLDER),
            File(places.drop_in(settings.name, UNIT), render("haproxy/unit.conf")),
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
            *hardening.note(settings, survey, UNIT, _sandbox(limits)),
            *(internal.notes if internal else ()),
        ),
    )  # fmt: skip


def _sandbox(limits: Limits) -> SandboxConf:
    return {"open_files": limits.open_files}


def started(settings: Settings, survey: Survey) -> File:
    """Return the note that the unit leaves when it starts with its present sandbox."""
    return hardening.started(settings, UNIT, _sandbox(derive(settings, survey)))


def drift(settings: Settings, survey: Survey) -> list[str]:
    """Return what keeps HAProxy from running, now and after a boot."""
    found = [] if survey.running(UNIT) else [f"{UNIT} is not running as configured"]
    key = f"{places.certificate(settings.name)}.key"
    return found if key in survey.paths else [*found, f"{key} is missing"]


def asks(settings: Settings) -> Request:
    """Return what its plan has to know of a host beyond its files."""
    return Request(
        paths=(
            f"{places.certificate(settings.name)}.key",
            places.started(settings.name, UNIT),
        )
    )
