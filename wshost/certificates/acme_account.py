"""The account with a certificate authority: its key, and how it gets to other proxies.

All proxies of a fleet have the same account, so that each of them can answer a challenge, whichever
of them the authority happens to ask (RFC 8555 section 8.3: an answer is the challenge's token and
the thumbprint of the account's key).

The key travels sealed for the key of the receiving host's certificate: whoever passes it on can't
read it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from wshost.common import atomic

if TYPE_CHECKING:
    from wshost.requests import Account

KEY, THUMBPRINT = "account.pem", "thumbprint"


def main(request: Account) -> None:
    """Print the key sealed, take a sealed one over, or make one if there is none.

    Exit 1 with the reason if that can't be done.
    """
    folder = Path(request["folder"])
    try:
        if recipient := request.get("seal_for"):
            key = folder / KEY
            print(seal(key.read_bytes(), recipient) if key.exists() else "", end="")
        elif sealed := request.get("sealed"):
            keep(folder, unseal(sealed, request["certificate"], request["key"]))
        else:
            make(folder)
    except (OSError, subprocess.SubprocessError) as error:
        sys.exit(f"account: {getattr(error, 'stderr', None) or error}")


def make(folder: Path) -> None:
    """Make a key, unless there is one; write its thumbprint beside it."""
    key = folder / KEY
    keep(folder, key.read_bytes() if key.exists() else _new_key())


def _new_key() -> bytes:
    return _openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")


def keep(folder: Path, key: bytes) -> None:
    """Write a key and its thumbprint, for root alone."""
    for name, content in ((KEY, key), (THUMBPRINT, thumbprint(key).encode())):
        atomic.write(folder / name, content)


def thumbprint(key: bytes) -> str:
    """Return the SHA-256 thumbprint of a P-256 key in PEM (RFC 7638)."""
    # The public key in DER ends with the point: 04, then 32 bytes each of x and y.
    point = _openssl("pkey", "-pubout", "-outform", "DER", text=key)[-64:]
    public = {"crv": "P-256", "kty": "EC", "x": _base64(point[:32]), "y": _base64(point[32:])}
    canonical = json.dumps(public, sort_keys=True, separators=(",", ":"))
    return _base64(hashlib.sha256(canonical.encode()).digest())


def seal(key: bytes, certificate: str) -> str:
    """Encrypt a key so that only the owner of a certificate (in PEM) can read it."""
    read, write = os.pipe()
    with open(write, "w") as file:
        file.write(certificate)
    try:
        return _openssl(
            "cms", "-encrypt", "-binary", "-aes-256-gcm", "-outform", "PEM", f"/dev/fd/{read}",
            text=key, pass_fds=(read,),
        ).decode()  # fmt: skip
    finally:
        os.close(read)


def unseal(sealed: str, certificate: str, key: str) -> bytes:
    """Decrypt what was sealed for the certificate and key in these files."""
    return _openssl(
        "cms", "-decrypt", "-binary", "-inform", "PEM", "-recip", certificate, "-inkey", key,
        text=sealed.encode(),
    )  # fmt: skip


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _openssl(*arguments: str, text: bytes = b"", pass_fds: tuple[int, ...] = ()) -> bytes:
    return subprocess.run(
        ("openssl", *arguments), input=text, capture_output=True, check=True, pass_fds=pass_fds
    ).stdout
