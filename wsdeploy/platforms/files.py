"""The files of a project that tell a platform what to run, from the settings."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from wsdeploy.plan.host.limits import idle_timeout
from wsdeploy.plan.proxy import tls
from wsdeploy.platforms import start
from wsdeploy.platforms.start import (
    BEFORE_RELEASE,
    COMMAND,
    HOME,
    RELEASE,
    START,
    WRITTEN,
    Code,
)
from wsdeploy.platforms.verdicts import REST, drain_of
from wsdeploy.settings import Settings
from wsdeploy.settings.names import is_address
from wsdeploy.settings.platforms import Dokku, Fly, Heroku, Koyeb, Platform, Render

BUILDER = "paketobuildpacks/builder-jammy-base"
"""What builds on Fly, by requirements.txt and Procfile."""
REQUIREMENTS_HEAD = f"# {WRITTEN}\n"
"""How a requirements.txt begins that is a copy of the app's own, or stands for none."""
SLUGIGNORE = ".slugignore"
"""What Heroku takes out before it builds: its buildpack ends where it finds two locks."""
CHECK_EVERY = 5
"""Seconds between two tries of Dokku's check of a new container, its default."""


NOT_AS_IT_STANDS = re.compile("[\x7f-\x9f\u2028\u2029\ufffe\uffff]")
"""Of JSON's strings, what YAML or TOML does not take as it stands: some end a line for YAML."""


def app_name(settings: Settings, platform: Platform) -> str:
    """Return what the app is called on a platform."""
    return platform.app or settings.name


def domains(settings: Settings) -> list[str]:
    """Return the host names that lead to the app: the domain, and those of its certificate."""
    return [name for name in tls.names(settings) if not is_address(name)]


def stop_seconds(settings: Settings, platform: Platform) -> int:
    """Return the seconds from SIGTERM by which an instance has certainly ended by itself."""
    drain = max(drain_of(settings.app, platform), 1)
    return math.ceil(platform.settle + drain + REST)


def planned(settings: Settings, platform: Platform, code: Code) -> dict[str, str]:
    """Return the files of the project that a platform needs, by their paths."""
    environment = start.variables(settings, platform)
    own: Mapping[type[Platform], Callable[..., Iterator[tuple[str, str]]]] = {
        Heroku: _heroku, Render: _render, Fly: _fly, Koyeb: _koyeb, Dokku: _dokku,
    }  # fmt: skip
    found = dict(own[type(platform)](platform, settings, environment))
    # Their own files are the better place, where they have one.
    exported = {} if isinstance(platform, Render | Fly) else environment
    if code.other_locks and isinstance(platform, Heroku):
        found[SLUGIGNORE] = "\n".join((f"# {WRITTEN}", *code.other_locks, ""))
    found[START] = start.script(settings, code, exported)
    if before := settings.app.before_release:
        found[RELEASE] = start.script(settings, code, exported, before)
    if code.requirements is not None:
        found["requirements.txt"] = f"{REQUIREMENTS_HEAD}{code.requirements}"
    for name, text in code.harness.items():
        found[f"{HOME}/wsapp/{name}"] = text
    return found


def _procfile(settings: Settings, *, release: bool = False) -> tuple[str, str]:
    """Return the list of processes. release: whether the platform looks for that one in it."""
    before = f"release: {BEFORE_RELEASE}\n" if release and settings.app.before_release else ""
    return "Procfile", f"{before}web: {COMMAND}\n"


def _python_version(platform: Platform) -> tuple[str, str]:
    return ".python-version", f"{platform.python}\n"


def _heroku(
    platform: Heroku, settings: Settings, environment: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    yield _procfile(settings, release=True)
    yield _python_version(platform)
    described = {
        "name": app_name(settings, platform),
        "buildpacks": [{"url": "heroku/python"}],
        "env": _required(settings),
        "formation": {"web": {"quantity": platform.instances}},
    }
    yield "app.json", _json(described)


def _koyeb(
    platform: Koyeb, settings: Settings, environment: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    yield _procfile(settings)
    yield _python_version(platform)


def _dokku(
    platform: Dokku, settings: Settings, environment: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    yield _procfile(settings, release=True)
    yield _python_version(platform)
    app = settings.app
    described: dict[str, Any] = {
        "env": _required(settings),
        "formation": {"web": {"quantity": platform.instances}},
    }
    if app.health is not None:
        check = {
            "type": "startup",
            "name": "health",
            "path": app.health,
            "attempts": math.ceil(app.start_timeout / CHECK_EVERY),
            "wait": CHECK_EVERY,
        }
        described["healthchecks"] = {"web": [check]}
    yield "app.json", _json(described)


def _required(settings: Settings) -> dict[str, Any]:
    """Return the names of secrets as app.json has them, without values."""
    words = "a secret of the app; its value is set by a command"
    return {name: {"description": words, "required": True} for name in settings.app.secrets}


def _json(described: Mapping[str, Any]) -> str:
    given = {name: value for name, value in described.items() if value}
    return json.dumps(given, indent=2, ensure_ascii=False) + "\n"


def _render(
    platform: Render, settings: Settings, environment: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    yield _python_version(platform)
    service = {
        "name": app_name(settings, platform),
        "runtime": "python",
        "plan": platform.plan,
        "region": platform.region,
        "numInstances": platform.instances,
        "buildCommand": "pip install -r requirements.txt",
        "preDeployCommand": BEFORE_RELEASE if settings.app.before_release else None,
        # A shell runs it, and not every shell would pass SIGTERM on.
        "startCommand": f"exec {COMMAND}",
        "healthCheckPath": settings.app.health,
        "maxShutdownDelaySeconds": stop_seconds(settings, platform),
    }
    lines = [f"# {WRITTEN}", "services:", "  - type: web"]
    lines += [f"    {key}: {_scalar(it)}" for key, it in service.items() if it is not None]
    lines += ["    domains:", *(f"      - {_scalar(name)}" for name in domains(settings))]
    lines += ["    envVars:"]
    for name, value in environment.items():
        lines += [f"      - key: {_scalar(name)}", f"        value: {_scalar(value)}"]
    for name in settings.app.secrets:
        lines += [f"      - key: {_scalar(name)}", "        sync: false"]
    yield "render.yaml", "\n".join((*lines, ""))


def _fly(
    platform: Fly, settings: Settings, environment: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    yield _procfile(settings)
    app = settings.app
    clients = _clients(settings, environment)
    tables: list[tuple[str, Mapping[str, object]]] = [
        ("[build]", {"builder": BUILDER}),
        ("[build.args]", {"BP_CPYTHON_VERSION": f"{platform.python}.*"}),
        ("[env]", {"PORT": str(app.port), **environment}),
        (
            "[http_service]",
            {
                "internal_port": app.port,
                "force_https": True,
                "auto_stop_machines": "off",
                "auto_start_machines": False,
            },
        ),
        (
            "[http_service.concurrency]",
            {"type": "connections", "soft_limit": clients * 4 // 5, "hard_limit": clients},
        ),
        ("[http_service.http_options]", {"idle_timeout": idle_timeout(app)}),
    ]
    if app.health is not None:
        check = {
            "method": "GET",
            "path": app.health,
            "grace_period": f"{math.ceil(app.start_timeout)}s",
            "interval": "10s",
            "timeout": "2s",
        }
        tables.append(("[[http_service.checks]]", check))
    top = {
        "app": app_name(settings, platform),
        "primary_region": platform.region,
        "kill_signal": "SIGTERM",
        "kill_timeout": stop_seconds(settings, platform),
    }
    if app.before_release:
        wait = f"{math.ceil(app.release_timeout)}s"
        deploy = {"release_command": BEFORE_RELEASE, "release_command_timeout": wait}
        tables.insert(0, ("[deploy]", deploy))
    lines = [f"# {WRITTEN}", *_pairs(top)]
    for head, values in tables:
        lines += ["", head, *_pairs(values)]
    yield "fly.toml", "\n".join((*lines, ""))


def _clients(settings: Settings, environment: Mapping[str, str]) -> int:
    """Return how many connections an instance holds."""
    told = environment.get("WS_MAX_CONNECTIONS", "")
    return int(told) if told.isdecimal() and int(told) else settings.max_connections


def _pairs(values: Mapping[str, object]) -> list[str]:
    return [f"{key} = {_scalar(value)}" for key, value in values.items() if value is not None]


def _scalar(value: object) -> str:
    """Spell a text, a number or a truth value so that YAML and TOML read it as what it is."""
    text = json.dumps(value, ensure_ascii=False)
    return NOT_AS_IT_STANDS.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
