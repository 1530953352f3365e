"""nginx as the proxy: its one configuration file."""

from __future__ import annotations

from typing import TypedDict

from wsdeploy.plan.app import process_counts
from wsdeploy.plan.host import hardening, paths, remote
from wsdeploy.plan.host.files import Command, File, FileSet, enabled
from wsdeploy.plan.host.limits import Limits
from wsdeploy.plan.host.render import render
from wsdeploy.plan.host.survey import Request
from wsdeploy.plan.proxy import host_keypairs, nginx_conf
from wsdeploy.plan.target import Target
from wsdeploy.settings import Settings

NAME = "nginx"
UNIT = "nginx.service"
# logrotate: Debian's nginx brings rules for it, but does not require it.
PACKAGES: tuple[str, ...] = ("nginx", "logrotate")

# Lets a running nginx use a new certificate; those who are connected stay with the old workers.
NEW_CERTIFICATE: tuple[Command, ...] = (("systemctl", "try-reload-or-restart", UNIT),)


class SandboxConf(TypedDict):
    """What templates/nginx/sandbox.conf.j2 is given beyond what all sandboxes have."""

    open_files: int


def back_after(settings: Settings) -> float:
    """Return the seconds after which a server that was down, and is back, gets clients for sure.

    nginx counts no failures (max_fails=0), so it asks it with the next handshake.
    """
    return 0


def files(target: Target) -> FileSet:
    """Return nginx's configuration for a host."""
    settings, limits = target.settings, target.limits
    folder = paths.NGINX_CONF.rpartition("/")[0]
    internal = host_keypairs.client(target, folder) if settings.internal_tls else None
    configuration = render("nginx/nginx.conf", nginx_conf.view(target, internal))
    return FileSet(
        name=f"{settings.name}-{NAME}",
        files=(
            File(paths.NGINX_CONF, configuration),
            File(paths.drop_in(settings.name, UNIT), render("nginx/unit.conf")),
            hardening.file(settings, UNIT, _sandbox(limits)),
            *((internal.file,) if internal else ()),
            *process_counts.cache_file(target, folder),
        ),
        validate=(("nginx", "-t", "-q", "-c", f"{{stage}}{paths.NGINX_CONF}"),),
        activate=(
            ("systemctl", "daemon-reload"),
            enabled(UNIT),
            # Those who are connected stay with the old workers.
            remote.script("config/reload_nginx.sh", "reload-nginx", "haproxy"),
        ),
        verify=(("systemctl", "is-active", UNIT),),
        notes=(
            *((limits.proxy_shortfall,) if limits.proxy_shortfall else ()),
            *hardening.note(target, UNIT, _sandbox(limits)),
            *(internal.notes if internal else ()),
        ),
    )


def _sandbox(limits: Limits) -> SandboxConf:
    return {"open_files": limits.open_files}


def started(target: Target) -> File:
    """Return the note that the unit leaves when it starts with its present sandbox."""
    return hardening.started(target.settings, UNIT, _sandbox(target.limits))


def drift(target: Target) -> list[str]:
    """Return what keeps nginx from running, now and after a boot."""
    return [] if target.survey.running(UNIT) else [f"{UNIT} is not running as configured"]


def logs(settings: Settings) -> tuple[str, ...]:
    """Return patterns of its own logs of the service."""
    return (f"{paths.proxy_log(settings.name)}*",)


def asks(settings: Settings) -> Request:
    """Return what its plan has to know of a host beyond its files."""
    return Request(paths=(paths.started(settings.name, UNIT),))
