"""Make the key pairs by which the tiers of a fleet know each other; the keys stay on this host."""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from wshost.certificates import keypair
from wshost.common import atomic, commands

if TYPE_CHECKING:
    from wshost.requests import HostKeypairs


def main(request: HostKeypairs) -> None:
    """Do what `request` has `todo`, in order, then run its `activate` commands."""
    try:
        for step in request["todo"]:
            if step == "promote":
                os.replace(request["spare"], request["used"])
            else:
                make(Path(step), request["name"], request["days"])
        commands.run(request["activate"])
    except (OSError, commands.StepError) as error:
        sys.exit(f"key pairs between the tiers: {error}")


def make(pair: Path, name: str, days: int) -> None:
    """Write a new key and its self-signed certificate to one file, for root alone."""
    with tempfile.TemporaryDirectory(dir=pair.parent) as folder:
        key, certificate = Path(folder, "key"), Path(folder, "certificate")
        # OpenSSL finds trusted certificates by their subjects, so each has one of its own.
        subject = f"{name[:40]} {secrets.token_hex(8)}"
        keypair.make(
            key,
            certificate,
            subject=subject,
            names=f"DNS:{name}",
            days=days,
            usage="serverAuth,clientAuth",
        )
        atomic.write(pair, key.read_text() + certificate.read_text())
