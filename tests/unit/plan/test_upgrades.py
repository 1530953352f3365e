"""What packages are told that ask whether they may restart something."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.plan.conftest import MakeSettings
from wsdeploy.plan.host import upgrades
from wsdeploy.plan.host.files import FileSet
from wsdeploy.plan.host.survey import PathState, Survey
from wsdeploy.plan.target import Target


@pytest.fixture
def policy(make: MakeSettings, tmp_path: Path) -> Callable[..., int]:
    """Return a function that asks the policy, and gives its exit code."""
    (file,) = upgrades.policy(Target(make(), "one", Survey())).files
    script = tmp_path / "policy-rc.d"
    script.write_text(file.content)
    script.chmod(file.mode)
    return lambda *words: subprocess.run([script, *words], check=False).returncode


@pytest.mark.parametrize("unit", ["supervisor", "nginx", "haproxy", "keepalived"])
def test_what_holds_connections_is_not_restarted(policy: Callable[..., int], unit: str) -> None:
    # As invoke-rc.d and deb-systemd-invoke ask.
    assert policy("--quiet", unit, "restart", "2") == 101
    assert policy(f"{unit}.service", "restart") == 101
    assert policy(unit, "reload restart") == policy(unit, "try-restart") == 101
    for action in ("start", "stop", "reload", "upgrade", "status", "rotate", ""):
        assert policy(unit, action) == 104, action


@pytest.mark.parametrize("unit", ["ssh", "nginx-debug", "cron.service", "my-supervisor"])
def test_all_else_goes_on(policy: Callable[..., int], unit: str) -> None:
    assert policy(unit, "restart") == 104


def test_somebody_elses_policy_stays(make: MakeSettings) -> None:
    settings = make()
    ours = upgrades.policy(Target(settings, "one", Survey()))

    def there(sha: str, marker: str | None = None) -> FileSet:
        paths = {upgrades.POLICY: PathState("file", 0o755, "root", "root", sha)}
        if marker:
            paths[ours.marker.path] = PathState("file", 0o644, "root", "root", marker)
        return upgrades.policy(Target(settings, "one", Survey(paths=paths)))

    assert there("0" * 64).files == ()
    (note,) = there("0" * 64).notes
    assert "is not wsdeploy's and stays" in note
    # One of an earlier version of ours is replaced.
    assert there("0" * 64, marker="1" * 64).files == ours.files


def test_security_updates_are_asked_for(make: MakeSettings) -> None:
    without, wanted = make(), make(security_updates=True)
    assert upgrades.packages(without) == ()
    assert upgrades.packages(wanted) == ("unattended-upgrades",)
    paths = [[f.path for f in upgrades.files(s).files] for s in (without, wanted)]
    assert paths == [[upgrades.NEEDRESTART], [upgrades.NEEDRESTART, upgrades.UNATTENDED]]
    # What is to go when the setting does is in the set's own marker.
    assert upgrades.UNATTENDED in upgrades.files(wanted).marker.content
