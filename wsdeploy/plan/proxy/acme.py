"""A certificate from an authority: what a proxy needs to get it, and to renew it by itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypedDict

from wsdeploy.plan.host import paths, programs
from wsdeploy.plan.host.files import Command, File, FileSet, active, restarted
from wsdeploy.plan.host.render import render
from wsdeploy.plan.host.survey import Request
from wsdeploy.plan.proxy import tls
from wsdeploy.plan.target import Target
from wsdeploy.settings import Acme, Settings
from wshost.requests import Order, Renewal

NAME = "acme"

# The library that certbot is made of, and what its host programs need besides.
PACKAGES = ("python3-acme", "python3-cryptography", "ca-certificates")


class CertificateService(TypedDict):
    """What templates/acme/certificate.service.j2 is given."""

    name: str
    folder: str
    """The folder with the programs."""
    domain: str


class CertificateTimer(TypedDict):
    """What templates/acme/certificate.timer.j2 is given."""

    domain: str


def wanted(settings: Settings) -> bool:
    """Tell whether certificates come from an authority."""
    return isinstance(settings.tls, Acme)


def timer(settings: Settings) -> str:
    """Return the systemd unit that renews in time."""
    return f"{settings.name}-certificate.timer"


def service(settings: Settings) -> str:
    """Return the systemd unit that the timer starts."""
    return f"{settings.name}-certificate.service"


def thumbprint(target: Target) -> str | None:
    """Return the thumbprint of a proxy's account key: the answer to every challenge.

    Empty while there is no account key; None if there is to be none.
    """
    if not wanted(target.settings):
        return None
    return (target.survey.texts.get(paths.thumbprint(target.name)) or "").strip()


def order(settings: Settings) -> Order:
    """Return what is ordered: another order means another certificate, at once."""
    assert isinstance(settings.tls, Acme)
    return {
        "names": list(tls.names(settings)),
        "key_type": settings.tls.key_type,
        "directory_url": settings.tls.directory_url,
    }


def issued_path(settings: Settings) -> str:
    """Return the path of the file that says which order the certificate on a host came from."""
    return f"{paths.acme(settings.name)}/issued.json"


def issued(settings: Settings) -> File:
    """Return that file as it is when the certificate was issued for these settings."""
    return File(issued_path(settings), json.dumps(order(settings)), mode=0o600)


def outstanding(target: Target) -> str | None:
    """Return why a proxy has to order a certificate now, or None. Renewal is the timer's."""
    settings = target.settings
    if not issued(settings).same_as(target.survey.paths.get(issued_path(settings))):
        return "no certificate was issued for these settings yet"
    return None


def files(target: Target, activate: tuple[Command, ...] = ()) -> FileSet:
    """Return the renewal's programs, its terms, its service and its timer.

    activate: commands that let a running proxy use a new certificate.
    """
    settings, acme = target.settings, target.settings.tls
    assert isinstance(acme, Acme)
    name, domain = settings.name, settings.domain
    folder = paths.acme_programs(name)
    authority = f"{paths.acme(name)}/authority.pem"
    terms: Renewal = {
        "email": acme.email,
        "order": order(settings),
        "certificate": paths.certificate(name),
        "key": paths.key(name),
        "authority": authority if acme.authority else "",
        "check": acme.check,
        "activate": [list(command) for command in activate],
    }
    service_view: CertificateService = {"name": name, "folder": folder, "domain": domain}
    timer_view: CertificateTimer = {"domain": domain}
    trusted = []
    if acme.authority:
        # To ask a host about it, its content is not needed; who rolls back need not have it.
        content = "" if target.survey.bare else Path(acme.authority).read_text()
        trusted = [File(authority, content, 0o600)]
    return FileSet(
        name=f"{settings.name}-{NAME}",
        files=(
            *programs.files("certificates.renewal", folder),
            File(f"{paths.acme(name)}/renewal.json", json.dumps(terms, indent=1) + "\n", 0o600),
            *trusted,
            File(paths.unit(service(settings)), render("acme/certificate.service", service_view)),
            File(paths.unit(timer(settings)), render("acme/certificate.timer", timer_view)),
        ),
        validate=programs.tried(
            folder, "-c", "from wshost.certificates import acme_client, renewal"
        ),
        activate=restarted(timer(settings)),
        verify=active(timer(settings)),
    )


def drift(target: Target) -> list[str]:
    """Return what keeps the certificate from being renewed, now and after a boot."""
    return target.survey.not_running(timer(target.settings))


def asks(settings: Settings) -> Request:
    """Return what its plan has to know of a host beyond its files."""
    return Request(paths=(issued_path(settings),), texts=(paths.thumbprint(settings.name),))
