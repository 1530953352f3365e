"""The app on a host: its release, and the generation of processes that runs it."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from wsdeploy.files import File, FileSet
from wsdeploy.limits import CLOSE_TIMEOUT, OPEN_TIMEOUT, derive
from wsdeploy.plan import places
from wsdeploy.render import render
from wsdeploy.settings import Settings
from wsdeploy.survey import Request, Survey

UNIT = "supervisor.service"

# What a generation's identity stands for in a text that the identity is made from.
UNKNOWN = "GENERATION"


def supervisor_files(settings: Settings, survey: Survey) -> FileSet:
    """Return what makes Debian's Supervisor fit for processes that hold connections."""
    unit = render("supervisor/unit.conf", limits=derive(settings, survey))
    return FileSet(
        name=f"{settings.name}-supervisor",
        files=(File(f"/etc/systemd/system/{UNIT}.d/10-{settings.name}.conf", unit),),
        activate=(
            ("systemctl", "daemon-reload"),
            # start, not restart: what runs keeps running, and stops by the new rules.
            ("systemctl", "enable", "--quiet", "--now", UNIT),
        ),
        verify=(("systemctl", "is-active", UNIT),),
    )


def supervisor_undone(settings: Settings, survey: Survey) -> list[str]:
    """Return what keeps Supervisor from running, now and after a boot."""
    return [] if survey.running(UNIT) else [f"{UNIT} is not running as configured"]


def environment(settings: Settings, survey: Survey) -> dict[str, str]:
    """Return the environment of the app's processes, but for where each listens."""
    app, limits = settings.app, derive(settings, survey)
    return {
        "HOME": f"/srv/{settings.name}",
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "WS_BACKLOG": str(limits.backlog),
        "WS_CLOSE_CODE": str(app.close_code),
        "WS_CLOSE_TIMEOUT": str(CLOSE_TIMEOUT),
        "WS_COMPRESSION": app.compression,
        "WS_DRAIN": f"{app.drain:g}",
        "WS_LOG_LEVEL": app.log_level,
        "WS_MAX_SIZE": str(app.max_size),
        "WS_OPEN_TIMEOUT": str(OPEN_TIMEOUT),
        "WS_PING_INTERVAL": f"{app.ping_interval:g}",
        "WS_PING_TIMEOUT": f"{app.ping_timeout:g}",
        **app.env,
    }


def generation(settings: Settings, survey: Survey, release: str, main: str) -> dict[str, Any]:
    """Return the request with which wshost.rollout brings the wanted generation into service.

    release: the release's ID. main: the app's file, relative to the release.
    Its `generation` is a digest of all that needs new processes when it changes.
    """
    folder = f"{places.releases(settings.name)}/{release}"
    values = environment(settings, survey) | {"PYTHONPATH": f"{folder}/lib"}
    variables = "".join(f"{name}={json.dumps(values[name])}\n" for name in sorted(values))

    def program(identity: str) -> str:
        limits = derive(settings, survey)
        launch = f"{folder}/launch.py {places.environment(settings.name, identity)}"
        return render(
            "supervisor/generation.conf",
            app=settings.app,
            name=settings.name,
            group=f"{settings.name}-{identity}",
            command=f"/usr/bin/python3 -I {launch} {limits.app_files} "
            f"/usr/bin/python3 {folder}/{main}",
            sockets=places.sockets(settings.name, identity),
            logs=places.logs(settings.name, identity),
            limits=limits,
        )

    digest = hashlib.sha256((variables + program(UNKNOWN)).encode()).hexdigest()
    identity = digest[:12]
    boot = render(
        "supervisor/boot.conf",
        name=settings.name,
        sockets=places.sockets(settings.name, identity),
        identity=identity,
    )
    files = (
        File(places.program(settings.name, identity), program(identity)),
        File(
            places.environment(settings.name, identity),
            variables,
            mode=0o640,
            group=settings.name,
            secret=True,
        ),
    )
    probe = settings.app.probe
    return {
        "name": settings.name,
        "generation": identity,
        "release": release,
        "releases": places.releases(settings.name),
        "processes": settings.app.processes,
        "files": [file.to_json() for file in files],
        "boot": File(places.boot(settings.name), boot).to_json(),
        "start_timeout": settings.app.start_timeout,
        "stop_wait": derive(settings, survey).stop_wait,
        "probe": {
            "host": settings.domain,
            "path": probe.path,
            "send": probe.send,
            "expect": probe.expect,
        },
    }


def live_generation(settings: Settings, survey: Survey) -> str | None:
    """Return the generation that the proxy reaches on a host, or None."""
    link = survey.paths.get(places.sockets(settings.name, "current"))
    return link.target if link else None


def undone(settings: Settings, survey: Survey, identity: str) -> list[str]:
    """Return what keeps a generation from being the only one in service, whole and after a boot."""
    name = settings.name
    if live_generation(settings, survey) != identity:
        return [f"generation {live_generation(settings, survey)} is live"]
    processes = survey.processes or ()
    states = {p.name: p.statename for p in processes if p.group == f"{name}-{identity}"}
    wanted = [f"{name}_{number:02d}" for number in range(settings.app.processes)]
    found = [f"{p} is {states.get(p, 'missing')}" for p in wanted if states.get(p) != "RUNNING"]
    found += [
        f"group {group} is left over"
        for group in sorted({p.group for p in processes})
        if group.startswith(f"{name}-") and group != f"{name}-{identity}"
    ]
    found += [
        f"{path} is left over"
        for path in survey.paths
        if path.startswith((f"/run/{name}/", f"/etc/supervisor/conf.d/{name}-", f"/etc/{name}/"))
        and _generation_in(path) not in (None, identity)
    ]
    return found


def _generation_in(path: str) -> str | None:
    """Return the generation that a path belongs to, or None."""
    stem = path.rpartition("/")[2].removesuffix(".conf").removesuffix(".env").rpartition("-")[2]
    return stem if len(stem) == 12 and not set(stem) - set("0123456789abcdef") else None


def request(settings: Settings) -> Request:
    """Return what to ask a host about, to plan this part."""
    name = settings.name
    return supervisor_files(settings, Survey(bare=True)).request() + Request(
        packages=("supervisor",),
        units=(UNIT,),
        paths=(
            f"{places.releases(name)}/*",
            f"/run/{name}/*",
            f"/srv/{name}/*",
            f"{places.etc(name)}/*.env",
            f"/etc/supervisor/conf.d/{name}-*.conf",
            places.boot(name),
        ),
    )
