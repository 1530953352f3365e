"""Make a private key and a self-signed certificate, both at once or neither."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from wshost.certificates import keypair
from wshost.common import commands

if TYPE_CHECKING:
    from wshost.requests import SelfSigned


def main(request: SelfSigned) -> None:
    """Make the pair that `request` describes; exit 1 with the reason if it can't be used."""
    try:
        make(request, Path(request["certificate"]), Path(request["key"]))
    except (OSError, commands.StepError) as error:
        sys.exit(f"certificate: {error}")


def make(request: SelfSigned, certificate: Path, key: Path) -> None:
    """Write key (0600) and certificate (0644), and let the proxy use them."""
    with keypair.workplace(key) as folder:
        new_key, new_certificate = folder / "key", folder / "certificate"
        keypair.make(
            new_key,
            new_certificate,
            # A common name has at most 64 characters; clients only look at the other names.
            subject=request["name"][:64],
            names=request["alternative_names"],
            days=request["days"],
            usage="serverAuth",
        )
        keypair.install((new_certificate, new_key), (certificate, key), request["activate"])
