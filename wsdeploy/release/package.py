"""The app's own package: built here from its files, and installed without a trace of this place."""

from __future__ import annotations

import os
from pathlib import Path

from wsdeploy.release import uv
from wsdeploy.release.contents import Release
from wsdeploy.release.source import APP

# Build backends that take the version from git find no repository in a release. No part of the app
# should depend on the version of something that is never published.
VERSION = {"SETUPTOOLS_SCM_PRETEND_VERSION": "0", "PDM_BUILD_SCM_VERSION": "0"}

# What installers note down about where and when they got a package from.
NOTES = ("direct_url.json", "uv_cache.json")


class PackageError(Exception):
    """The app's own package can't be built; the message says why."""


def build(release: Release, folder: Path) -> Path:
    """Write the app's files to `folder`, build a wheel there and return its path.

    Raises PackageError.
    """
    for path, data in release.files.items():
        if path.startswith(f"{APP}/"):
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
            file.chmod(0o755 if path in release.executable else 0o644)
    for path, target in release.links.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).symlink_to(target)
    output = folder / "wheel"
    done = uv.run(
        "build", "--quiet", "--wheel", "--no-python-downloads", "--out-dir", str(output),
        folder=folder / APP, environment=VERSION | os.environ,
    )  # fmt: skip
    if done.returncode:
        said = done.stderr.strip().replace(str(folder / APP), release.package or "")
        raise PackageError(f"the package {release.package} can't be built: {said}")
    (wheel,) = output.glob("*.whl")
    if not wheel.name.endswith("-none-any.whl"):
        raise PackageError(
            f"the package {release.package} has compiled parts, and its wheel is for this machine "
            f"({wheel.name}); put wheels for Debian on an index and depend on them"
        )
    return wheel


def anonymize(lib: Path) -> None:
    """Remove what the packages in `lib` say about the machine and the time of their installation.

    lib: a folder that packages have been installed into.
    """
    for info in lib.glob("*.dist-info"):
        for note in NOTES:
            (info / note).unlink(missing_ok=True)
        record = info / "RECORD"
        if record.is_file():
            lines = record.read_text(encoding="utf-8").splitlines(keepends=True)
            kept = [line for line in lines if not line.startswith(_recorded(info))]
            record.write_text("".join(kept), encoding="utf-8")


def _recorded(info: Path) -> tuple[str, ...]:
    return tuple(f"{info.name}/{note}," for note in NOTES)
