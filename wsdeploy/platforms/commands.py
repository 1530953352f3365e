"""The commands that bring a project to a platform, for whoever deploys to type."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from wsdeploy.platforms.files import app_name, domains, stop_seconds
from wsdeploy.settings import FromCommand, FromEnv, FromFile, Settings
from wsdeploy.settings.platforms import Dokku, Fly, Heroku, Koyeb, Platform, Render


def commands(settings: Settings, platform: Platform) -> list[str]:
    """Return the commands, in order; a value of a secret is in none of them."""
    own: Mapping[type[Platform], Callable[..., Iterator[str]]] = {
        Heroku: _heroku, Render: _render, Fly: _fly, Koyeb: _koyeb, Dokku: _dokku,
    }  # fmt: skip
    return [*own[type(platform)](settings, platform, app_name(settings, platform))]


def value(source: FromEnv | FromFile | FromCommand) -> str:
    """Return how a shell reads a secret, as a word of a command."""
    match source:
        case FromEnv():
            return f'"${{{source.name}}}"'
        case FromFile():
            return f'"$(cat {_file(source)})"'
    # What begins the command has read it.
    return '"$secret"'


def _file(source: FromFile) -> str:
    # In quotes, ~ would be a name.
    home, rest = ("~/", source.path[2:]) if source.path.startswith("~/") else ("", source.path)
    return f"{home}{shlex.quote(rest)}"


def _unless_empty(source: FromEnv | FromFile | FromCommand) -> str:
    """Return what begins a command that must not go on without the value of a secret.

    What fails in a pipe would only make the value empty.
    """
    match source:
        case FromEnv():
            return f': "${{{source.name}:?}}" && '
        case FromFile():
            return f"test -s {_file(source)} && "
    return f'secret="$({shlex.join(source.command)})" && test -n "$secret" && '


def _as_json(name: str, source: FromEnv | FromFile | FromCommand) -> str:
    """Return a command that prints a secret as JSON; the value is an argument of no program.

    printf is the shell's own.
    """
    code = (
        f'import json, sys; value = sys.stdin.read() or sys.exit("{name} is empty"); '
        f'print(json.dumps({{"{name}": value}}))'
    )
    return f"{_unless_empty(source)}printf %s {value(source)} | python3 -c {shlex.quote(code)}"


def _heroku(settings: Settings, platform: Heroku, app: str) -> Iterator[str]:
    yield f"heroku create {app}"
    if settings.app.secrets:
        # config:set takes values as arguments, which everybody on a machine can see.
        yield "heroku plugins:install @heroku-cli/plugin-api"
    for name, source in settings.app.secrets.items():
        # It prints all variables of the app, with their values.
        send = f"heroku api PATCH /apps/{app}/config-vars >/dev/null"
        yield f"{_as_json(name, source)} | {send}"
    for name in domains(settings):
        yield f"heroku domains:add {name} --app {app}"
    yield "git push heroku HEAD:main"
    yield f"heroku ps:scale web={platform.instances} --app {app}"


def _render(settings: Settings, platform: Render, app: str) -> Iterator[str]:
    yield "git push"
    yield "# in Render's dashboard: New, Blueprint, and this repository; later pushes deploy"
    for name in settings.app.secrets:
        yield f"# it asks for {name} then; later it stands under Environment"


def _fly(settings: Settings, platform: Fly, app: str) -> Iterator[str]:
    yield f"fly apps create {app}"
    for name, source in settings.app.secrets.items():
        # In three quotes, as a value may have several lines.
        words = f'printf \'{name}="""%s"""\\n\' {value(source)}'
        yield f"{_unless_empty(source)}{words} | fly secrets import --stage --app {app}"
    for name in domains(settings):
        yield f"fly certs add {name} --app {app}"
    yield "fly deploy"
    yield f"fly scale count {platform.instances} --app {app}"


def _koyeb(settings: Settings, platform: Koyeb, app: str) -> Iterator[str]:
    yield "git push"
    words: list[Any] = [f"koyeb services create {app} --app {app}"]
    words += [f"--git {platform.repository} --git-builder buildpack"]
    port, health = settings.app.port, settings.app.health
    words += [f"--ports {port}:http --routes /:{port} --env PORT={port}"]
    for name, source in settings.app.secrets.items():
        secret = f"{app}-{name.lower().replace('_', '-')}"
        begin = _unless_empty(source)
        yield f"{begin}printf %s {value(source)} | koyeb secrets create {secret} --value-from-stdin"
        words += [f"--env {shlex.quote(f'{name}={{{{secret.{secret}}}}}')}"]
    if health is not None:
        check = shlex.quote(f"{port}:http:{health}")
        words += [f"--checks {check} --checks-grace-period {port}={settings.app.start_timeout:g}"]
    words += [f"--scale {platform.instances}"]
    yield f"koyeb apps create {app}"
    yield " ".join(words)
    for name in domains(settings):
        yield f"koyeb domains create {name} --attach-to {app}"


def _dokku(settings: Settings, platform: Dokku, app: str) -> Iterator[str]:
    dokku, seconds = f"ssh dokku@{platform.host}", stop_seconds(settings, platform)
    yield f"{dokku} apps:create {app}"
    yield f"{dokku} domains:set {app} {' '.join(domains(settings))}"
    if settings.app.secrets:
        yield "# config:import came with Dokku 0.37"
    for name, source in settings.app.secrets.items():
        # It prints what it sets.
        send = f"{dokku} config:import --no-restart --format json {app} - >/dev/null"
        yield f"{_as_json(name, source)} | {send}"
    # SIGTERM comes at the switch, and again after the first of these; SIGKILL after the second.
    yield f"{dokku} checks:set {app} wait-to-retire {seconds}"
    yield f"{dokku} ps:set {app} stop-timeout-seconds {seconds}"
    silence = round(settings.app.ping_interval) + 15
    if silence > 60:
        yield f"{dokku} nginx:set {app} proxy-read-timeout {silence}s"
    yield f"git push dokku@{platform.host}:{app} HEAD:main"
