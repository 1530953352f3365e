"""Build a release: fetch its dependencies for the hosts' interpreter and pack all of it."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import tempfile
import threading
from pathlib import Path

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from wsdeploy.release import bundled, package, uv, wheels
from wsdeploy.release.contents import Release
from wsdeploy.release.folder import LARGEST

_ONE_AT_A_TIME = threading.Lock()


class BuildError(Exception):
    """A release can't be built; the message says why, in uv's words where there are no better."""


def archive(release: Release) -> bytes:
    """Return a release as a compressed tar archive, from the cache if it was built before.

    Raises BuildError, for example when a dependency has no wheel for the hosts' platform.
    """
    cached = cache() / f"{release.id}.tar.gz"
    if bundled.here() and not cached.exists():
        raise BuildError(
            f"the bundle has none for Python {release.python} on {release.platform}; "
            "make one with wsdeploy bundle --debian"
        )
    # Hosts are deployed in parallel, and most are of one kind.
    with _ONE_AT_A_TIME:
        if not cached.exists():
            built = _build(release)
            cached.parent.mkdir(parents=True, exist_ok=True)
            descriptor, temporary = tempfile.mkstemp(dir=cached.parent)
            with open(descriptor, "wb") as file:
                file.write(built)
            os.replace(temporary, cached)
        return cached.read_bytes()


def cache() -> Path:
    """Return the folder for built releases, below the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "wsdeploy", "releases")


def _build(release: Release) -> bytes:
    _check_python(release)
    packed = io.BytesIO()
    with (
        tempfile.TemporaryDirectory() as folder,
        # Without a name and a time: the same release is the same bits.
        gzip.GzipFile("", "wb", 6, packed, mtime=0) as file,
        tarfile.open(fileobj=file, mode="w") as tar,
    ):
        lib = Path(folder, "lib")
        if release.requirements is not None:
            _install_dependencies(release, lib)
        if release.package is not None:
            _install_package(release, Path(folder, "package"), lib)
        if lib.exists():
            package.anonymize(lib)
            tar.add(lib, "lib", filter=_anonymous)
        for path, data in sorted(release.files.items()):
            member = tarfile.TarInfo(path)
            member.size, member.mode = len(data), 0o755 if path in release.executable else 0o644
            tar.addfile(member, io.BytesIO(data))
        for path, target in sorted(release.links.items()):
            member = tarfile.TarInfo(path)
            member.type, member.linkname = tarfile.SYMTYPE, target
            tar.addfile(member)
        size = sum(member.size for member in tar.getmembers())
    if size > LARGEST:
        raise BuildError(
            f"it has {size / 1e6:,.0f} MB with its dependencies, and a release may have "
            f"{LARGEST / 1e6:,.0f}; depend on less, or keep large files elsewhere"
        )
    return packed.getvalue()


def _check_python(release: Release) -> None:
    """Raise BuildError if the app says that it does not run on the host's Python."""
    try:
        # Which of its patches the host has is not known here; the newest has all that others have.
        fits = SpecifierSet(release.needs).contains(f"{release.python}.99")
    except InvalidSpecifier:
        raise BuildError(
            f"requires-python is {release.needs!r} in the app's pyproject.toml; write it as in "
            "'>=3.11'"
        ) from None
    if not fits:
        raise BuildError(
            f"the app needs Python {release.needs}, and the host has {release.python}; change "
            "requires-python, or choose another Debian release"
        )


def _install_dependencies(release: Release, lib: Path) -> None:
    """Install the dependencies into `lib`, by hash, for a machine that this may not be."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as lock:
        lock.write(release.requirements or "")
        lock.flush()
        _install(
            release, lib, "--require-hashes", "--requirements", lock.name, called="the lock file"
        )


def _install_package(release: Release, folder: Path, lib: Path) -> None:
    """Build the app's own package in `folder` and install it into `lib`, beside its dependencies.

    What is built is what the release has of the app, so that the user's own folder stays as it is.
    """
    try:
        wheel = package.build(release, folder)
    except package.PackageError as error:
        raise BuildError(str(error)) from None
    # A path of its own in uv's cache for each build would be there for good.
    _install(release, lib, "--no-cache", "--no-index", "--no-deps", str(wheel), called="the app")


def _install(release: Release, lib: Path, *what: str, called: str) -> None:
    done = uv.run(
        "pip", "install", "--quiet", "--no-config", "--target", str(lib),
        "--python-version", release.python, "--python-platform", release.platform,
        "--only-binary", ":all:", "--link-mode", "copy", *what,
    )  # fmt: skip
    if done.returncode:
        reason = wheels.explain(done.stderr, release.python, release.platform)
        raise BuildError(reason or done.stderr.strip().replace(what[-1], called))


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Make members the same wherever they were built; leave out what no process needs."""
    if "__pycache__" in member.name or member.name in ("lib/.lock", "lib/bin"):
        return None
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    member.mtime = 0
    member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
    return member
