"""A folder of checks: a conftest.py of one line, and checks of one's own beside it."""

import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from wsdeploy import App, SelfSigned, Settings
from wsdeploy.checks import harness, plugin

REPOSITORY = Path(__file__).parents[2]

INVENTORY = """
from wsdeploy import *
settings = Settings("ws.a-company.com", App("app.py"), SelfSigned())
app, proxy = hosts(settings, app=["a1.a-company.com", "a2.a-company.com"])
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    hosts = folder / "tests" / "hosts"
    hosts.mkdir(parents=True)
    (folder / "app.py").write_text("")
    (folder / "prod.py").write_text(INVENTORY)
    (hosts / "conftest.py").write_text("from wsdeploy.checks.plugin import *\n")
    (hosts / "test_own.py").write_text("def test_own(app_host):\n    pass\n")
    (folder / "tests" / "test_app.py").write_text("def test_app():\n    pass\n")
    return folder


def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Return how pytest ends that only collects."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:xdist", *options],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_projects_folder_has_our_checks_and_its_own(project: Path) -> None:
    done = run(project, "tests/hosts", "--inventory", "prod.py")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    found = {line.partition("::")[0] for line in lines if "::" in line}
    assert found == {f"tests/hosts/{path.name}" for path in plugin.CHECKS} | {
        "tests/hosts/test_own.py"
    }
    for host in ("a1.a-company.com", "a2.a-company.com"):
        assert f"tests/hosts/test_app.py::test_release_belongs_to_root[{host}]" in lines
        assert f"tests/hosts/test_own.py::test_own[{host}]" in lines


def test_our_own_folder_is_collected_from_one_of_xdists_processes_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "prod.py").write_text(INVENTORY.replace("app.py", "files/app.py"))
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", "2")
    done = run(REPOSITORY, "tests/hosts", "--inventory", str(tmp_path / "prod.py"))
    assert done.returncode == 0, done.stdout + done.stderr


def test_without_a_fleet_nothing_is_checked() -> None:
    session: Any = SimpleNamespace(config=SimpleNamespace(stash=pytest.Stash()))
    with pytest.raises(pytest.exit.Exception, match="say which fleet to check: --inventory") as end:
        plugin.pytest_sessionstart(session)
    assert end.value.returncode == pytest.ExitCode.USAGE_ERROR


def test_the_folder_is_not_in_the_way_of_other_tests(project: Path) -> None:
    done = run(project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "::test_app" in done.stdout
    assert "tests/hosts" not in done.stdout


@pytest.mark.parametrize(
    ("code", "command", "uses"),
    [
        ("import asyncio\nfrom websockets.asyncio.server import serve\n", None, False),
        ("# with wsapp it would be shorter\n", None, False),
        ("    from wsapp import run\n", None, True),
        ("import wsapp.server\n", None, True),
        ("", ["python", "-m", "wsapp"], True),
    ],
)
def test_whether_an_app_is_one_with_wsapp(
    tmp_path: Path, code: str, command: list[str] | None, uses: bool
) -> None:
    (tmp_path / "lib/wsapp").mkdir(parents=True)
    (tmp_path / "lib/wsapp/__init__.py").write_text("from wsapp.server import run\n")
    (tmp_path / "app.py").write_text(code)

    def on_host(command: str, name: str) -> Any:
        words = shlex.split(command % name)
        here = [str(tmp_path) if word == "/srv/ws/current/" else word for word in words]
        return SimpleNamespace(rc=subprocess.run(here, check=False).returncode)

    settings = Settings("ws.a-company.com", App("app.py", command=command), SelfSigned())
    host: Any = SimpleNamespace(run=on_host)
    assert harness.uses_wsapp(host, settings) is uses
