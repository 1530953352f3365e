"""Commands of a release: when they are the same, and what Supervisor is told of them."""

import configparser
import json
from typing import Any

import pytest

from tests.unit.plan.conftest import MakeSettings, MakeSurvey
from wsdeploy.plan.app import generation, release_commands
from wsdeploy.plan.host import paths
from wsdeploy.plan.host.survey import Survey
from wsdeploy.plan.target import Target

RELEASE = "0123456789ab"
MIGRATE = {"before_release": ["python", "-m", "chat.migrate", "100%"]}


def key(make: MakeSettings, release: str = RELEASE, **changes: Any) -> str:
    return release_commands.key(make({**MIGRATE, **changes}), "before_release", release)


def test_another_release_environment_or_command_is_another_key(make: MakeSettings) -> None:
    others = [
        key(make, release="f" * 12),
        key(make, env={"DATABASE_URL": "postgresql:///other"}),
        key(make, before_release=["python", "-m", "chat.other"]),
        release_commands.key(make({**MIGRATE}), "after_release", RELEASE),
    ]
    assert len({key(make), *others}) == 5


def test_other_settings_are_not(make: MakeSettings) -> None:
    assert key(make) == key(make, drain=5) == key(make, processes=7)


@pytest.mark.parametrize("text", ["", "{", "{}", "7", "[" * 100_000])
def test_a_spoilt_note_is_none(text: str) -> None:
    survey = Survey(texts={paths.release_commands("ws"): text})
    assert release_commands.done("ws", survey) == frozenset()


def test_a_note_is_read() -> None:
    survey = Survey(texts={paths.release_commands("ws"): json.dumps(["a", 7, "b"])})
    assert release_commands.done("ws", survey) == {"a", "b"}


def test_it_is_one_process_that_ends(make: MakeSettings, debian: MakeSurvey) -> None:
    target = Target(make({**MIGRATE, "env": {"A": "b"}}), "one", debian())
    wanted = generation.planned(target, RELEASE, "app/app.py")
    request = release_commands.request(
        target, wanted, "before_release", "c" * 12, by="anna", commit=None
    )
    conf = configparser.RawConfigParser()
    conf.read_string(request["program"])
    program = conf["program:ws-@GENERATION@"]
    folder = f"/srv/ws/releases/{RELEASE}"
    assert program["command"] == (
        f"/usr/bin/python3 -I {folder}/launch.py /etc/supervisor/conf.d/ws-@GENERATION@.json "
        "python -m chat.migrate 100%%"
    )
    assert program["directory"] == f"{folder}/app"
    assert (program["user"], program["autostart"], program["autorestart"]) == (
        "ws", "false", "false",
    )  # fmt: skip
    assert request["environment"] == wanted.environment
    assert request["description"]["processes"] == 1
    assert request["description"]["watch"] is None
