"""What systemd lets the units of Debian's packages do: a drop-in for each, with its sandbox.

A sandbox is made when a unit starts, and none of these is restarted by a deployment: it would cut
those who are connected. So the unit leaves a note of the sandbox that it was started with, and a
deployment says if that is not the present one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TypedDict

from wsdeploy.plan.host import paths
from wsdeploy.plan.host.files import File
from wsdeploy.plan.host.render import render
from wsdeploy.plan.target import Target
from wsdeploy.settings import Settings


class Sandbox(TypedDict):
    """What every template sandbox.conf.j2 is given. Units need more, each its own."""

    started: str
    """The note that the unit leaves."""
    started_folder: str
    version: str
    """What the note says."""


def file(settings: Settings, unit: str, own: Mapping[str, object]) -> File:
    """Return the drop-in with a unit's sandbox, from the template of its component.

    own: what its template is given beyond what all of them have.
    """
    version = _version(settings, unit, own)
    return File(paths.sandbox(settings.name, unit), _text(settings, unit, version, own))


def started(settings: Settings, unit: str, own: Mapping[str, object]) -> File:
    """Return the file that a unit leaves which was started with its present sandbox."""
    version = _version(settings, unit, own)
    return File(paths.started(settings.name, unit), f"{version}\n")


def note(target: Target, unit: str, own: Mapping[str, object]) -> tuple[str, ...]:
    """Return what to say if a unit runs in another sandbox than its present one, or in none."""
    settings, survey = target.settings, target.survey
    if survey.units.get(unit, {}).get("ActiveState") != "active":
        return ()
    left, wanted = paths.started(settings.name, unit), started(settings, unit, own)
    if wanted.same_as(survey.paths.get(left)):
        return ()
    name = unit.removesuffix(".service")
    return (f"{name} gets its present sandbox when it is started next: docs/operate/hosts.md",)


def _version(settings: Settings, unit: str, own: Mapping[str, object]) -> str:
    return hashlib.sha256(_text(settings, unit, "", own).encode()).hexdigest()[:12]


def _text(settings: Settings, unit: str, version: str, own: Mapping[str, object]) -> str:
    path = paths.started(settings.name, unit)
    common: Sandbox = {
        "started": path,
        "started_folder": path.rpartition("/")[0],
        "version": version,
    }
    return render(f"{unit.removesuffix('.service')}/sandbox.conf", {**common, **own})
