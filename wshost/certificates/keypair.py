"""A certificate and its private key: put in place together, used at once, or neither."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from wshost.common import commands

PREFIX = "new-"


@contextlib.contextmanager
def workplace(key: Path) -> Iterator[Path]:
    """Yield a folder for root alone, on the file system of a key, that is gone afterwards."""
    with tempfile.TemporaryDirectory(dir=key.parent, prefix=PREFIX) as folder:
        yield Path(folder)


def clear(key: Path) -> None:
    """Remove the folders of runs that were killed: they hold keys. Only while nobody else works."""
    for leftover in key.parent.glob(f"{PREFIX}*"):
        shutil.rmtree(leftover)


def make(key: Path, certificate: Path, *, subject: str, names: str, days: int, usage: str) -> None:
    """Make a private key (P-256) and a certificate that signs itself.

    subject: its common name. names: its subjectAltName, usage: its extendedKeyUsage, as OpenSSL's
    -addext takes them.
    Raises StepError.
    """
    command = [
        "openssl", "req", "-x509", "-noenc",
        "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
        "-keyout", str(key), "-out", str(certificate),
        "-days", str(days), "-subj", f"/CN={subject}",
        "-addext", f"subjectAltName={names}",
        # It signs nothing but itself, so that trusting it trusts no other certificate.
        "-addext", "basicConstraints=critical,CA:FALSE",
        "-addext", "keyUsage=critical,digitalSignature",
        "-addext", f"extendedKeyUsage={usage}",
    ]  # fmt: skip
    commands.run([command])


def install(new: tuple[Path, Path], place: tuple[Path, Path], activate: list[list[str]]) -> None:
    """Move a new certificate and key to where the proxy reads them, and let it use them.

    new, place: certificate and key, on one file system. activate: commands that let the proxy use
    what is in place, and fail if it does not.
    Raises StepError if one does; the previous pair is in place again by then, and in use.
    """
    for path, mode in zip(new, (0o644, 0o600), strict=True):
        path.chmod(mode)
    with workplace(place[1]) as folder:
        before = [(path, folder / path.name) for path in place if path.exists()]
        for path, copy in before:
            shutil.copy2(path, copy)
        try:
            # The proxy reads both only when it is told to, after this.
            for source, path in zip(reversed(new), reversed(place), strict=True):
                os.replace(source, path)
            commands.run(activate)
        except commands.StepError as error:
            for path, copy in before:
                os.replace(copy, path)
            with contextlib.suppress(commands.StepError):
                commands.run(activate, recovering=True)
            raise commands.StepError(f"{error}\nThe previous certificate is back.") from error
