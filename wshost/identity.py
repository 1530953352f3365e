"""Make the key pairs by which the tiers of a fleet know each other; the keys stay on this host."""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
from pathlib import Path
from typing import Any

from wshost import apply_files


def main(request: dict[str, Any]) -> None:
    """Do what `request` has `todo`, in order, then run its `activate` commands.

    `promote` puts the `spare` pair in the place of the `used` one; a path is a pair to be made.
    """
    try:
        for step in request["todo"]:
            if step == "promote":
                os.replace(request["spare"], request["used"])
            else:
                make(Path(step), request["name"], request["days"])
        apply_files.run(request["activate"])
    except (OSError, apply_files.StepError) as error:
        sys.exit(f"identity: {error}")


def make(pair: Path, name: str, days: int) -> None:
    """Write a new key and its self-signed certificate to one file, for root alone."""
    with tempfile.TemporaryDirectory(dir=pair.parent) as folder:
        key, certificate = Path(folder, "key"), Path(folder, "certificate")
        command = [
            "openssl", "req", "-x509", "-noenc",
            "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-keyout", str(key), "-out", str(certificate), "-days", str(days),
            # OpenSSL finds trusted certificates by their subjects, so each has one of its own.
            "-subj", f"/CN={name[:40]} {secrets.token_hex(8)}",
            "-addext", f"subjectAltName=DNS:{name}",
            # It signs nothing but itself, so that trusting it trusts no other certificate.
            "-addext", "basicConstraints=critical,CA:FALSE",
            "-addext", "keyUsage=critical,digitalSignature",
            "-addext", "extendedKeyUsage=serverAuth,clientAuth",
        ]  # fmt: skip
        apply_files.run([command])
        both = Path(folder, "both")
        both.touch(mode=0o600)
        both.write_text(key.read_text() + certificate.read_text())
        with both.open() as written:
            os.fsync(written.fileno())
        os.replace(both, pair)
