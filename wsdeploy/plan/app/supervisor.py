"""Debian's Supervisor, made fit for processes that hold connections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from wsdeploy.plan.host import hardening, paths
from wsdeploy.plan.host.files import File, FileSet, enabled
from wsdeploy.plan.host.render import render
from wsdeploy.plan.target import Target
from wsdeploy.settings import Settings

UNIT = "supervisor.service"


class UnitConf(TypedDict):
    """What templates/supervisor/unit.conf.j2 is given."""

    drain_file: str
    shutdown_drain: str
    """Seconds over which connections are closed when the host goes down."""
    unit_stop: int
    """Seconds for all processes to stop."""
    open_files: int
    folders: tuple[str, ...]
    """What makes folders that have to be there, for systemd-tmpfiles."""


class SandboxConf(TypedDict):
    """What templates/supervisor/sandbox.conf.j2 is given beyond what all sandboxes have."""

    data: str
    logs: str
    writable: Sequence[str]


def files(target: Target) -> FileSet:
    """Return what makes Debian's Supervisor fit for processes that hold connections."""
    settings, limits = target.settings, target.limits
    unit: UnitConf = {
        "drain_file": paths.drain_file(settings.name),
        "shutdown_drain": f"{limits.shutdown_drain:g}",
        "unit_stop": limits.unit_stop,
        "open_files": limits.open_files,
        "folders": (f"/etc/tmpfiles.d/{settings.name}.conf", paths.boot(settings.name)),
    }
    return FileSet(
        name=f"{settings.name}-supervisor",
        files=(
            File(paths.drop_in(settings.name, UNIT), render("supervisor/unit.conf", unit)),
            hardening.file(settings, UNIT, _sandbox(settings)),
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
            *hardening.note(target, UNIT, _sandbox(settings)),
            *(
                ("supervisor was upgraded and runs as it was before: docs/operate/hosts.md",)
                if target.survey.units.get(UNIT, {}).get("Upgraded")
                else ()
            ),
        ),
    )


def _sandbox(settings: Settings) -> SandboxConf:
    name = settings.name
    return {
        "data": paths.data(name),
        "logs": paths.logs(name, "").rstrip("/"),
        "writable": settings.app.writable,
    }


def started(settings: Settings) -> File:
    """Return the note that Supervisor leaves when it starts with its present sandbox."""
    return hardening.started(settings, UNIT, _sandbox(settings))


def drift(target: Target) -> list[str]:
    """Return what keeps Supervisor from running, now and after a boot."""
    return [] if target.survey.running(UNIT) else [f"{UNIT} is not running as configured"]
