"""Sign a bundle with an SSH key, as every Debian machine can verify it.

A bundle is the signature, as text, and right after it the archive that it is of: so it is one file,
and not a byte of the archive is read as anything before it is verified.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from wsdeploy.bundle.errors import BundleError

SIGNER = "wsdeploy"
"""Who has signed: what `ssh-keygen -Y verify -I` is given."""


def namespace(name: str) -> str:
    """Return what a signature is for, so that it is for no other service and no other purpose."""
    return f"wsdeploy-{name}"


def public(key: Path) -> str:
    """Return the public key of a signing key, without a comment. Raises BundleError.

    key: a private key, or a public one whose private key is in ssh-agent.
    """
    path = key if key.suffix == ".pub" else key.with_name(f"{key.name}.pub")
    if path.is_file():
        words = path.read_text().split()
    else:
        words = _keygen(key, "-y", "-P", "", "-f", str(key)).decode().split()
    if len(words) < 2:
        raise BundleError(f"{path} is no public key of SSH")
    return " ".join(words[:2])


def signed(archive: bytes, key: Path, name: str) -> bytes:
    """Return an archive with its signature in front of it. Raises BundleError.

    With an Ed25519 key, the signature of the same archive is the same.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "archive")
        file.write_bytes(archive)
        _keygen(key, "-q", "-Y", "sign", "-f", str(key), "-n", namespace(name), str(file))
        return Path(folder, "archive.sig").read_bytes() + archive


def _keygen(key: Path, *arguments: str) -> bytes:
    try:
        done = subprocess.run(("ssh-keygen", *arguments), capture_output=True, check=False)
    except FileNotFoundError:
        raise BundleError("ssh-keygen is not installed: apt install openssh-client") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["it says nothing"]
        raise BundleError(f"--key {key}: ssh-keygen can't sign with it: {said[-1]}")
    return done.stdout
