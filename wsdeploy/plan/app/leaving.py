"""The watch for a machine's end: the cloud's word for it begins the drain."""

from __future__ import annotations

import json
from typing import TypedDict

from wsdeploy.plan.host import paths, programs
from wsdeploy.plan.host.files import File, FileSet, active, restarted
from wsdeploy.plan.host.render import render
from wsdeploy.plan.target import Target
from wsdeploy.settings import Settings
from wshost.requests import LeavingWatch

NAME = "leaving"


class LeavingService(TypedDict):
    """What templates/leaving/leaving.service.j2 is given."""

    name: str
    folder: str
    """The folder with its programs."""
    configuration: str
    run: str
    """The folder with the mark by which nginx knows that the machine goes."""


def unit(settings: Settings) -> str:
    """Return its systemd unit."""
    return f"{settings.name}-leaving.service"


def wanted(settings: Settings) -> bool:
    """Tell whether machines have one."""
    return settings.leaving is not None


def files(settings: Settings) -> FileSet:
    """Return its programs, its configuration and its unit."""
    name, folder = settings.name, paths.leaving(settings.name)
    path = f"{folder}/leaving.json"
    view: LeavingService = {
        "name": name,
        "folder": folder,
        "configuration": path,
        "run": paths.leaving_mark(name).rpartition("/")[0],
    }
    return FileSet(
        name=f"{name}-{NAME}",
        files=(
            *programs.files("leaving.__main__", folder),
            File(path, json.dumps(watch(settings), indent=2) + "\n"),
            File(paths.unit(unit(settings)), render("leaving/leaving.service", view)),
        ),
        validate=programs.tried(folder, "-m", "wshost.leaving", "--check", f"{{stage}}{path}"),
        # It answers when it watches (Type=notify).
        activate=restarted(unit(settings)),
        verify=active(unit(settings)),
    )


def watch(settings: Settings) -> LeavingWatch:
    """Return what it is to do."""
    leaving = settings.leaving
    assert leaving is not None
    return {
        "cloud": leaving.cloud,
        "metadata": leaving.metadata,
        "quiet": float(leaving.quiet),
        "mark": paths.leaving_mark(settings.name),
    }


def drift(target: Target) -> list[str]:
    """Return what keeps it from watching, now and after a boot."""
    return target.survey.not_running(unit(target.settings))
