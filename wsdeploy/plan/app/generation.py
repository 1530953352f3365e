"""The generation of processes that runs a release of the app on a host."""

from __future__ import annotations

import datetime
import hashlib
import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypedDict

from wsdeploy.plan.app import supervisor, upstreams, watchdog
from wsdeploy.plan.host import paths
from wsdeploy.plan.host.files import File
from wsdeploy.plan.host.limits import CLOSE_TIMEOUT, OPEN_TIMEOUT
from wsdeploy.plan.host.render import render
from wsdeploy.plan.host.survey import Request
from wsdeploy.plan.proxy import proxies
from wsdeploy.plan.target import Target
from wsdeploy.settings import Settings, secret_values
from wshost.common.listen import Listen
from wshost.requests import Commit, Description, Rollout
from wshost.rollout import description
from wshost.rollout.description import AUTOSTART, GENERATION, GENERATION_ID


def environment(target: Target) -> dict[str, str]:
    """Return the environment of the app's processes, but for where each listens."""
    name, app = target.name, target.settings.app
    return {
        "HOME": paths.data(name),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "WS_BACKLOG": str(target.limits.backlog),
        "WS_CLOSE_CODE": str(app.close_code),
        "WS_CLOSE_TIMEOUT": str(CLOSE_TIMEOUT),
        "WS_COMPRESSION": app.compression,
        "WS_DRAIN": f"{app.drain:g}",
        "WS_DRAIN_FILE": paths.drain_file(name),
        "WS_LOG_LEVEL": app.log_level,
        **({} if app.max_age is None else {"WS_MAX_AGE": f"{app.max_age:.15g}"}),
        "WS_MAX_SIZE": str(app.max_size),
        "WS_OPEN_TIMEOUT": str(OPEN_TIMEOUT),
        "WS_PING_INTERVAL": f"{app.ping_interval:g}",
        "WS_PING_TIMEOUT": "off" if app.ping_timeout is None else f"{app.ping_timeout:g}",
        **app.broker_variables(name),
        **app.env,
    }


def listen(target: Target) -> Listen:
    """Return where the processes of a generation listen on a host, whichever generation it is."""
    kind = target.settings.listen()
    if kind == "unix":
        return Listen(kind, paths.sockets(target.name, GENERATION))
    return Listen(kind, target.listen_address, target.settings.app.port)


class GenerationConf(TypedDict):
    """What templates/supervisor/generation.conf.j2 is given."""

    name: str
    group: str
    """What Supervisor calls it."""
    command: str
    processes: int
    autostart: str
    sockets: str
    """The folder with its sockets."""
    logs: str
    """The folder with its logs."""
    drain: float
    stop_wait: int


class BootConf(TypedDict):
    """What templates/supervisor/boot.conf.j2 is given."""

    name: str
    sockets: str
    logs: str
    generation: str


@dataclass(frozen=True)
class Generation:
    """The generation of processes that a host should have."""

    name: str
    """Of the service."""
    id: str
    """A digest of all that needs new processes when it changes. A restart of the live generation
    adds a number."""
    description: Description
    program: str
    """Supervisor's file; in it, in the next and in the description are marks for what the host
    decides (wshost.rollout.description)."""
    boot: str
    """What brings its folders back after a boot."""
    environment: str

    @property
    def release(self) -> str:
        """The ID of the release that it runs."""
        return self.description["release"]

    @property
    def files(self) -> tuple[File, ...]:
        """Its files, as the host writes them."""
        name, generation_id = self.name, self.id
        return (
            File(paths.program(name, generation_id), description.fill(self.program, generation_id)),
            File(
                paths.description(name, generation_id),
                description.text(self.description, generation_id),
            ),
            File(
                paths.environment(name, generation_id),
                self.environment,
                mode=0o640,
                group=name,
                secret=True,
            ),
            File(paths.boot(name), description.fill(self.boot, generation_id)),
        )


def planned(target: Target, release: str, main: str) -> Generation:
    """Return the generation that a host should have.

    release: the release's ID. main: what the interpreter is given to run, relative to the release;
    `App.command` takes its place.
    """
    settings, limits = target.settings, target.limits
    app, name = settings.app, settings.name
    folder = f"{paths.releases(name)}/{release}"
    command = app.command or ("python", f"{folder}/{main}")
    values = environment(target) | {
        "PYTHONPATH": f"{folder}/lib:{folder}/app",
        "WS_APP": f"{folder}/app",
    }
    private = secret_values.values(app)
    # Everyone on a host can see the ID, and nobody may guess a secret from it.
    marks = {
        variable: secret_values.fingerprint(value, f"{settings.domain} {variable}")
        for variable, value in private.items()
    }
    described: Description = {
        "release": release,
        "environment": paths.environment(name, GENERATION),
        "listen": str(listen(target)),
        "processes": target.processes,
        "open_files": limits.app_files,
        "watch": watchdog.watch(target),
    }
    launch = f"/usr/bin/python3 -I {folder}/launch.py {paths.description(name, GENERATION)}"
    of_supervisor: GenerationConf = {
        "name": name,
        "group": f"{name}-{GENERATION}",
        "command": " ".join((launch, *map(supervisor_quoted, command))),
        "processes": described["processes"],
        "autostart": AUTOSTART,
        "sockets": paths.sockets(name, GENERATION),
        "logs": paths.logs(name, GENERATION),
        "drain": app.drain,
        "stop_wait": limits.stop_wait,
    }
    program = render("supervisor/generation.conf", of_supervisor)
    at_boot: BootConf = {
        "name": name,
        "sockets": paths.sockets(name, GENERATION),
        "logs": paths.logs(name, GENERATION),
        "generation": GENERATION,
    }
    # By which terms it is watched needs no new processes.
    new_processes = json.dumps({**described, "watch": None}, sort_keys=True)
    text = _variables(values | marks) + program + new_processes
    generation_id = hashlib.sha256(text.encode()).hexdigest()[:12]
    serving = live(target)
    if serving is not None and serving.partition("-")[0] == generation_id:
        # It is the same after a restart.
        generation_id = serving
    return Generation(
        name=name,
        id=generation_id,
        description=described,
        program=program,
        boot=render("supervisor/boot.conf", at_boot),
        environment=_variables(values | private),
    )


def _variables(values: Mapping[str, str]) -> str:
    """Return an environment as launch.py reads it."""
    return "".join(f"{key}={json.dumps(values[key])}\n" for key in sorted(values))


def rollout(
    target: Target,
    wanted: Generation,
    *,
    version: str,
    by: str,
    remaining: tuple[str, ...],
    commit: Commit | None = None,
) -> Rollout:
    """Return the request that brings a generation into service.

    version: what stands for the same on all hosts of the fleet, whose generations and releases
    differ with address, limits and Python. by: who wants it. remaining: hosts that come later.
    """
    settings, app = target.settings, target.settings.app
    return {
        "name": settings.name,
        "by": by,
        "later": [*remaining],
        "generation": wanted.id,
        "release": wanted.release,
        "version": version,
        "commit": commit,
        "description": wanted.description,
        "program": wanted.program,
        "environment": wanted.environment,
        "boot": wanted.boot,
        "reuse_port": app.reuse_port,
        "start_timeout": app.start_timeout,
        "healthy_for": app.healthy_for,
        "stop_wait": target.limits.stop_wait,
        "back_after": proxies.chosen(settings).back_after(settings),
        "probe": {
            "host": settings.domain,
            "health": app.health,
            "path": app.probe.path,
            "send": secret_values.message(app),
            "expect": app.probe.expect,
        },
    }


def supervisor_quoted(word: str) -> str:
    """Quote a word of a command for Supervisor: shell quotes, and %% for its own expansions."""
    return shlex.quote(word).replace("%", "%%")


def live(target: Target) -> str | None:
    """Return the generation that the proxy reaches on a host, or None."""
    link = target.survey.paths.get(paths.sockets(target.name, "current"))
    return link.target if link else None


def drift(target: Target, wanted: Generation) -> list[str]:
    """Return what keeps a generation from being in service, whole, now and after a boot."""
    name, survey, serving = target.name, target.survey, live(target)
    if serving != wanted.id:
        return [f"generation {serving} is live, not {wanted.id}"]
    group = f"{name}-{wanted.id}"
    states = {p.name: p.statename for p in survey.processes or () if p.group == group}
    found = [
        f"{process} is {states.get(process, 'missing')}"
        for process in upstreams.process_names(target.settings, target.processes)
        if states.get(process) != "RUNNING"
    ]
    found += [file.path for file in wanted.files if not file.same_as(survey.paths.get(file.path))]
    current = survey.paths.get(f"/srv/{name}/current")
    if current is None or current.target != f"releases/{wanted.release}":
        found.append(f"/srv/{name}/current")
    if paths.record(name, wanted.id) not in survey.paths:
        found.append(f"the record of generation {wanted.id}")
    return found


def restarts(target: Target) -> list[str]:
    """Return what to say of processes that were started again since their generation is there."""
    name, found = target.name, []
    for process, (count, last) in sorted(target.survey.starts.get(name, {}).items()):
        if count > 1:
            times = "once" if count == 2 else f"{count - 1:,} times"
            when = datetime.datetime.fromtimestamp(last, datetime.UTC)
            found.append(
                f"{process} was restarted {times} since its generation came, last at "
                f"{when:%Y-%m-%d %H:%M:%S} UTC; its log: "
                f"{paths.logs(name, live(target) or '')}"
            )
    left = sorted(path for path in target.survey.paths if path.startswith(paths.left(name)))
    if left:
        found.append(
            f"the app has left files in the working directory of generations that are gone: "
            f"{', '.join(left)}; it should write to $HOME"
        )
    return found


def leftovers(target: Target, generation_id: str) -> list[str]:
    """Return what is left of other generations than the one in service."""
    name, survey = re.escape(target.name), target.survey
    # Other programs may have names that begin like ours.
    group = re.compile(rf"{name}-({GENERATION_ID})")
    path = re.compile(
        rf"/run/{name}/({GENERATION_ID})|/etc/{name}/({GENERATION_ID})\.env"
        rf"|/etc/supervisor/conf\.d/{name}-({GENERATION_ID})\.(?:conf|json)"
    )
    groups = sorted({process.group for process in survey.processes or ()})
    return [
        f"{found} is left over"
        for found in (*groups, *survey.paths)
        if (match := group.fullmatch(found) or path.fullmatch(found))
        and generation_id not in match.groups()
    ]


def asks(settings: Settings) -> Request:
    """Return what to ask an app host, to plan its generation and what runs it."""
    name = settings.name
    return Request(
        paths=(
            paths.started(name, supervisor.UNIT),
            f"{paths.releases(name)}/*",
            f"/run/{name}/*",
            f"/srv/{name}/*",
            f"{paths.etc(name)}/*.env",
            f"/etc/supervisor/conf.d/{name}-*.conf",
            f"/etc/supervisor/conf.d/{name}-*.json",
            paths.boot(name),
            paths.record(name, "*"),
            f"{paths.left(name)}*",
        ),
        texts=(paths.serving(name), paths.release_commands(name)),
    )
