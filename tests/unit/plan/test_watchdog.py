"""The watchdog's files: whole, the same for every app, and what it is told in each generation."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.plan.conftest import MakeSettings, MakeSurvey
from wsdeploy.plan.app import generation, watchdog
from wsdeploy.plan.components import WATCHDOG
from wsdeploy.plan.host.survey import Survey
from wsdeploy.plan.target import Target
from wsdeploy.settings import Settings
from wshost.common.listen import Listen
from wshost.watchdog import config

RUNNING = {"ActiveState": "active", "UnitFileState": "enabled", "NeedDaemonReload": "no"}


def planned(settings: Settings, survey: Survey, host: str = "one") -> generation.Generation:
    return generation.planned(Target(settings, host, survey), "0" * 12, "app/app.py")


def test_its_modules_are_all_that_it_imports(make: MakeSettings, tmp_path: Path) -> None:
    for file in watchdog.files(make()).files:
        if file.path.endswith(".py"):
            copy = tmp_path / file.path.removeprefix("/usr/local/lib/ws-watchdog/")
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(file.content)
    done = subprocess.run(
        [sys.executable, "-S", "-m", "wshost.watchdog", "--check"],
        cwd=tmp_path,
        env={},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # And no more than that.
    made = tmp_path / "wshost"
    found = {str(path.relative_to(made)) for path in made.rglob("*.py")}
    assert found == {
        *("__init__.py", "requests.py"),
        *(f"common/{name}.py" for name in ("__init__", "journal", "listen", "proc")),
        *(f"common/{name}.py" for name in ("sockets", "supervisor")),
        *(f"rollout/{name}.py" for name in ("__init__", "description", "earlier")),
        *(f"watchdog/{name}.py" for name in ("__init__", "__main__", "config", "health_request")),
        "watchdog/monitor.py",
        *(f"watchdog/{name}.py" for name in ("pulse", "reuseport", "service")),
    }


def test_everything_belongs_to_root_and_can_be_read(make: MakeSettings) -> None:
    for file in watchdog.files(make()).files:
        assert (file.owner, file.group, file.mode) == ("root", "root", 0o644)


def test_it_stays_the_same_whatever_the_app_is(make: MakeSettings) -> None:
    one = watchdog.files(make())
    more = {"processes": 9, "hang_timeout": 60, "health": None, "listen": "tcp", "drain": 99}
    assert watchdog.files(make(more)).digest == one.digest
    assert watchdog.files(make(name="chat-2")).digest != one.digest


@pytest.mark.parametrize("listen", ["unix", "tcp", "shared"])
@pytest.mark.parametrize("health", ["/alive?a=%41", None])
def test_it_understands_what_it_is_told(
    make: MakeSettings, debian: MakeSurvey, tmp_path: Path, listen: str, health: str | None
) -> None:
    settings = make({"listen": listen, "health": health, "hang_timeout": 4.5, "drain": 100})
    found = planned(settings, debian())
    (tmp_path / "a.json").write_text(found.files[1].content)
    where = f"unix:/run/ws/{found.id}"
    if listen != "unix":
        where = f"{listen}:127.0.0.1:{settings.app.port}"
    liveness = config.read(tmp_path / "a.conf", f"ws-{found.id}")
    assert liveness == config.Liveness(
        listen=Listen.read(where),
        host="ws.a-company.com",
        path=health or "/",
        hang_timeout=4.5,
        start_timeout=30,
        stop_wait=118,
    )


def test_what_it_is_told_makes_no_new_generation(make: MakeSettings, debian: MakeSurvey) -> None:
    one = planned(make(), debian())
    for app_settings in ({"hang_timeout": 60}, {"hang_timeout": None}, {"start_timeout": 99}):
        other = planned(make(app_settings), debian())
        assert other.id == one.id
        assert other.files[0] == one.files[0]
        assert other.files[1] != one.files[1]


def test_without_a_watchdog_a_generation_is_not_watched(
    make: MakeSettings, debian: MakeSurvey
) -> None:
    found = planned(make({"hang_timeout": None}), debian())
    assert json.loads(found.files[1].content)["watch"] is None


def test_what_is_asked(make: MakeSettings) -> None:
    marker = "/var/lib/wsdeploy/sets/ws-watchdog.json"
    asked = WATCHDOG.request(Target.unknown(make(), "one"))
    assert {marker, "/etc/systemd/system/ws-watchdog.service"} <= set(asked.paths)
    assert asked.units == ("ws-watchdog.service",)
    off = Target.unknown(make({"hang_timeout": None}), "one")
    assert WATCHDOG.request(off).paths == (marker,)


def test_drift(make: MakeSettings) -> None:
    unit = "ws-watchdog.service"
    assert watchdog.drift(Target(make(), "one", Survey(units={unit: RUNNING}))) == []
    assert watchdog.drift(Target(make(), "one", Survey())) == [f"{unit} is not running"]
