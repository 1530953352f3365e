"""What runs a deployment on a machine that has Debian's Python and nothing else."""

from __future__ import annotations

import re
import tempfile
from importlib import metadata
from pathlib import Path

from wsdeploy import resources
from wsdeploy.bundle.errors import BundleError
from wsdeploy.release import package, uv

LEFT_OUT = {"uv"}
"""Releases in a bundle are built already."""
NAME = re.compile(r"[A-Za-z0-9._-]+")
CODE = ("wsdeploy", "wshost", "wsapp")


def own() -> dict[str, bytes]:
    """Return wsdeploy itself, as it is installed."""
    found = {
        path.relative_to(resources.PACKAGES).as_posix(): path.read_bytes()
        for name in CODE
        for path in _files(resources.PACKAGES / name)
        if not path.is_relative_to(resources.PACKAGES / "wsdeploy" / "data")
    }
    for path in _files(resources.FOLDER / "templates"):
        place = path.relative_to(resources.FOLDER).as_posix()
        found[f"wsdeploy/data/{place}"] = path.read_bytes()
    return found


def others(python: str, platform: str) -> dict[str, bytes]:
    """Return the packages that wsdeploy needs, for one kind of machine, by their paths.

    python: such as 3.11. platform: as uv names it. Versions are those that are installed here, so
    far as they are. Raises BundleError.
    """
    with tempfile.TemporaryDirectory() as folder:
        lib, constraints = Path(folder, "lib"), Path(folder, "constraints.txt")
        constraints.write_text("\n".join(_installed()))
        done = uv.run(
            "pip", "install", "--quiet", "--no-config", "--target", str(lib),
            "--python-version", python, "--python-platform", platform,
            "--only-binary", ":all:", "--link-mode", "copy",
            "--constraints", str(constraints), *_wanted(),
        )  # fmt: skip
        if done.returncode:
            raise BundleError(f"libraries for Python {python}: {uv.complaint(done.stderr)}")
        package.anonymize(lib)
        return {path.relative_to(lib).as_posix(): path.read_bytes() for path in _files(lib)}


def _wanted() -> list[str]:
    """Return what wsdeploy says that it needs."""
    needed = (each for each in metadata.requires("wsdeploy") or () if "extra ==" not in each)
    return [each for each in needed if _name(each) not in LEFT_OUT]


def _installed() -> list[str]:
    """Return what is installed here, each as a constraint."""
    found = {
        f"{each.name}=={each.version}"
        for each in metadata.distributions()
        if each.name not in ("wsdeploy", *LEFT_OUT)
    }
    return sorted(found)


def _name(requirement: str) -> str:
    match = NAME.match(requirement)
    return match[0] if match else ""


def _files(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file()
        and "__pycache__" not in path.parts
        and path.relative_to(folder).parts[0] not in ("bin", ".lock")
    )
