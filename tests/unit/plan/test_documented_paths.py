"""docs/reference/paths.md names every file that a deployment makes, and no others."""

import re
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.unit.plan.conftest import MakeSettings, MakeSurvey
from tests.unit.plan.test_rendering import PROXIES, SETTINGS, everything
from wsdeploy.plan.components import COMPONENTS
from wsdeploy.plan.host import paths
from wsdeploy.plan.target import Target

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "paths.md").read_text()

FIRST_CELLS = "\n".join(re.findall(r"^\| (.+?) \|", PAGE, re.MULTILINE))
PATHS = sorted(set(re.findall(r"`(/[^`]+?)/?`", FIRST_CELLS)))

NOT_PLANNED = {
    "/run/wsdeploy/certificates",
    "/run/wsdeploy/programs",
    "/srv/ws/current",
    "/srv/ws/previous",
    "/var/lib/wsdeploy",
    "/var/lib/wsdeploy/before",
    "/var/lib/wsdeploy/services/ws/lock.json",
    "/var/log/nginx/ws.log",
    "/var/log/ws/GENERATION/ws_00.log",
    "/var/log/ws/deploys.log",
    paths.bundle("ws"),
    paths.data("ws"),
    paths.host_keypair("ws"),
    paths.host_keypair("ws", spare=True),
    paths.hold_file("ws"),
    paths.leaving_mark("ws"),
    paths.left("ws").rstrip("/"),
    paths.unit("ws-join.service"),
    paths.record("ws", "GENERATION"),
    paths.release_commands("ws"),
    paths.serving("ws"),
    paths.sockets("ws", "GENERATION"),
    paths.sockets("ws", "current"),
    f"{paths.releases('ws')}/ID",
}
"""What programs on a host make, or user data, rather than a plan."""


def covers(documented: str, path: str) -> bool:
    pattern = re.sub(r"GENERATION|\bID\b", "*", documented)
    return fnmatch(path, pattern) or fnmatch(path, f"{pattern}/*")


@pytest.fixture
def made(
    make: MakeSettings, debian: MakeSurvey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> set[str]:
    """Return the paths of all files of all kinds of deployments."""
    monkeypatch.chdir(tmp_path)
    for file in ("c.pem", "k.pem"):
        Path(file).write_text("")
    cases = [*SETTINGS.values(), {"groups": "tiers", "app": {"processes": "auto"}}]
    found: set[str] = set()
    for changes in cases:
        for proxy in PROXIES.values():
            settings = make(**changes | {"proxy": proxy(), "name": "ws"})
            found |= set(everything(settings, debian()))
            for host in {*settings.topology.app, *settings.topology.proxy}:
                target = Target(settings, host, debian())
                for part in COMPONENTS:
                    if part.on(target) and part.wanted(target):
                        found |= {file.path for file in part.files(target).files}
    return found


def test_every_file_of_a_deployment_is_documented(made: set[str]) -> None:
    assert {path for path in made if not any(covers(each, path) for each in PATHS)} == set()


def test_every_documented_path_is_one_of_a_deployment(made: set[str]) -> None:
    planned = {each for each in PATHS if any(covers(each, path) for path in made)}
    assert {*PATHS} - planned == NOT_PLANNED
