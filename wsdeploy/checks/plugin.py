"""What pytest needs for the checks: options, hosts, and the checks themselves.

`from wsdeploy.checks.plugin import *` in a `conftest.py` makes its folder one of checks.
"""

from __future__ import annotations

import re
import socket
import ssl
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pluggy
import pytest
import testinfra

from wsdeploy import command_line
from wsdeploy.inventory import Fleet, Host, load
from wsdeploy.plan.app import process_counts
from wsdeploy.plan.host import paths
from wsdeploy.plan.host.survey import Survey
from wsdeploy.plan.target import Target
from wsdeploy.settings import SelfSigned, Settings, SettingsError

CHECKS = tuple(sorted(Path(__file__).parent.glob("test_*.py")))

_fleets = pytest.StashKey[Fleet]()
_collected = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the checks, unless another folder of checks has added them."""
    group = parser.getgroup("wsdeploy", "checks of a fleet")
    if group.options:
        return
    group.addoption("--inventory", help="inventory file of the fleet to check")
    group.addoption(
        "--disruptive",
        action="store_true",
        help="also run the tests that stop a process of the app, which closes its connections",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Read the inventory."""
    config.addinivalue_line("markers", "disruptive: stops something that serves clients")
    path = config.getoption("--inventory", None)
    if path and (problem := command_line.missing(path)):
        pytest.exit(problem, returncode=pytest.ExitCode.USAGE_ERROR)
    try:
        if path and _fleets not in config.stash:
            config.stash[_fleets] = load(path)
    except (SettingsError, ValueError, OSError) as error:
        pytest.exit(str(error), returncode=pytest.ExitCode.USAGE_ERROR)


def pytest_sessionstart(session: pytest.Session) -> None:
    """End a run that names the folder and no fleet: testinfra would test this machine.

    Where the folder is only one of several with tests, this is not called.
    """
    if _fleets not in session.config.stash:
        wanted = "say which fleet to check: --inventory inventories/....py"
        pytest.exit(wanted, returncode=pytest.ExitCode.USAGE_ERROR)


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    """Leave the folder out where no fleet is named."""
    return None if _fleets in config.stash else True


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect our checks as if they were in the folder of the conftest.py."""
    stash = parent.config.stash
    # That of the folder comes before those of folders in it.
    if file_path.name != "conftest.py" or _collected in stash:
        return None
    stash[_collected] = True
    return _Checks.from_parent(parent, path=file_path)


class _Checks(pytest.File):
    """Our checks, in the place of the conftest.py that asks for them."""

    def collect(self) -> Iterator[pytest.Collector]:
        folder = self.nodeid.removesuffix(self.path.name)
        for check in CHECKS:
            yield _Check.from_parent(self, path=check, nodeid=f"{folder}{check.name}")


class _Check(pytest.Module):
    """A module of ours, to which the hooks of that conftest.py apply."""

    @property
    def ihook(self) -> pluggy.HookRelay:
        assert self.parent is not None
        return self.parent.ihook

    def collect(self) -> Iterator[pytest.Item | pytest.Collector]:
        for item in super().collect():
            # Those hooks miss the tests in it, whose path is in this package.
            _skip_disruptive(item)
            yield item


def pytest_itemcollected(item: pytest.Item) -> None:
    """Skip a test of the folder that disturbs clients, unless it is asked for."""
    _skip_disruptive(item)


def _skip_disruptive(item: pytest.Item | pytest.Collector) -> None:
    asked_for = item.config.getoption("--disruptive", False)
    if item.get_closest_marker("disruptive") and not asked_for:
        item.add_marker(pytest.mark.skip(reason="closes connections; say --disruptive"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test once per host of the role that it asks for by its fixture."""
    for fixture, role in (("app_host", "app"), ("proxy_host", "proxy"), ("any_host", None)):
        if fixture in metafunc.fixturenames:
            fleet = metafunc.config.stash[_fleets]
            hosts = fleet.with_role(role) if role else fleet.hosts
            metafunc.parametrize(fixture, hosts, indirect=True, ids=[host.name for host in hosts])


@pytest.fixture(scope="session")
def fleet(request: pytest.FixtureRequest) -> Fleet:
    """Return the fleet of the inventory."""
    return request.config.stash[_fleets]


@pytest.fixture(scope="session")
def settings(fleet: Fleet) -> Settings:
    """Return its settings."""
    return fleet.settings


@pytest.fixture(scope="session")
def connect() -> Iterator[Callable[[Host], Any]]:
    """Return a function for testinfra's view of a host, reached as pyinfra reaches it."""
    with tempfile.TemporaryDirectory(prefix="ssh-") as folder:
        # One connection for all commands: without a path, ssh would make one for each.
        yield partial(_connect, controlpath=f"{folder}/%%C")


def _connect(host: Host, **options: str) -> Any:
    data = host.data
    user, port = data.get("ssh_user", "root"), data.get("ssh_port", 22)
    if "ssh_key" in data:
        options["ssh_identity_file"] = data["ssh_key"]
    if "ssh_known_hosts_file" in data:
        options["ssh_extra_args"] = f"-o UserKnownHostsFile={data['ssh_known_hosts_file']}"
    address = f"[{host.address}]" if ":" in host.address else host.address
    view = testinfra.get_host(f"ssh://{user}@{address}:{port}", sudo=user != "root", **options)
    view.inventory = host
    return view


@pytest.fixture(scope="session")
def survey(fleet: Fleet, connect: Callable[[Host], Any]) -> Survey:
    """Say how many processes each app host has, where that is for them to say."""
    if fleet.settings.app.processes != "auto":
        return Survey()
    found = {}
    for host in fleet.with_role("app"):
        name = fleet.settings.name
        text = connect(host).check_output("cat /etc/supervisor/conf.d/%s-*.conf", name)
        found[host.name] = int(re.findall(r"numprocs=(\d+)", text)[0])
    return Survey(app_processes=found)


@pytest.fixture
def count(app_host: Any, settings: Settings, survey: Survey) -> int:
    """Return how many processes this app host has."""
    name = app_host.inventory.name
    return process_counts.of(name, Target(settings, name, survey))


@pytest.fixture(scope="session")
def app_host(request: pytest.FixtureRequest, connect: Callable[[Host], Any]) -> Any:
    """Return testinfra's view of each app host in turn; `inventory` is the host itself."""
    return connect(request.param)


@pytest.fixture(scope="session")
def proxy_host(request: pytest.FixtureRequest, connect: Callable[[Host], Any]) -> Any:
    """Return the same of each proxy."""
    return connect(request.param)


@pytest.fixture(scope="session")
def any_host(request: pytest.FixtureRequest, connect: Callable[[Host], Any]) -> Any:
    """Return the same of each host."""
    return connect(request.param)


@pytest.fixture
def tls(proxy_host: Any, settings: Settings) -> ssl.SSLContext:
    """Return what a client of this proxy verifies with."""
    if isinstance(settings.tls, SelfSigned):
        pem = proxy_host.file(paths.certificate(settings.name)).content_string
        return ssl.create_default_context(cadata=pem)
    return ssl.create_default_context()


@pytest.fixture
def dial(proxy_host: Any, settings: Settings) -> Callable[[int], socket.socket]:
    """Return a function that opens a TCP connection to this proxy: dial(port)."""
    behind = settings.edge.behind
    if behind and not behind.direct:
        pytest.skip("only the balancer may connect")

    def dial(port: int) -> socket.socket:
        connection = socket.create_connection((proxy_host.inventory.address, port), timeout=10)
        # Only connecting has a limit here: a WebSocket may be silent for as long as it likes.
        connection.settimeout(None)
        return connection

    return dial
