"""Build a release: fetch its dependencies for the hosts' interpreter and pack all of it."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
import tempfile
import threading
from pathlib import Path

from uv import find_uv_bin

from wsdeploy.release.contents import Release

_ONE_AT_A_TIME = threading.Lock()


class BuildError(Exception):
    """A release can't be built; the message is what uv said."""


def archive(release: Release) -> bytes:
    """Return a release as a compressed tar archive, from the cache if it was built before.

    Raises BuildError, for example when a dependency has no wheel for the hosts' platform.
    """
    cached = cache() / f"{release.id}.tar.gz"
    # Hosts are deployed in parallel, and most are of one kind.
    with _ONE_AT_A_TIME:
        if not cached.exists():
            cached.parent.mkdir(parents=True, exist_ok=True)
            descriptor, temporary = tempfile.mkstemp(dir=cached.parent)
            with open(descriptor, "wb") as file:
                file.write(_build(release))
            os.replace(temporary, cached)
        return cached.read_bytes()


def cache() -> Path:
    """Return the folder for built releases, below the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "wsdeploy", "releases")


def _build(release: Release) -> bytes:
    packed = io.BytesIO()
    with (
        tempfile.TemporaryDirectory() as folder,
        tarfile.open(fileobj=packed, mode="w:gz", compresslevel=6) as tar,
    ):
        if release.requirements is not None:
            _install(release, Path(folder))
            tar.add(folder, "lib", filter=_anonymous)
        for path, data in sorted(release.files.items()):
            member = tarfile.TarInfo(path)
            member.size, member.mode = len(data), 0o644
            tar.addfile(member, io.BytesIO(data))
    return packed.getvalue()


def _install(release: Release, target: Path) -> None:
    """Install the dependencies into `target`, by hash, for a machine that this may not be."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as lock:
        lock.write(release.requirements or "")
        lock.flush()
        done = subprocess.run(
            (
                find_uv_bin(), "pip", "install", "--quiet", "--no-config",
                "--target", str(target), "--requirements", lock.name, "--require-hashes",
                "--python-version", release.python, "--python-platform", release.platform,
                "--only-binary", ":all:", "--link-mode", "copy",
            ),
            capture_output=True,
            text=True,
            check=False,
        )  # fmt: skip
    if done.returncode:
        raise BuildError(done.stderr.strip().replace(lock.name, "the lock file"))


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Make members the same wherever they were built; leave out what no process needs."""
    if "__pycache__" in member.name or member.name in ("lib/.lock", "lib/bin"):
        return None
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    member.mtime = 0
    member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
    return member
