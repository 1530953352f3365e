"""Check a deployed fleet, any fleet: pytest tests/hosts --inventory inventories/prod.py."""

import re
import socket
import ssl
import tempfile
from functools import partial

import pytest
import testinfra

from wsdeploy.inventory import Fleet, Host, load
from wsdeploy.plan.app import process_counts
from wsdeploy.plan.host import places
from wsdeploy.plan.host.survey import Survey
from wsdeploy.settings import SelfSigned, SettingsError


def pytest_addoption(parser):
    parser.addoption("--inventory", help="inventory file of the fleet to check")
    parser.addoption(
        "--disruptive",
        action="store_true",
        help="also run the tests that stop a process of the app, which closes its connections",
    )


def pytest_configure(config):
    config.addinivalue_line("markers", "disruptive: stops something that serves clients")
    # Without hosts, testinfra would silently test this machine.
    path = config.getoption("--inventory")
    try:
        if not path:
            raise ValueError("say which fleet to check: --inventory inventories/....py")
        config.loaded_fleet = load(path)
    except (SettingsError, ValueError, OSError) as error:
        pytest.exit(str(error), returncode=pytest.ExitCode.USAGE_ERROR)


def pytest_collection_modifyitems(config, items):
    if config.getoption("--disruptive"):
        return
    for item in items:
        if item.get_closest_marker("disruptive"):
            item.add_marker(pytest.mark.skip(reason="closes connections; say --disruptive"))


def pytest_generate_tests(metafunc):
    """Run a test once per host of the role that it asks for by its fixture."""
    for fixture, role in (("app_host", "app"), ("proxy_host", "proxy"), ("any_host", None)):
        if fixture in metafunc.fixturenames:
            fleet = _fleet(metafunc.config)
            hosts = fleet.with_role(role) if role else fleet.hosts
            metafunc.parametrize(fixture, hosts, indirect=True, ids=[host.name for host in hosts])


def _fleet(config) -> Fleet:
    return config.loaded_fleet


@pytest.fixture(scope="session")
def fleet(request) -> Fleet:
    return _fleet(request.config)


@pytest.fixture(scope="session")
def settings(fleet):
    return fleet.settings


@pytest.fixture(scope="session")
def connect():
    """Return a function for testinfra's view of a host, reached as pyinfra reaches it."""
    with tempfile.TemporaryDirectory(prefix="ssh-") as folder:
        # One connection for all commands: without a path, ssh would make one for each.
        yield partial(_connect, controlpath=f"{folder}/%%C")


def _connect(host: Host, **options: str):
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
def survey(fleet, connect):
    """How many processes each app host has, where that is for them to say."""
    if fleet.settings.app.processes != "auto":
        return Survey()
    found = {}
    for host in fleet.with_role("app"):
        name = fleet.settings.name
        text = connect(host).check_output("cat /etc/supervisor/conf.d/%s-*.conf", name)
        found[host.name] = int(re.search(r"numprocs=(\d+)", text)[1])
    return Survey(app_processes=found)


@pytest.fixture
def count(app_host, settings, survey) -> int:
    """Return how many processes this app host has."""
    return process_counts.of(settings, survey, app_host.inventory.name)


@pytest.fixture(scope="session")
def app_host(request, connect):
    return connect(request.param)


@pytest.fixture(scope="session")
def proxy_host(request, connect):
    return connect(request.param)


@pytest.fixture(scope="session")
def any_host(request, connect):
    return connect(request.param)


@pytest.fixture
def tls(proxy_host, settings) -> ssl.SSLContext:
    """Return what a client of this proxy verifies with."""
    if isinstance(settings.tls, SelfSigned):
        pem = proxy_host.file(places.certificate(settings.name)).content_string
        return ssl.create_default_context(cadata=pem)
    return ssl.create_default_context()


@pytest.fixture
def dial(proxy_host, settings):
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
