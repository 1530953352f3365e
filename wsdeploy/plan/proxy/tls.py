"""The proxy's certificate: what it must cover, when it is renewed, and what TLS offers."""

from __future__ import annotations

import datetime
import ipaddress
import re
from pathlib import Path
from typing import TypedDict

from wsdeploy.plan.host import paths
from wsdeploy.plan.host.files import Command, File, FileSet
from wsdeploy.plan.host.survey import Request
from wsdeploy.plan.target import Target
from wsdeploy.settings import Acme, CertFiles, SelfSigned, Settings
from wsdeploy.settings.names import is_address

NAME = "tls"
"""What the set with certificate and key from this machine is called."""

# Mozilla's Server Side TLS guideline 6.0 (2026-04-06). Ciphers are those of TLS 1.2; those of 1.3
# are OpenSSL's own three.
CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
)
CURVES = ("X25519", "prime256v1", "secp384r1")
# Post-quantum key exchange; OpenSSL before 3.5 refuses the whole list if it is in it. With the
# question mark, one that lacks it leaves it out, but older ones don't know that either.
HYBRID_CURVE, HYBRID_SINCE = "?X25519MLKEM768", (3, 5)
# Older versions of nginx keep one session ticket key for as long as they run.
TICKET_ROTATION_SINCE = (1, 23, 2)


class Policy(TypedDict):
    """What TLS offers on a proxy."""

    policy: str
    """Mozilla's name for it."""
    versions: tuple[str, ...]
    ciphers: tuple[str, ...]
    """Those of TLS 1.2, if that is offered."""
    curves: tuple[str, ...]
    rotates_ticket_keys: bool
    """Whether nginx gets new keys for session tickets while it runs."""


def policy(target: Target) -> Policy:
    """Return what TLS offers on a proxy, as far as the host's versions know it."""
    policy, packages = target.settings.tls.policy, target.survey.packages
    openssl, modern = version(packages.get("openssl", "")), policy == "modern"
    return {
        "policy": policy,
        "versions": ("TLSv1.3",) if modern else ("TLSv1.2", "TLSv1.3"),
        "ciphers": () if modern else CIPHERS,
        "curves": (HYBRID_CURVE, *CURVES) if openssl >= HYBRID_SINCE else CURVES,
        "rotates_ticket_keys": version(packages.get("nginx", "")) >= TICKET_ROTATION_SINCE,
    }


def version(package: str) -> tuple[int, ...]:
    """Return the numbers of a Debian package's version: (1, 22, 1) for '1.22.1-9+deb12u10'."""
    upstream = re.match(r"(?:\d+:)?([\d.]+)", package)
    return tuple(int(n) for n in upstream[1].split(".") if n) if upstream else (0,)


def names(settings: Settings) -> tuple[str, ...]:
    """Return all names and addresses that the service answers to, the domain first."""
    more = settings.tls.names if isinstance(settings.tls, SelfSigned | Acme) else ()
    return tuple(dict.fromkeys((settings.domain, *more)))


def alternative_names(settings: Settings) -> str:
    """Return the subjectAltName of a certificate, as OpenSSL's -addext takes it."""
    return ",".join(f"{'IP' if is_address(n) else 'DNS'}:{n}" for n in names(settings))


PLACEHOLDER_DAYS = 365
"""Days that a certificate is valid which stands in for one that is not issued yet."""


def days(settings: Settings) -> int:
    """Return for how many days a host makes a certificate for itself."""
    return settings.tls.days if isinstance(settings.tls, SelfSigned) else PLACEHOLDER_DAYS


def outdated(target: Target, now: datetime.datetime) -> str | None:
    """Return why a host must make itself a certificate, or None if it has a good one.

    A host that gets one from elsewhere makes one if it has none at all: the proxy does not start
    without.
    """
    settings, survey = target.settings, target.survey
    found = survey.certificates.get(paths.certificate(settings.name))
    if not found or paths.key(settings.name) not in survey.paths:
        return "there is none"
    if not isinstance(settings.tls, SelfSigned):
        return None
    if found["issuer"] != "itself":
        return f"it is from {found['issuer']}"
    shown = {name.partition(":")[2] for name in found["names"].split(", ")}
    if shown != {_canonical(name) for name in names(settings)}:
        return f"it is for {', '.join(sorted(shown))}"
    ends = datetime.datetime.fromisoformat(found["not_after"].replace(" ", "T"))
    if ends - now < datetime.timedelta(days=settings.tls.days / 3):
        return f"it ends on {ends:%Y-%m-%d}"
    return None


def _canonical(name: str) -> str:
    """Spell an IPv6 address as OpenSSL prints it: all groups, no leading zeros, upper case."""
    if ":" not in name:
        return name
    groups = ipaddress.ip_address(name).exploded.split(":")
    return ":".join(f"{int(group, 16):X}" for group in groups)


def pushed(target: Target, activate: tuple[Command, ...] = ()) -> FileSet:
    """Return certificate and key from this machine's files as a set.

    activate: commands that let a running proxy use a new certificate.
    """
    settings = target.settings
    assert isinstance(settings.tls, CertFiles)
    certificate, key = paths.certificate(settings.name), paths.key(settings.name)

    def content(file: str) -> str:
        # To ask a host about it, it is not needed; who rolls back need not have it.
        return "" if target.survey.bare else Path(file).read_text()

    return FileSet(
        name=f"{settings.name}-{NAME}",
        files=(
            File(certificate, content(settings.tls.certificate)),
            File(key, content(settings.tls.key), mode=0o600, secret=True),
        ),
        activate=activate,
    )


def request(settings: Settings) -> Request:
    """Return what to ask a host about, to plan this part."""
    certificate, key = paths.certificate(settings.name), paths.key(settings.name)
    return Request(packages=("openssl",), paths=(certificate, key), certificates=(certificate,))
