"""Upgrades of Debian's packages: they may not restart what holds connections, unannounced.

Debian restarts Supervisor with all its processes, and nginx on Debian 12 and 13 alike, when their
packages are upgraded; needrestart does it for every service whose libraries have changed. Both
ask before, and are told no. What is installed then runs from the next start on.
"""

from __future__ import annotations

import hashlib

from wsdeploy.plan.host.files import File, FileSet
from wsdeploy.plan.host.render import render
from wsdeploy.plan.host.survey import Survey
from wsdeploy.plan.target import Target
from wsdeploy.settings import Settings

POLICY = "/usr/sbin/policy-rc.d"
"""What Debian's packages ask before they start or stop a service."""

INSTALLING = "#!/bin/sh\n# wsdeploy is installing packages\nexit 101\n"
"""What stands there while install_packages.sh is at work: nothing may be started."""

NEEDRESTART = "/etc/needrestart/conf.d/wsdeploy.conf"
UNATTENDED = "/etc/apt/apt.conf.d/52wsdeploy"


def packages(settings: Settings) -> tuple[str, ...]:
    """Return the packages that the settings ask for."""
    return ("unattended-upgrades",) if settings.security_updates else ()


def policy(target: Target) -> FileSet:
    """Return the file that answers packages; an empty set if somebody else has one there."""
    survey = target.survey
    wanted = FileSet(
        name=f"{target.name}-policy",
        files=(File(POLICY, render("upgrades/policy-rc.d"), mode=0o755),),
        validate=(("sh", "-n", f"{{stage}}{POLICY}"),),
    )
    there = survey.paths.get(POLICY)
    applied = survey.paths.get(wanted.marker.path)
    if (
        there is None
        or wanted.files[0].same_as(there)
        or installing(survey)
        # What an earlier version has put there may be replaced by this one's.
        or (applied is not None and not wanted.marker.same_as(applied))
    ):
        return wanted
    return FileSet(
        name=wanted.name,
        files=(),
        notes=(
            f"{POLICY} is not wsdeploy's and stays: see to it that package upgrades do not restart "
            "supervisor, nginx, haproxy and keepalived",
        ),
    )


def installing(survey: Survey) -> bool:
    """Tell whether packages are being installed, or a run was killed while it did that."""
    there = survey.paths.get(POLICY)
    return there is not None and there.sha256 == hashlib.sha256(INSTALLING.encode()).hexdigest()


def files(settings: Settings) -> FileSet:
    """Return what needrestart and unattended-upgrades are told."""
    wanted = [File(NEEDRESTART, render("upgrades/needrestart.conf"))]
    if settings.security_updates:
        wanted.append(File(UNATTENDED, render("upgrades/apt.conf")))
    return FileSet(name=f"{settings.name}-upgrades", files=tuple(wanted))
