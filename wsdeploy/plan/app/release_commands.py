"""Commands that a release brings with it, which run once for the whole fleet. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Literal, TypedDict

from wsdeploy.plan.app.generation import Generation, supervisor_quoted
from wsdeploy.plan.host import paths
from wsdeploy.plan.host.render import render
from wsdeploy.plan.host.survey import Survey
from wsdeploy.plan.target import Target
from wsdeploy.settings import App, Settings, secret_values
from wshost.requests import Commit, ReleaseCommand
from wshost.rollout.description import GENERATION

Kind = Literal["before_release", "after_release"]
STOP_WAIT = 10
"""Seconds that a command has to end after SIGTERM, once its time is over: Supervisor's default."""


class ReleaseCommandConf(TypedDict):
    """What templates/supervisor/release_command.conf.j2 is given."""

    name: str
    group: str
    """What Supervisor calls it."""
    command: str
    folder: str
    """The folder that it is started in."""
    logs: str
    stop_wait: int


def command(app: App, kind: Kind) -> Sequence[str] | None:
    """Return the command of a kind, or None."""
    found: Sequence[str] | None = getattr(app, kind)
    return found


def key(settings: Settings, kind: Kind, release: str) -> str:
    """Return what stands for a command of a release, on every host the same.

    release: the ID that the release has for a host of which nothing is known. Another release,
    environment or command is another key; another number of processes is not.
    """
    app = settings.app
    marks = {
        variable: secret_values.fingerprint(value, f"{settings.domain} {variable}")
        for variable, value in secret_values.values(app).items()
    }
    what = [kind, release, [*(command(app, kind) or ())], {**app.env, **marks}]
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:12]


def done(name: str, survey: Survey) -> frozenset[str]:
    """Return the keys of the commands that have run on a host."""
    try:
        found = json.loads(survey.texts.get(paths.release_commands(name)) or "[]")
    except (ValueError, RecursionError):
        return frozenset()
    listed = found if isinstance(found, list) else []
    return frozenset(each for each in listed if isinstance(each, str))


def request(
    target: Target,
    wanted: Generation,
    kind: Kind,
    key: str,
    *,
    by: str,
    commit: Commit | None,
) -> ReleaseCommand:
    """Return the request that runs a command on a host, in the release of its generation."""
    settings, name = target.settings, target.name
    folder = f"{paths.releases(name)}/{wanted.release}"
    launch = f"/usr/bin/python3 -I {folder}/launch.py {paths.description(name, GENERATION)}"
    words = command(settings.app, kind) or ()
    conf: ReleaseCommandConf = {
        "name": name,
        "group": f"{name}-{GENERATION}",
        "command": " ".join((launch, *map(supervisor_quoted, words))),
        "folder": f"{folder}/app",
        "logs": paths.logs(name, GENERATION),
        "stop_wait": STOP_WAIT,
    }
    return {
        "kind": kind,
        "name": name,
        "by": by,
        "release": wanted.release,
        "commit": commit,
        "key": key,
        # As a generation's, so that what a run leaves that is killed goes as theirs do.
        "generation": key,
        "description": {**wanted.description, "processes": 1, "watch": None},
        "program": render("supervisor/release_command.conf", conf),
        "environment": wanted.environment,
        "seconds": settings.app.release_timeout,
        "stop_wait": STOP_WAIT,
    }
