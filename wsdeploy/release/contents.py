"""What a release is made of, and the ID that stands for exactly that."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from wsdeploy.settings import Settings, local_files
from wsdeploy.survey import Survey

PROJECT = Path(__file__).resolve().parents[2]

# Wheels are built for a C library at least as old as the host's: Debian 12 has glibc 2.36 and
# Debian 13 has 2.41, of which uv knows 2.40.
GLIBC = {"12": "2_36", "13": "2_40"}


@dataclass(frozen=True)
class Release:
    """A release for one kind of host."""

    files: Mapping[str, bytes]
    """The app, the harness and the launcher, by their path in the release."""
    requirements: str | None
    """Text of the lock file of the app's dependencies, or None if it has none."""
    python: str
    """Version of the host's interpreter, such as 3.11."""
    platform: str
    """The host's platform, as uv names it."""
    main: str
    """The app's file, relative to the release."""

    @property
    def id(self) -> str:
        """A digest of the contents: the same contents have the same ID on every machine."""
        digests = {path: hashlib.sha256(data).hexdigest() for path, data in self.files.items()}
        kind = [digests, self.requirements, self.python, self.platform, self.main]
        return hashlib.sha256(json.dumps(kind, sort_keys=True).encode()).hexdigest()[:12]


def release(settings: Settings, survey: Survey) -> Release:
    """Return the release that a host should have. Reads the app's files."""
    app = Path(settings.app.path)
    lock = local_files.requirements(settings)
    files = {f"app/{app.name}": app.read_bytes()}
    # The harness travels with the app, so that a release has all that it was tested with.
    for module in sorted((PROJECT / "wsapp").glob("*.py")):
        files[f"lib/wsapp/{module.name}"] = module.read_bytes()
    files["launch.py"] = (PROJECT / "wshost" / "launch.py").read_bytes()
    architecture = survey.system.get("architecture", "x86_64")
    glibc = GLIBC.get(survey.system.get("version", ""), "2_36")
    return Release(
        files=files,
        requirements=lock.read_text() if lock else None,
        python=survey.python,
        platform=f"{architecture}-manylinux_{glibc}",
        main=f"app/{app.name}",
    )
