"""Make a private key and a self-signed certificate, both at once or neither."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from wshost import apply_files, pair


def main(request: dict[str, Any]) -> None:
    """Make the pair that `request` describes; exit 1 with the reason if it can't be used."""
    try:
        make(request, Path(request["certificate"]), Path(request["key"]))
    except (OSError, apply_files.StepError) as error:
        sys.exit(f"certificate: {error}")


def make(request: dict[str, Any], certificate: Path, key: Path) -> None:
    """Write key (0600) and certificate (0644), and let the proxy use them.

    Keys of the request: `name`, `alternative_names`, `days`, and the commands of `activate`.
    """
    with pair.workplace(key) as folder:
        new_key, new_certificate = folder / "key", folder / "certificate"
        command = [
            "openssl", "req", "-x509", "-noenc",
            "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-keyout", str(new_key), "-out", str(new_certificate),
            "-days", str(request["days"]),
            # A common name has at most 64 characters; clients only look at the other names.
            "-subj", f"/CN={request['name'][:64]}",
            "-addext", f"subjectAltName={request['alternative_names']}",
            # It signs nothing but itself, so that trusting it trusts no other certificate.
            "-addext", "basicConstraints=critical,CA:FALSE",
            "-addext", "keyUsage=critical,digitalSignature",
            "-addext", "extendedKeyUsage=serverAuth",
        ]  # fmt: skip
        apply_files.run([command])
        pair.install((new_certificate, new_key), (certificate, key), request["activate"])
