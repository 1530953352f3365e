"""The proxy that the settings choose, and the one that they don't."""

from __future__ import annotations

from typing import Protocol

from wsdeploy.plan.app import process_counts
from wsdeploy.plan.host import paths, remote
from wsdeploy.plan.host.files import Command, File, FileSet
from wsdeploy.plan.host.survey import Request
from wsdeploy.plan.proxy import acme, haproxy, host_keypairs, nginx, tls
from wsdeploy.plan.target import Target
from wsdeploy.settings import Nginx, Settings


class Proxy(Protocol):
    """What a module that plans a proxy offers."""

    NAME: str
    """What its set of files is called, after the service's name."""
    UNIT: str
    """Its systemd unit."""
    PACKAGES: tuple[str, ...]
    """The Debian packages it needs."""
    NEW_CERTIFICATE: tuple[Command, ...]
    """Commands that let it use a new certificate, if it runs (see new_certificate)."""

    def back_after(self, settings: Settings) -> float:
        """Return the seconds after which a server that was down, and is back, gets clients."""

    def files(self, target: Target) -> FileSet:
        """Return its configuration for a host."""

    def started(self, target: Target) -> File:
        """Return the note that the unit leaves when it starts with its present sandbox."""

    def drift(self, target: Target) -> list[str]:
        """Return what keeps it from running."""

    def logs(self, settings: Settings) -> tuple[str, ...]:
        """Return patterns of its own logs of the service."""

    def asks(self, settings: Settings) -> Request:
        """Return what its plan has to know of a host beyond its files."""


def chosen(settings: Settings) -> Proxy:
    """Return the proxy that hosts should run."""
    return nginx if isinstance(settings.proxy, Nginx) else haproxy


def other(settings: Settings) -> Proxy:
    """Return the proxy that hosts should not run, at least not for this service."""
    return haproxy if isinstance(settings.proxy, Nginx) else nginx


def new_certificate(settings: Settings) -> tuple[Command, ...]:
    """Return commands that let the chosen proxy use a new certificate, and see that it does."""
    proxy = chosen(settings)
    place = paths.certificate(settings.name)
    path = "certificates/verify_served.py"
    served = remote.script(path, "served", settings.domain, place, proxy.UNIT)
    marker = FileSet(f"{settings.name}-{proxy.NAME}", ()).marker.path
    return tuple(_once_there(marker, each) for each in (*proxy.NEW_CERTIFICATE, served))


def _once_there(marker: str, command: Command) -> Command:
    """Return a command that does nothing while a set of files is not there.

    A proxy that runs without ours has somebody else's configuration, or Debian's welcome page.
    """
    name = command[3] if command[1] == "-c" else " ".join(command)
    text = 'test -e "$1" || exit 0; shift; exec "$@"'
    return ("sh", "-c", text, name, marker, *command)


def pushed_certificate(target: Target) -> FileSet:
    """Return the certificate from this machine's files, for the chosen proxy to use at once."""
    return tls.pushed(target, new_certificate(target.settings))


def renewal(target: Target) -> FileSet:
    """Return what gets the chosen proxy its certificates from an authority."""
    return acme.files(target, new_certificate(target.settings))


def asks(settings: Settings) -> Request:
    """Return what the plan of either proxy has to know of a host."""
    found = process_counts.request(settings)
    if settings.internal_tls:
        # Also from before the proxy was changed.
        folders = (haproxy.FOLDER, paths.NGINX_CONF.rpartition("/")[0])
        found += Request(
            texts=tuple(host_keypairs.app_hosts(settings, folder) for folder in folders)
        )
    return found
