"""How an instance is started: its environment, and the command."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from wsdeploy.platforms.verdicts import drain_of
from wsdeploy.settings import Settings
from wsdeploy.settings.platforms import Platform

HOME = ".wsdeploy"
"""Folder of the project with what is not the project's own: this harness, and how to start."""
START = f"{HOME}/start"
RELEASE = f"{HOME}/release"
COMMAND = f"sh {START}"
"""What starts the app, whatever runs it: a shell, or something that takes words for themselves, as
Dokku's herokuish does. bash becomes what it runs last, so that SIGTERM reaches the app."""

BEFORE_RELEASE = f"sh {RELEASE}"
"""What runs App.before_release, in an instance of its own."""

WRITTEN = "Written by wsdeploy: change the inventory, not this file."


@dataclass(frozen=True)
class Code:
    """The app, as a project has it that a platform is given whole."""

    main: str
    """What Python runs if there is no command, relative to the project."""
    folder: str
    """The folder that it imports from, relative to the project."""
    requirements: str | None = None
    """Its locked dependencies; None if the project's own requirements.txt has them."""
    harness: Mapping[str, str] = field(default_factory=dict)
    """The modules of wsapp by their file names, if the app uses it."""
    other_locks: tuple[str, ...] = ()
    """Files in the project's folder that a builder might take for the lock, and are not it."""


def variables(settings: Settings, platform: Platform) -> dict[str, str]:
    """Return the environment of an instance, but for its port, its secrets and Python's path.

    What says the same as wsapp's own defaults is left out.
    """
    # With it comes the whole server: only who deploys to a platform waits for it.
    from wsapp.config import Config  # noqa: PLC0415

    app, edge = settings.app, settings.edge
    told = {
        "WS_SETTLE": f"{platform.settle:g}",
        "WS_DRAIN": f"{drain_of(app, platform):g}",
        "WS_CLOSE_CODE": str(app.close_code),
        "WS_COMPRESSION": app.compression,
        "WS_LOG_LEVEL": app.log_level,
        "WS_MAX_AGE": "off" if app.max_age is None else f"{app.max_age:.15g}",
        "WS_MAX_CONNECTIONS": str(settings.max_connections),
        "WS_MAX_SIZE": str(app.max_size),
        "WS_PING_INTERVAL": f"{app.ping_interval:g}",
        "WS_PING_TIMEOUT": "off" if app.ping_timeout is None else f"{app.ping_timeout:g}",
        "WS_ORIGINS": ",".join(edge.origins),
    }
    told = {
        name: value for name, value in told.items() if Config.from_env({name: value}) != Config()
    }
    if edge.origin_required:
        told["WS_ORIGIN_REQUIRED"] = "1"
    told |= app.broker_variables(settings.name)
    return {"PYTHONUNBUFFERED": "1", **told, **app.env}


def script(
    settings: Settings,
    code: Code,
    environment: Mapping[str, str],
    command: Sequence[str] | None = None,
) -> str:
    """Return the script that becomes the app, with an environment beside the platform's.

    command: what it becomes instead.
    """
    command = command or settings.app.command or ("python", code.main)
    exports = [f"export {name}={shlex.quote(value)}" for name, value in environment.items()]
    # A buildpack may find its packages by this.
    path = ":".join(dict.fromkeys((HOME, code.folder)))
    return "\n".join(
        (
            "#!/bin/sh",
            f"# {WRITTEN}",
            *exports,
            f'export PYTHONPATH="{_in_quotes(path)}${{PYTHONPATH:+:$PYTHONPATH}}"',
            f"exec {' '.join(_quoted(word, code) for word in command)}",
            "",
        )
    )


def _quoted(word: str, code: Code) -> str:
    """Quote a word of a command for a shell, with the variables in it as hosts replace them."""
    told = {"WS_PORT": "$PORT", "WS_HOST": "0.0.0.0", "WS_APP": _in_quotes(code.folder)}  # noqa: S104
    parts = re.split(r"(\$\w+|\$\{\w+\})", word)
    if len(parts) == 1:
        return shlex.quote(word)
    # Every other part is a variable.
    for index, part in enumerate(parts):
        name = part.strip("${}")
        parts[index] = told.get(name, part) if index % 2 else _in_quotes(part)
    return f'"{"".join(parts)}"'


def _in_quotes(text: str) -> str:
    """Return a text as it stands between double quotes in a shell."""
    return re.sub(r'([\\"`$])', r"\\\1", text)
