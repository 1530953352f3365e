"""Make a private key and a self-signed certificate, both at once or neither."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from wshost import apply_files


def main(request: dict[str, Any]) -> None:
    """Make the pair that `request` describes, then run its `activate` commands."""
    try:
        make(request, Path(request["certificate"]), Path(request["key"]))
        apply_files.run(request["activate"])
    except (OSError, apply_files.StepError) as error:
        sys.exit(f"certificate: {error}")


def make(request: dict[str, Any], certificate: Path, key: Path) -> None:
    """Write key (0600) and certificate (0644). Keys: `name`, `alternative_names`, `days`."""
    with tempfile.TemporaryDirectory(dir=key.parent) as folder:
        new_key, new_certificate = Path(folder, "key"), Path(folder, "certificate")
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
        new_key.chmod(0o600)
        new_certificate.chmod(0o644)
        # The proxy reads both only when it is told to, after this.
        os.replace(new_key, key)
        os.replace(new_certificate, certificate)
