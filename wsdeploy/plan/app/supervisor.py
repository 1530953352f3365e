"""Debian's Supervisor, made fit for processes that hold connections."""

from __future__ import annotations

from typing import Any

from wsdeploy.plan.host import hardening, places
from wsdeploy.plan.host.files import File, FileSet, enabled
from wsdeploy.plan.host.limits import derive
from wsdeploy.plan.host.render import render
from wsdeploy.plan.host.survey import Survey
from wsdeploy.settings import Settings

UNIT = "supervisor.service"


def files(settings: Settings, survey: Survey) -> FileSet:
    """Return what makes Debian's Supervisor fit for processes that hold connections."""
    limits = derive(settings, survey)
    unit = render(
        "supervisor/unit.conf",
        limits=limits,
        drain_file=places.drain_file(settings.name),
        folders=(f"/etc/tmpfiles.d/{settings.name}.conf", places.boot(settings.name)),
    )
    return FileSet(
        name=f"{settings.name}-supervisor",
        files=(
            File(places.drop_in(settings.name, UNIT), unit),
            hardening.file(settings, UNIT, **_hardening(settings)),
        ),
        activate=(
            ("systemctl", "daemon-reload"),
            enabled(UNIT),
            # start, not restart: what runs keeps running, and stops by the new rules.
            ("systemctl", "start", UNIT),
        ),
        verify=(("systemctl", "is-active", UNIT),),
        notes=(
            *((limits.app_shortfall,) if limits.app_shortfall else ()),
            *hardening.note(settings, survey, UNIT, **_hardening(settings)),
            *(
                ("supervisor was upgraded and runs as it was before: docs/hosts.md",)
                if survey.units.get(UNIT, {}).get("Upgraded")
                else ()
            ),
        ),
    )


def _hardening(settings: Settings) -> dict[str, Any]:
    name = settings.name
    return {
        "data": places.data(name),
        "logs": places.logs(name, "").rstrip("/"),
        "writable": settings.app.writable,
    }


def started(settings: Settings) -> File:
    """Return the note that Supervisor leaves when it starts with its present sandbox."""
    return hardening.started(settings, UNIT, **_hardening(settings))


def drift(settings: Settings, survey: Survey) -> list[str]:
    """Return what keeps Supervisor from running, now and after a boot."""
    return [] if survey.running(UNIT) else [f"{UNIT} is not running as configured"]
