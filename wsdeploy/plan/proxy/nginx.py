"""nginx as the proxy: its one configuration file."""

from __future__ import annotations

from types import MappingProxyType

from wsdeploy.plan.app import process_counts, upstreams
from wsdeploy.plan.host import hardening, places, remote
from wsdeploy.plan.host.files import Command, File, FileSet, enabled
from wsdeploy.plan.host.limits import derive
from wsdeploy.plan.host.render import render
from wsdeploy.plan.host.survey import Request, Survey
from wsdeploy.plan.proxy import acme, edge, identity, tls
from wsdeploy.settings import Settings
from wsdeploy.settings.topology import Upstream

NAME = "nginx"
UNIT = "nginx.service"
# logrotate: Debian's nginx brings rules for it, but does not require it.
PACKAGES: tuple[str, ...] = ("nginx", "logrotate")

# Lets a running nginx use a new certificate; those who are connected stay with the old workers.
NEW_CERTIFICATE: tuple[Command, ...] = (("systemctl", "try-reload-or-restart", UNIT),)


# nginx counts connections in 16 bits.
COUNTED_MOST = 65_535


def shards(clients: int) -> int:
    """Return the power of ten that clients are counted in parts of, so that each can be counted.

    Parts are told apart by the last digits of a connection's number, so they are of equal size, but
    for chance.
    """
    parts = 1
    while clients > parts * COUNTED_MOST:
        parts *= 10
    return parts


def back_after(settings: Settings) -> float:
    """Return the seconds after which a server that was down, and is back, gets clients for sure.

    nginx counts no failures (max_fails=0), so it asks it with the next handshake.
    """
    return 0


def servers(settings: Settings, survey: Survey, proxy: str) -> list[str]:
    """Return the app's listeners as nginx writes addresses."""
    return [_address(upstream) for upstream in upstreams.upstreams(settings, survey, proxy)]


def _address(upstream: Upstream) -> str:
    if upstream.unix:
        return f"unix:{upstream.unix}"
    host = f"[{upstream.address}]" if ":" in upstream.address else upstream.address
    return f"{host}:{upstream.port}"


def files(
    settings: Settings,
    survey: Survey,
    proxy: str,
    identities: identity.Identities = MappingProxyType({}),
) -> FileSet:
    """Return nginx's configuration for a host; `proxy` is its name in the inventory.

    identities: the certificates of the hosts of this run, for internal_tls.
    """
    limits = derive(settings, survey)
    folder = places.NGINX_CONF.rpartition("/")[0]
    internal = (
        identity.client(settings, survey, identities, folder) if settings.internal_tls else None
    )
    configuration = render(
        "nginx/nginx.conf",
        settings=settings,
        limits=limits,
        tls=tls.policy(settings, survey),
        edge=edge,
        most=COUNTED_MOST,
        shards=shards(limits.worker_clients),
        servers=servers(settings, survey, proxy),
        tries=upstreams.tries(settings, survey, proxy),
        server_names=tls.names(settings),
        certificate=places.certificate(settings.name),
        key=places.key(settings.name),
        thumbprint=acme.thumbprint(settings, survey),
        internal=internal,
    )
    return FileSet(
        name=f"{settings.name}-{NAME}",
        files=(
            File(places.NGINX_CONF, configuration),
            File(places.drop_in(settings.name, UNIT), render("nginx/unit.conf")),
            hardening.file(settings, UNIT, open_files=limits.open_files),
            *((internal.file,) if internal else ()),
            *process_counts.cache_file(settings, survey, folder),
        ),
        validate=(("nginx", "-t", "-q", "-c", f"{{stage}}{places.NGINX_CONF}"),),
        activate=(
            ("systemctl", "daemon-reload"),
            enabled(UNIT),
            # Those who are connected stay with the old workers.
            remote.script("config/reload_nginx.sh", "reload-nginx", "haproxy"),
        ),
        verify=(("systemctl", "is-active", UNIT),),
        notes=(
            *((limits.proxy_shortfall,) if limits.proxy_shortfall else ()),
            *hardening.note(settings, survey, UNIT, open_files=limits.open_files),
            *(internal.notes if internal else ()),
        ),
    )


def started(settings: Settings, survey: Survey) -> File:
    """Return the note that the unit leaves when it starts with its present sandbox."""
    return hardening.started(settings, UNIT, open_files=derive(settings, survey).open_files)


def drift(settings: Settings, survey: Survey) -> list[str]:
    """Return what keeps nginx from running, now and after a boot."""
    return [] if survey.running(UNIT) else [f"{UNIT} is not running as configured"]


def asks(settings: Settings) -> Request:
    """Return what its plan has to know of a host beyond its files."""
    return Request(paths=(places.started(settings.name, UNIT),))
