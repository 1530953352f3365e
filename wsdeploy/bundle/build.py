"""Put a bundle together: the project, what runs it, and releases that are built already."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypedDict

from wsdeploy.bundle import libraries, project
from wsdeploy.image.layer import Entry, layer
from wsdeploy.plan.host import paths
from wsdeploy.plan.host.render import render
from wsdeploy.plan.host.survey import DEBIAN_PYTHON, Survey
from wsdeploy.release import build, bundled, contents
from wsdeploy.settings import Settings


class JoinService(TypedDict):
    """What templates/join/join.service.j2 is given."""

    name: str
    folder: str
    """Where the bundle is on the machine."""


class RunScript(TypedDict):
    """What templates/join/run.sh.j2 is given."""

    folder: str
    inventory: str


def unit(name: str) -> str:
    """Return the systemd unit that sets a machine up."""
    return f"{name}-join.service"


def archive(
    settings: Settings, inventory: Path, kinds: Iterable[Survey], also: Iterable[Path] = ()
) -> bytes:
    """Return a bundle as it is before it is signed: the same bytes from the same project.

    inventory: below the current folder, which is the project's. kinds: the machines that it is for.
    also: files and folders of the project that operations of one's own need. Raises BundleError,
    or BuildError if a release can't be built.
    """
    files: dict[str, bytes] = {
        f"project/{path}": data for path, data in project.files(inventory, also).items()
    }
    files |= {f"lib/any/{path}": data for path, data in libraries.own().items()}
    releases: dict[str, bundled.Known] = {}
    for kind in kinds:
        release = contents.release(settings, kind)
        releases[bundled.kind(release.python, release.platform)] = {
            "id": release.id,
            "main": release.main,
        }
        cached = f"cache/wsdeploy/releases/{release.id}.tar.gz"
        files[cached] = build.archive(release)
        lib = libraries.others(release.python, release.platform)
        files |= {f"lib/{release.python}/{path}": data for path, data in lib.items()}
    files[bundled.FILE] = (json.dumps(releases, indent=2, sort_keys=True) + "\n").encode()
    return layer(_entries(files, scripts(settings.name, inventory))).blob


def scripts(name: str, inventory: Path) -> dict[str, str]:
    """Return what starts a run on the machine."""
    service: JoinService = {"name": name, "folder": paths.bundle(name)}
    script: RunScript = {
        "folder": paths.bundle(name),
        "inventory": inventory.resolve().relative_to(Path.cwd()).as_posix(),
    }
    return {
        unit(name): render("join/join.service", service),
        "run": render("join/run.sh", script),
    }


def _entries(files: Mapping[str, bytes], scripts: Mapping[str, str]) -> list[Entry]:
    found = [Entry(path, 0o644, data) for path, data in files.items()]
    return found + [
        Entry(path, 0o644 if path.endswith(".service") else 0o755, text.encode())
        for path, text in scripts.items()
    ]


def survey(debian: str, architecture: str) -> Survey:
    """Return what is known of a machine of some kind."""
    system = {"version": debian, "architecture": architecture, "python": DEBIAN_PYTHON[debian]}
    return Survey(system=system)
