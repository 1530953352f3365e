"""The certificates of a host, described as OpenSSL prints them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from wshost.common import atomic

if TYPE_CHECKING:
    from wshost.requests import Certificate

KNOWN = Path("/run/wsdeploy/certificates")
"""Where descriptions are kept until the host reboots, by digests of the files that they are of.

To start OpenSSL takes a quarter of the processor time of a survey that finds nothing to do.
"""


def read(path: str) -> Certificate | None:
    """Return the first certificate in a file, its names and its end, or None if there is none.

    A key that is in the same file stays there.
    """
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError:
        return None
    known = KNOWN / hashlib.sha256(content).hexdigest()
    # Whatever is wrong with what is kept, OpenSSL says it again.
    with contextlib.suppress(OSError, ValueError), open(known) as file:
        found: Certificate = json.load(file)
        return found
    described = _describe(content)
    if described is not None:
        with contextlib.suppress(OSError):
            os.makedirs(KNOWN, mode=0o700, exist_ok=True)
            atomic.write(known, json.dumps(described))
    return described


def _describe(content: bytes) -> Certificate | None:
    command = (
        "openssl", "x509", "-enddate", "-dateopt", "iso_8601",
        "-ext", "subjectAltName", "-issuer", "-subject",
    )  # fmt: skip
    try:
        done = subprocess.run(command, input=content, capture_output=True, check=False)
    except FileNotFoundError:
        return None
    listing = done.stdout.decode(errors="replace")
    lines = [line.strip() for line in listing.splitlines()]
    ends = [line.partition("=")[2] for line in lines if line.startswith("notAfter=")]
    names = [line for line in lines if line.startswith(("DNS:", "IP Address:"))]
    issuer, subject = (
        [line.partition("=")[2] for line in lines if line.startswith(f"{field}=")]
        for field in ("issuer", "subject")
    )
    if not ends:
        return None
    return {
        "pem": listing[listing.index("-----BEGIN CERTIFICATE-----") :],
        "not_after": ends[0],
        "names": names[0] if names else "",
        "issuer": "itself" if issuer == subject else "".join(issuer),
    }
