"""App hosts: Supervisor, processes, sockets, and what the live processes may use."""

import json

import pytest
from testinfra.host import Host

from wsdeploy.checks.harness import uses_wsapp
from wsdeploy.plan.app import watchdog
from wsdeploy.plan.app.upstreams import process_names
from wsdeploy.plan.host import paths
from wsdeploy.settings import Settings


def live(host: Host, settings: Settings) -> str:
    name: str = host.check_output("readlink %s", paths.sockets(settings.name, "current"))
    return name


def processes(host: Host, settings: Settings) -> dict[str, list[str]]:
    """Return state and pid of each process of the live generation, by name."""
    group = f"{settings.name}-{live(host, settings)}"
    lines = host.run("supervisorctl status").stdout.splitlines()
    rows = [line.split() for line in lines]
    found = {row[0]: row for row in rows}
    assert all(name.startswith(f"{group}:") for name in found), "another generation is left over"
    return {name.partition(":")[2]: row for name, row in found.items()}


@pytest.fixture
def unix(settings: Settings) -> None:
    if settings.listen() != "unix":
        pytest.skip("the app listens on TCP ports")


def test_supervisor_runs_and_starts_at_boot(app_host: Host) -> None:
    service = app_host.service("supervisor")
    assert service.is_running
    assert service.is_enabled


def test_watchdog_watches_and_starts_at_boot(app_host: Host, settings: Settings) -> None:
    service = app_host.service(watchdog.unit(settings))
    wanted = watchdog.wanted(settings)
    assert service.is_running == wanted
    if wanted:
        assert service.is_enabled


def test_watchdog_stops_before_the_processes_drain(app_host: Host, settings: Settings) -> None:
    if not watchdog.wanted(settings):
        pytest.skip("there is none")
    after = app_host.check_output("systemctl show --property=After %s", watchdog.unit(settings))
    assert "supervisor.service" in after


def test_every_process_is_running(app_host: Host, settings: Settings, count: int) -> None:
    states = {name: row[1] for name, row in processes(app_host, settings).items()}
    assert states == dict.fromkeys(process_names(settings, count), "RUNNING")


@pytest.mark.usefixtures("unix")
def test_every_process_has_a_socket_for_the_proxy_only(
    app_host: Host, settings: Settings, count: int
) -> None:
    for name in process_names(settings, count):
        socket = app_host.file(f"{paths.sockets(settings.name, 'current')}/{name}.sock")
        assert socket.is_socket
        assert (socket.user, socket.group) == (settings.name, f"{settings.name}-proxy")
    # Who can't enter the folder can't connect, whatever the modes of the app's own sockets.
    folder = app_host.file(paths.sockets(settings.name, live(app_host, settings)))
    assert folder.mode & 0o007 == 0, "others may not connect"


@pytest.mark.usefixtures("unix")
def test_sockets_accept_a_burst(app_host: Host, settings: Settings, count: int) -> None:
    """A full queue on a unix socket refuses at once, where TCP would wait.

    An app without wsapp chooses its queue by itself: websockets' `serve` asks for 100.
    """
    if not uses_wsapp(app_host, settings):
        pytest.skip("the app is without wsapp, so its backlog is its own")
    listeners = app_host.check_output("ss --no-header --listening --unix").splitlines()
    folder = paths.sockets(settings.name, live(app_host, settings))
    backlogs = [int(line.split()[3]) for line in listeners if folder in line]
    assert len(backlogs) == count
    assert min(backlogs) >= 4096


def test_processes_run_as_the_app_user(app_host: Host, settings: Settings) -> None:
    for row in processes(app_host, settings).values():
        pid = row[3].rstrip(",")
        assert app_host.check_output("stat -c %%U /proc/%s", pid) == settings.name


def test_processes_may_open_enough_files(app_host: Host, settings: Settings) -> None:
    ceiling = int(app_host.check_output("awk '/Max open files/ {print $5}' /proc/1/limits"))
    for row in processes(app_host, settings).values():
        limits = app_host.check_output("cat /proc/%s/limits", row[3].rstrip(","))
        soft = int(limits.split("Max open files")[1].split()[0])
        assert soft >= min(settings.max_connections, ceiling)


def test_release_belongs_to_root(app_host: Host, settings: Settings) -> None:
    foreign = app_host.check_output(
        "find /srv/%s/current/ -not -user root -o -perm /go+w -not -type l", settings.name
    )
    assert foreign == ""


def test_boot_brings_the_live_generation_back(app_host: Host, settings: Settings) -> None:
    boot = app_host.file(paths.boot(settings.name)).content_string
    assert live(app_host, settings) in boot


@pytest.mark.disruptive
@pytest.mark.usefixtures("unix")
def test_a_stopped_process_closes_cleanly(app_host: Host, settings: Settings, count: int) -> None:
    """SIGTERM: a close frame with the chosen code, not a cut connection; then it is back."""
    name = process_names(settings, count)[-1]
    group = f"{settings.name}-{live(app_host, settings)}"
    socket = f"{paths.sockets(settings.name, 'current')}/{name}.sock"
    program = f"""
import json, subprocess, sys
sys.path.insert(0, "/srv/{settings.name}/current/lib")
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import unix_connect
with unix_connect({socket!r}, uri="ws://{settings.domain}{settings.app.probe.path}") as client:
    subprocess.run(["supervisorctl", "signal", "TERM", "{group}:{name}"], check=True,
                   stdout=subprocess.DEVNULL)
    try:
        while True:
            client.recv({settings.app.drain + 20})
    except ConnectionClosed as closed:
        print(json.dumps(closed.rcvd.code if closed.rcvd else 1006))
"""
    answer = app_host.run("python3 -c %s", program)
    assert answer.rc == 0, answer.stderr
    assert json.loads(answer.stdout) == settings.app.close_code
    again = f"""
import sys, time
sys.path.insert(0, "/srv/{settings.name}/current/lib")
from websockets.sync.client import unix_connect
deadline = time.monotonic() + 30
while True:
    try:
        unix_connect({socket!r}, uri="ws://{settings.domain}{settings.app.probe.path}").close()
        break
    except (OSError, EOFError):
        if time.monotonic() > deadline:
            raise
        time.sleep(0.05)
"""
    answer = app_host.run("python3 -c %s", again)
    assert answer.rc == 0, answer.stderr
