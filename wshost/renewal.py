"""Get the proxy a certificate from an authority, and later the next one. Runs from a timer.

    python3 -m wshost.renewal NAME [--force]

Whatever goes wrong, the certificate that is in use stays in use; the unit then has failed, and its
journal says why.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from wshost import account, apply_files, challenge, pair

SHORT_LIVED = datetime.timedelta(days=10)
"""Those for less time than this are renewed when half of it is left, others at a third."""


class RenewalError(Exception):
    """There is no new certificate; the message says why."""


def main(arguments: list[str]) -> None:
    """Renew the certificate of a service; exit 1 with the reason if there is none."""
    force = "--force" in arguments
    (name,) = (each for each in arguments if each != "--force")
    try:
        with exclusive(name):
            renew(Path(f"/etc/{name}/acme"), force)
    except (RenewalError, challenge.ChallengeError, apply_files.StepError, OSError) as error:
        sys.exit(f"no new certificate, the present one stays in use: {error}")


@contextlib.contextmanager
def exclusive(name: str) -> Iterator[None]:
    """Let one renewal at a time go on; another one waits."""
    # In a folder of root's: whoever can open a lock can hold it.
    descriptor = os.open(f"/etc/{name}/acme/lock", os.O_WRONLY | os.O_CREAT, 0o600)
    with open(descriptor, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def renew(folder: Path, force: bool) -> None:
    """Renew the certificate if it is due, or if forced to, by the terms in `folder`."""
    terms = json.loads((folder / "renewal.json").read_text())
    certificate, key = Path(terms["certificate"]), Path(terms["key"])
    pair.clear(key)
    issued = folder / "issued.json"
    now = datetime.datetime.now(datetime.UTC)
    reason = due(certificate, key, issued, terms["order"], now)
    if reason is None and not force:
        print(f"the certificate for {terms['order']['names'][0]} is good")
        return
    print(f"a new certificate, as {reason or 'was asked for'}", flush=True)
    new_certificate, new_key = _ask(folder, terms)
    with pair.workplace(key) as place:
        new = (place / "certificate", place / "key")
        new[1].touch(mode=0o600)
        new[0].write_bytes(new_certificate)
        new[1].write_bytes(new_key)
        pair.install(new, (certificate, key), terms["activate"])
    temporary = issued.with_suffix(".new")
    temporary.write_text(json.dumps(terms["order"]))
    temporary.chmod(0o600)
    temporary.replace(issued)
    leaf = x509.load_pem_x509_certificate(new_certificate)
    print(f"in use: serial {leaf.serial_number:x}, until {ends(leaf):%Y-%m-%d %H:%M} UTC")


def _ask(folder: Path, terms: dict[str, Any]) -> tuple[bytes, bytes]:
    order = terms["order"]
    if terms["check"]:
        thumbprint = (folder / account.THUMBPRINT).read_text()
        for name in order["names"]:
            challenge.check(name, thumbprint)
    # Takes a second to load, and is not needed when nothing is due.
    from wshost import issue  # noqa: PLC0415

    authority = issue.Authority(
        order["directory_url"], terms["email"], folder / account.KEY, terms["authority"]
    )
    try:
        return issue.issue(authority, order["names"], order["key_type"])
    except issue.IssueError as error:
        raise RenewalError(str(error)) from error


def due(
    certificate: Path, key: Path, issued: Path, order: dict[str, Any], now: datetime.datetime
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
    for field, words in (
        ("names", "the names are others"),
        ("key_type", "the key is to be of another type"),
        ("directory_url", "the authority is another"),
    ):
        if before.get(field) != order[field]:
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
