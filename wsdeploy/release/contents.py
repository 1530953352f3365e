"""What a release is made of, and the ID that stands for exactly that."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from wsdeploy.plan.host.survey import Survey
from wsdeploy.release import bundled, source
from wsdeploy.release.source import APP
from wsdeploy.resources import PACKAGES
from wsdeploy.settings import Settings

# Wheels are built for a C library at least as old as the host's: Debian 12 has glibc 2.36 and
# Debian 13 has 2.41, of which uv knows 2.40.
GLIBC = {"12": "2_36", "13": "2_40"}


@dataclass(frozen=True)
class Release:
    """A release for one kind of host."""

    files: Mapping[str, bytes]
    """The app, the harness and the launcher, by their path in the release."""
    requirements: str | None
    """The app's locked dependencies, or None if it has no lock."""
    python: str
    """Version of the host's interpreter, such as 3.11."""
    platform: str
    """The host's platform, as uv names it."""
    main: str
    """What Python runs if there is no command: a file or a folder, relative to the release."""
    executable: frozenset[str] = frozenset()
    """Those of the files that may be executed."""
    links: Mapping[str, str] = field(default_factory=dict)
    """Symbolic links, by their path in the release, and what they point to."""
    package: str | None = None
    """Name of the package that is built from the app's files and installed, or None."""
    needs: str = ""
    """The versions of Python that the app says it needs; any if empty."""
    built_as: str = ""
    """Its ID, if it was built elsewhere and its files are not known here."""

    @property
    def id(self) -> str:
        """A digest of the contents: the same contents have the same ID on every machine."""
        if self.built_as:
            return self.built_as
        digests = {path: hashlib.sha256(data).hexdigest() for path, data in self.files.items()}
        kind = [
            digests, sorted(self.executable), dict(self.links), self.package,
            self.requirements, self.python, self.platform, self.main,
        ]  # fmt: skip
        return hashlib.sha256(json.dumps(kind, sort_keys=True).encode()).hexdigest()[:12]


def release(settings: Settings, survey: Survey) -> Release:
    """Return the release that a host should have, of the app as it was first read in this run.

    Raises SourceError, but not once `wsdeploy.inventory.local_files.check` has passed.
    """
    architecture = survey.system.get("architecture", "x86_64")
    glibc = GLIBC.get(survey.system.get("version", ""), "2_36")
    platform = f"{architecture}-manylinux_{glibc}"
    if bundled.here():
        return _bundled(survey.python, platform)
    app = source.of(settings.app)
    files = {f"{APP}/{path}": data for path, data in app.tree.files.items()}
    # The harness travels with the app, so that a release has all that it was tested with.
    for module in sorted((PACKAGES / "wsapp").glob("*.py")):
        files[f"lib/wsapp/{module.name}"] = module.read_bytes()
    files["launch.py"] = (PACKAGES / "wshost/rollout/launch.py").read_bytes()
    return Release(
        files=files,
        requirements=app.requirements,
        python=survey.python,
        platform=platform,
        main=app.main,
        executable=frozenset(f"{APP}/{path}" for path in app.tree.executable),
        links={f"{APP}/{path}": target for path, target in app.tree.links.items()},
        package=app.package,
        needs=app.python,
    )


def _bundled(python: str, platform: str) -> Release:
    """Return the release that a bundle has brought for a host, or one that nobody can build."""
    known = bundled.find(python, platform)
    return Release(
        files={},
        requirements=None,
        python=python,
        platform=platform,
        main=known["main"] if known else "",
        built_as=known["id"] if known else "none",
    )
