"""The files of each platform, by what it documents of them."""

import json
import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.platforms.conftest import MADE, MakeProject, every_platform, made
from wsapp.config import Config
from wsdeploy.platforms import verdicts
from wsdeploy.platforms.commands import commands
from wsdeploy.settings import Acme, Edge, FromCommand, FromEnv, FromFile, Settings
from wsdeploy.settings.platforms import Dokku, Fly, Heroku, Koyeb, Platform, Render

SECRETS = {
    "DATABASE_URL": FromEnv("URL"),
    "KEY": FromFile("a key"),
    "TOKEN": FromCommand(["pass", "show", "a token"]),
}
AWKWARD = 'it\'s "$HOME" `x` \\ # ü\x85\u2028\u2029\x9b\n'


def blueprint(text: str) -> dict[str, Any]:
    """Read the one service of a Blueprint, with its variables by their names."""
    (service,) = yaml.safe_load(text)["services"]
    found: dict[str, Any] = service
    found["envVars"] = {each["key"]: each.get("value", False) for each in service["envVars"]}
    return found


def exported(script: str) -> dict[str, str]:
    return dict(re.findall(r"^export (WS_\w+)=(.+)$", script, re.MULTILINE))


def environment(where: Platform, wanted: dict[str, str]) -> dict[str, str]:
    """Return what an instance is told, but for the path of Python."""
    if isinstance(where, Fly):
        found: dict[str, str] = tomllib.loads(wanted["fly.toml"])["env"]
        return found
    if isinstance(where, Render):
        return {
            name: value
            for name, value in blueprint(wanted["render.yaml"])["envVars"].items()
            if value is not False
        }
    return exported(wanted[".wsdeploy/start"])


@every_platform
@pytest.mark.parametrize("drain", [0, 30, 3600])
def test_a_process_is_gone_before_its_platform_kills_it(
    project: MakeProject, where: Platform, drain: float
) -> None:
    wanted = dict(project(where, made({"drain": drain})).wanted)
    limit = Config.from_env(environment(where, wanted)).stop_limit
    allowed = float(verdicts.KILLED_AFTER[type(where)] or 0)
    if isinstance(where, Render):
        allowed = min(allowed, blueprint(wanted["render.yaml"])["maxShutdownDelaySeconds"])
    elif isinstance(where, Fly):
        allowed = min(allowed, tomllib.loads(wanted["fly.toml"])["kill_timeout"])
    elif isinstance(where, Dokku):
        allowed = float(re.findall(r"wait-to-retire (\d+)", said(made({"drain": drain})))[0])
    assert limit <= allowed


def said(settings: Settings, where: Platform = MADE[Dokku]) -> str:
    return "\n".join(commands(settings, where))


@every_platform
def test_settings_of_the_app_reach_it(project: MakeProject, where: Platform) -> None:
    app = {
        "drain": 1, "max_age": 3600, "close_code": 1001, "compression": "off", "log_level": "debug",
        "max_size": 1000, "ping_interval": 30, "ping_timeout": None,
    }  # fmt: skip
    edge = Edge(origins=["https://a.example", "https://*.b.example"], origin_required=True)
    wanted = dict(project(where, made(app, edge=edge, max_connections=77)).wanted)
    told = {name: value.strip("'") for name, value in environment(where, wanted).items()}
    found = Config.from_env(told)
    assert (found.settle, found.drain) == (where.settle, 1)
    assert (found.max_age, found.close_code, found.compression) == (3600, 1001, "off")
    assert (found.log_level, found.max_size, found.max_connections) == ("debug", 1000, 77)
    assert (found.ping_interval, found.ping_timeout) == (30, None)
    assert (found.origins[0], len(found.origins), found.origin_required) == (
        "https://a.example",
        2,
        True,
    )


@every_platform
def test_no_file_and_no_command_has_a_secret(
    project: MakeProject, where: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("URL", "hush-hush")
    settings = made({"secrets": {"DATABASE_URL": FromEnv("URL")}})
    wanted = project(where, settings).wanted
    assert "hush-hush" not in "".join(wanted.values()) + said(settings, where)
    assert "DATABASE_URL" in said(settings, where)


@every_platform
def test_secrets_need_not_be_there_to_name_them(
    project: MakeProject, where: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("URL", raising=False)
    project(where, made({"secrets": SECRETS}))


@pytest.mark.parametrize("where", [MADE[Heroku], MADE[Koyeb], MADE[Dokku], MADE[Fly]])
def test_a_procfile_starts_the_app(project: MakeProject, where: Platform) -> None:
    assert project(where).wanted["Procfile"] == "web: sh .wsdeploy/start\n"


RELEASE_COMMANDS = {
    Heroku: ("Procfile", "release: sh .wsdeploy/release\nweb: sh .wsdeploy/start\n"),
    Dokku: ("Procfile", "release: sh .wsdeploy/release\nweb: sh .wsdeploy/start\n"),
    Render: ("render.yaml", '    preDeployCommand: "sh .wsdeploy/release"\n'),
    Fly: (
        "fly.toml",
        '[deploy]\nrelease_command = "sh .wsdeploy/release"\nrelease_command_timeout = "60s"\n',
    ),
}


@pytest.mark.parametrize("kind", RELEASE_COMMANDS)
def test_a_command_before_the_release_is_the_platforms_own(
    project: MakeProject, kind: type[Platform]
) -> None:
    command = ["python", "-m", "chat.migrate", "$DATABASE"]
    app = {"before_release": command, "release_timeout": 60, "env": {"A": "b"}}
    wanted = project(MADE[kind], made(app)).wanted
    path, text = RELEASE_COMMANDS[kind]
    assert text in wanted[path]
    last = wanted[".wsdeploy/release"].splitlines()[-1]
    assert last == 'exec python -m chat.migrate "$DATABASE"'
    # All else is as for the app.
    assert (
        wanted[".wsdeploy/release"].splitlines()[:-1] == wanted[".wsdeploy/start"].splitlines()[:-1]
    )


@pytest.mark.parametrize("where", [MADE[Heroku], MADE[Koyeb], MADE[Dokku], MADE[Render]])
def test_pythons_version_is_in_the_file_that_builders_read(
    project: MakeProject, where: Platform
) -> None:
    assert project(where).wanted[".python-version"] == "3.13\n"


def test_the_manifest_of_heroku_has_what_its_schema_knows(project: MakeProject) -> None:
    """devcenter, app.json Schema; names of variables and secrets without values."""
    text = project(MADE[Heroku], made({"secrets": SECRETS})).wanted["app.json"]
    described = json.loads(text)
    known = {"name", "description", "keywords", "env", "formation", "addons", "buildpacks", "stack"}
    assert described.keys() <= known
    assert described["formation"] == {"web": {"quantity": 2}}
    assert described["env"].keys() == SECRETS.keys()
    for each in described["env"].values():
        assert each.keys() == {"description", "required"}
    assert described["buildpacks"] == [{"url": "heroku/python"}]
    assert re.match(r"[a-zA-Z-_.]", described["name"])
    assert 3 <= len(described["name"]) <= 30


def test_the_manifest_of_dokku_has_what_it_documents(project: MakeProject) -> None:
    """dokku.com, app.json: keys of healthchecks and formation."""
    described = json.loads(project(MADE[Dokku], made({"start_timeout": 61})).wanted["app.json"])
    assert described.keys() <= {"buildpacks", "cron", "env", "formation", "healthchecks", "scripts"}
    assert described["formation"] == {"web": {"quantity": 2}}
    [check] = described["healthchecks"]["web"]
    assert check == {
        "type": "startup", "name": "health", "path": "/healthz", "attempts": 13, "wait": 5,
    }  # fmt: skip
    without = json.loads(project(MADE[Dokku], made({"health": None})).wanted["app.json"])
    assert "healthchecks" not in without


def test_the_blueprint_of_render_has_what_its_reference_knows(project: MakeProject) -> None:
    """render.com/docs/blueprint-spec: a web service on a native runtime."""
    settings = made({"secrets": SECRETS, "env": {"NO": AWKWARD}, "drain": 100})
    text = project(MADE[Render], settings).wanted["render.yaml"]
    service = blueprint(text)
    variables, domains = service.pop("envVars"), service.pop("domains")
    assert service == {
        "type": "web",
        "name": "chat",
        "runtime": "python",
        "plan": "starter",
        "region": "frankfurt",
        "numInstances": 2,
        "buildCommand": "pip install -r requirements.txt",
        "startCommand": "exec sh .wsdeploy/start",
        "healthCheckPath": "/healthz",
        "maxShutdownDelaySeconds": 113,
    }
    assert domains == ["ws.a-company.com"]
    assert variables["NO"] == AWKWARD
    assert [name for name, value in variables.items() if value is False] == [*SECRETS]
    assert text.count("sync: false") == len(SECRETS)
    assert all(isinstance(value, str) for value in variables.values() if value is not False)


@pytest.mark.parametrize(("drain", "told"), [(0, 14), (287, 300), (600, 300)])
def test_the_seconds_that_render_is_told_are_within_its_limits(
    project: MakeProject, drain: float, told: int
) -> None:
    """From 1 to 300, by the schema of Render's API."""
    text = project(MADE[Render], made({"drain": drain})).wanted["render.yaml"]
    assert blueprint(text)["maxShutdownDelaySeconds"] == told


def test_the_configuration_of_fly_has_what_its_reference_knows(project: MakeProject) -> None:
    """fly.io/docs/reference/configuration."""
    settings = made({"env": {"NAME": AWKWARD + "\x7f"}, "port": 8080, "ping_timeout": None})
    described = tomllib.loads(project(MADE[Fly], settings).wanted["fly.toml"])
    assert described.pop("env") == {
        "PORT": "8080", "NAME": AWKWARD + "\x7f", "PYTHONUNBUFFERED": "1", "WS_SETTLE": "5",
        "WS_MAX_CONNECTIONS": "10000", "WS_PING_TIMEOUT": "off",
    }  # fmt: skip
    assert described == {
        "app": "chat",
        "primary_region": "ams",
        "kill_signal": "SIGTERM",
        "kill_timeout": 48,
        "build": {
            "builder": "paketobuildpacks/builder-jammy-base",
            "args": {"BP_CPYTHON_VERSION": "3.13.*"},
        },
        "http_service": {
            "internal_port": 8080,
            "force_https": True,
            "auto_stop_machines": "off",
            "auto_start_machines": False,
            "concurrency": {"type": "connections", "soft_limit": 8000, "hard_limit": 10000},
            "http_options": {"idle_timeout": 75},
            "checks": [
                {
                    "method": "GET",
                    "path": "/healthz",
                    "grace_period": "30s",
                    "interval": "10s",
                    "timeout": "2s",
                }
            ],
        },
    }
    without = tomllib.loads(project(MADE[Fly], made({"health": None})).wanted["fly.toml"])
    assert "checks" not in without["http_service"]


@pytest.mark.parametrize(("told", "held"), [("500", 500), ("0", 10_000), ("many", 10_000)])
def test_fly_is_told_how_many_connections_the_app_takes(
    project: MakeProject, told: str, held: int
) -> None:
    text = project(MADE[Fly], made({"env": {"WS_MAX_CONNECTIONS": told}})).wanted["fly.toml"]
    assert tomllib.loads(text)["http_service"]["concurrency"]["hard_limit"] == held


def test_the_commands_of_each_platform() -> None:
    settings = made({"secrets": SECRETS, "drain": 10})
    key = "\"$(cat 'a key')\""
    told = [each for each in commands(settings, MADE[Heroku]) if "printf" not in each]
    assert told == [
        "heroku create chat",
        "heroku plugins:install @heroku-cli/plugin-api",
        "heroku domains:add ws.a-company.com --app chat",
        "git push heroku HEAD:main",
        "heroku ps:scale web=2 --app chat",
    ]
    fly = commands(settings, MADE[Fly])
    send = "| fly secrets import --stage --app chat"
    assert f'test -s \'a key\' && printf \'KEY="""%s"""\\n\' {key} {send}' in fly
    home = commands(made({"secrets": {"KEY": FromFile("~/a key")}}), MADE[Heroku])
    assert any(
        each.startswith("test -s ~/'a key' && printf %s \"$(cat ~/'a key')\" | ") for each in home
    )
    assert commands(made({"drain": 100, "ping_interval": 60}), MADE[Dokku]) == [
        "ssh dokku@dokku.a-company.com apps:create chat",
        "ssh dokku@dokku.a-company.com domains:set chat ws.a-company.com",
        "ssh dokku@dokku.a-company.com checks:set chat wait-to-retire 115",
        "ssh dokku@dokku.a-company.com ps:set chat stop-timeout-seconds 115",
        "ssh dokku@dokku.a-company.com nginx:set chat proxy-read-timeout 75s",
        "git push dokku@dokku.a-company.com:chat HEAD:main",
    ]
    create = next(each for each in commands(settings, MADE[Koyeb]) if "services create" in each)
    assert "--env 'DATABASE_URL={{secret.chat-database-url}}'" in create
    assert "--checks 8000:http:/healthz --checks-grace-period 8000=30" in create


SETS_SECRETS = pytest.mark.parametrize(
    "where", [MADE[each] for each in (Heroku, Fly, Koyeb, Dokku)], ids=lambda each: each.title
)


def typed(
    where: Platform,
    here: Path,
    variables: dict[str, str],
    source: FromEnv | FromCommand = FromEnv("SECRET"),  # noqa: B008 - it never changes
) -> tuple[str, str, str]:
    """Type the commands for secrets; return the tools' arguments, input and what was printed."""
    for name in ("heroku", "fly", "koyeb", "ssh"):
        tool = here / name
        tool.write_text(
            f'#!/bin/sh\necho "$@" >>{here}/arguments\ncat >>{here}/input\ncat {here}/input\n'
        )
        tool.chmod(0o755)
    environment = {"PATH": f"{here}:{os.environ['PATH']}", **variables}
    lines = commands(made({"secrets": {"TOKEN": source}}), where)
    said = ""
    for line in lines:
        if "printf" in line:
            command = ["sh", "-c", line]
            said += subprocess.run(
                command, env=environment, capture_output=True, text=True, check=False
            ).stdout
    found = [here / "arguments", here / "input"]
    arguments, given = (each.read_text() if each.exists() else "" for each in found)
    return arguments, given, said


@SETS_SECRETS
def test_a_secret_is_an_argument_of_no_program(where: Platform, tmp_path: Path) -> None:
    arguments, given, said = typed(where, tmp_path, {"SECRET": AWKWARD})
    assert arguments
    assert "it's" not in arguments
    if isinstance(where, Heroku | Dokku):
        assert json.loads(given) == {"TOKEN": AWKWARD}
        assert said == "", "they would show it"
    else:
        assert AWKWARD in given


@SETS_SECRETS
def test_a_secret_that_is_not_there_is_not_set(where: Platform, tmp_path: Path) -> None:
    assert typed(where, tmp_path, {}) == ("", "", "")
    for command in (["false"], ["true"]):
        assert typed(where, tmp_path, {}, FromCommand(command)) == ("", "", "")


@SETS_SECRETS
def test_a_secret_that_a_command_prints_is_set(where: Platform, tmp_path: Path) -> None:
    source = FromCommand(["printf", "%s", AWKWARD])
    arguments, given, _ = typed(where, tmp_path, {}, source)
    assert arguments
    assert "it's" not in arguments
    assert "it's" in given


@every_platform
def test_all_names_of_the_service_lead_to_the_app(project: MakeProject, where: Platform) -> None:
    settings = made(tls=Acme("ops@a-company.com", names=["www.a-company.com"]))
    wanted = project(where, settings).wanted
    told = wanted.get("render.yaml", "") + said(settings, where)
    assert "ws.a-company.com" in told
    assert "www.a-company.com" in told


def test_a_name_of_its_own_is_used_everywhere(project: MakeProject) -> None:
    where = Fly(app="chat-of-a-company")
    assert 'app = "chat-of-a-company"' in project(where).wanted["fly.toml"]
    assert "fly apps create chat-of-a-company" in commands(made(), where)
