"""The watchdog of app hosts: kills processes that hang, so that Supervisor starts them again."""

from __future__ import annotations

from typing import TypedDict

from wsdeploy.plan.host import paths, programs
from wsdeploy.plan.host.files import File, FileSet, active, restarted
from wsdeploy.plan.host.render import render
from wsdeploy.plan.target import Target
from wsdeploy.settings import Settings
from wshost.requests import Watch

NAME = "watchdog"


class WatchdogService(TypedDict):
    """What templates/watchdog/watchdog.service.j2 is given."""

    name: str
    folder: str
    """The folder with its programs."""


def unit(settings: Settings) -> str:
    """Return its systemd unit."""
    return f"{settings.name}-watchdog.service"


def wanted(settings: Settings) -> bool:
    """Tell whether app hosts have one."""
    return settings.app.hang_timeout is not None


def watch(target: Target) -> Watch | None:
    """Return how it watches a generation, or None without a watchdog."""
    app = target.settings.app
    if app.hang_timeout is None:
        return None
    return {
        "host": target.settings.domain,
        # Any answer will do, and websockets has one for every GET that is no handshake.
        "path": app.health or "/",
        "hang_timeout": float(app.hang_timeout),
        "start_timeout": float(app.start_timeout),
        "stop_wait": float(target.limits.stop_wait),
    }


def files(settings: Settings) -> FileSet:
    """Return its programs and its unit, the same whatever the app's settings are."""
    name, folder = settings.name, paths.watchdog(settings.name)
    view: WatchdogService = {"name": name, "folder": folder}
    return FileSet(
        name=f"{settings.name}-{NAME}",
        files=(
            *programs.files("watchdog.__main__", folder),
            File(paths.unit(unit(settings)), render("watchdog/watchdog.service", view)),
        ),
        validate=programs.tried(folder, "-m", "wshost.watchdog", "--check"),
        # It answers when it watches (Type=notify).
        activate=restarted(unit(settings)),
        verify=active(unit(settings)),
    )


def drift(target: Target) -> list[str]:
    """Return what keeps it from watching, now and after a boot."""
    return target.survey.not_running(unit(target.settings))
