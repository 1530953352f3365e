"""A folder of checks: a conftest.py of one line, and checks of one's own beside it."""

import re
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

# Neither has to do with these tests, and each takes a tenth of the start of pytest.
WITHOUT = ("-p", "no:xdist", "-p", "no:typeguard")

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


def run(folder: Path, *options: str, only_collect: bool = True) -> subprocess.CompletedProcess[str]:
    """Return how pytest ends."""
    collect = ["--collect-only"] if only_collect else []
    return subprocess.run(
        [sys.executable, "-m", "pytest", *collect, "-q", *WITHOUT, *options],
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


@pytest.mark.parametrize("name", ["nope.py", "nope"])
def test_an_inventory_that_is_not_there(project: Path, name: str) -> None:
    done = run(project, "tests/hosts", "--inventory", name)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert f"{name}: no such file in {project}; no host was contacted" in done.stdout + done.stderr


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


DISRUPTIVE = """
import pytest

@pytest.mark.disruptive
def test_disruption():
    pass
"""


@pytest.fixture
def two_folders(tmp_path: Path) -> Path:
    """A project with two folders of checks, and disruptive tests there and elsewhere."""
    (tmp_path / "app.py").write_text("")
    (tmp_path / "prod.py").write_text(INVENTORY)
    (tmp_path / "pyproject.toml").write_text(
        '[tool.pytest.ini_options]\naddopts = "--import-mode=importlib"\n'
    )
    for name in ("hosts", "more", "unit"):
        folder = tmp_path / "tests" / name
        folder.mkdir(parents=True)
        (folder / f"test_{name}.py").write_text(DISRUPTIVE)
        if name != "unit":
            (folder / "conftest.py").write_text("from wsdeploy.checks.plugin import *\n")
    return tmp_path


def test_disruptive_tests_of_other_folders_are_not_skipped(two_folders: Path) -> None:
    words = ("tests/hosts/test_hosts.py", "tests/unit", "--inventory", "prod.py")
    done = run(two_folders, *words, "-vv", only_collect=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "tests/hosts/test_hosts.py::test_disruption SKIPPED" in done.stdout
    assert "tests/unit/test_unit.py::test_disruption PASSED" in done.stdout
    asked_for = run(two_folders, *words, "--disruptive", only_collect=False)
    assert "2 passed" in asked_for.stdout, asked_for.stdout + asked_for.stderr


def test_our_disruptive_checks_are_skipped(two_folders: Path) -> None:
    words = ("tests/hosts", "--inventory", "prod.py", "-m", "disruptive", "-vv")
    done = run(two_folders, *words, only_collect=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^tests/hosts/(?!test_hosts).* SKIPPED", done.stdout, re.MULTILINE)
    assert "PASSED" not in done.stdout


def test_a_project_may_have_two_folders_of_checks(two_folders: Path) -> None:
    done = run(two_folders, "tests/hosts", "tests/more", "--inventory", "prod.py")
    assert done.returncode == 0, done.stdout + done.stderr
    found = [line.partition("::")[0] for line in done.stdout.splitlines() if "::" in line]
    assert {"tests/hosts/test_hosts.py", "tests/more/test_more.py"} < {*found}
    assert f"tests/hosts/{plugin.CHECKS[0].name}" in found
    assert f"tests/more/{plugin.CHECKS[0].name}" not in found, "a fleet is checked once"


OLD_TLS = """
import socket
import ssl
from types import SimpleNamespace

import pytest

from wsdeploy.checks.test_proxy import test_old_tls_is_refused

@pytest.fixture
def settings():
    return SimpleNamespace(domain="ws.a-company.com")

@pytest.fixture
def tls():
    return ssl.create_default_context()

@pytest.fixture
def dial():
    ours, theirs = socket.socketpair()
    theirs.sendall(b"this is no TLS")
    yield lambda port: ours
    theirs.close()
"""


def test_the_check_of_old_tls_does_not_warn_of_it(tmp_path: Path) -> None:
    (tmp_path / "test_old.py").write_text(OLD_TLS)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *WITHOUT, "-W", "error::DeprecationWarning"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 passed" in done.stdout, done.stdout + done.stderr
