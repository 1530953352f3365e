"""Get the proxy a certificate from an authority, and later the next one. Runs from a timer.

    python3 -m wshost.certificates.renewal NAME [--force]

Whatever goes wrong, the certificate that is in use stays in use; the unit then has failed, and its
journal says why.
"""

from __future__ import annotations

import datetime
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from wshost.certificates import acme_account, acme_precheck, keypair
from wshost.common import atomic, commands, storage

if TYPE_CHECKING:
    from wshost.requests import Order, Renewal

SHORT_LIVED = datetime.timedelta(days=10)
"""Those for less time than this are renewed when half of it is left, others at a third."""


class RenewalError(Exception):
    """There is no new certificate; the message says why."""


def main(arguments: list[str]) -> None:
    """Renew the certificate of a service; exit 1 with the reason if there is none."""
    force = "--force" in arguments
    (name,) = (each for each in arguments if each != "--force")
    try:
        folder = Path(f"/etc/{name}/acme")
        # One renewal at a time.
        with storage.locked(folder / "lock"):
            renew(folder, force)
    except (RenewalError, acme_precheck.ChallengeError, commands.StepError, OSError) as error:
        sys.exit(f"no new certificate, the present one stays in use: {error}")


def renew(folder: Path, force: bool) -> None:
    """Renew the certificate if it is due, or if forced to, as `folder` has it."""
    renewal: Renewal = json.loads((folder / "renewal.json").read_text())
    certificate, key = Path(renewal["certificate"]), Path(renewal["key"])
    keypair.clear(key)
    issued = folder / "issued.json"
    now = datetime.datetime.now(datetime.UTC)
    reason = due(certificate, key, issued, renewal["order"], now)
    if reason is None and not force:
        print(f"the certificate for {renewal['order']['names'][0]} is good")
        return
    print(f"a new certificate, as {reason or 'was asked for'}", flush=True)
    new_certificate, new_key = _ask(folder, renewal)
    with keypair.workplace(key) as place:
        new = (place / "certificate", place / "key")
        new[1].touch(mode=0o600)
        new[0].write_bytes(new_certificate)
        new[1].write_bytes(new_key)
        keypair.install(new, (certificate, key), renewal["activate"])
    atomic.write(issued, json.dumps(renewal["order"]))
    leaf = x509.load_pem_x509_certificate(new_certificate)
    print(f"in use: serial {leaf.serial_number:x}, until {ends(leaf):%Y-%m-%d %H:%M} UTC")


def _ask(folder: Path, renewal: Renewal) -> tuple[bytes, bytes]:
    order = renewal["order"]
    if renewal["check"]:
        thumbprint = (folder / acme_account.THUMBPRINT).read_text()
        for name in order["names"]:
            acme_precheck.check(name, thumbprint)
    # Takes a second to load, and is not needed when nothing is due.
    from wshost.certificates import acme_client  # noqa: PLC0415

    authority = acme_client.Authority(
        order["directory_url"], renewal["email"], folder / acme_account.KEY, renewal["authority"]
    )
    try:
        return acme_client.issue(authority, order["names"], order["key_type"])
    except acme_client.IssueError as error:
        raise RenewalError(str(error)) from error


def due(
    certificate: Path, key: Path, issued: Path, order: Order, now: datetime.datetime
) -> str | None:
    """Return why there has to be a new certificate, in words, or None.

    issued: file with the order that the present one came from. order: what is ordered now.
    """
    try:
        before = json.loads(issued.read_text())
        leaf = x509.load_pem_x509_certificate(certificate.read_bytes())
        own = load_pem_private_key(key.read_bytes(), password=None)
    except (OSError, ValueError):
        return "there is none from the authority"
    if _text(own.public_key()) != _text(leaf.public_key()):
        return "the old one and its key do not belong together"
    reasons: dict[str, str] = {
        "names": "the names are others",
        "key_type": "the key is to be of another type",
        "directory_url": "the authority is another",
    }
    wanted: dict[str, object] = {**order}
    for field, words in reasons.items():
        if before.get(field) != wanted[field]:
            return words
    lifetime = ends(leaf) - begins(leaf)
    share = 2 if lifetime < SHORT_LIVED else 3
    if ends(leaf) - now < lifetime / share:
        return f"the old one ends on {ends(leaf):%Y-%m-%d %H:%M} UTC"
    return None


def _text(key: Any) -> bytes:
    # Debian 12's library can't compare the keys themselves.
    text: bytes = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return text


def begins(certificate: x509.Certificate) -> datetime.datetime:
    """Return since when a certificate is valid."""
    return _instant(certificate, "not_valid_before")


def ends(certificate: x509.Certificate) -> datetime.datetime:
    """Return until when a certificate is valid."""
    return _instant(certificate, "not_valid_after")


def _instant(certificate: x509.Certificate, attribute: str) -> datetime.datetime:
    # Debian 12's library does not have these with a time zone yet, Debian 13's warns of the others.
    found: datetime.datetime | None = getattr(certificate, f"{attribute}_utc", None)
    return found or getattr(certificate, attribute).replace(tzinfo=datetime.UTC)


if __name__ == "__main__":
    main(sys.argv[1:])
