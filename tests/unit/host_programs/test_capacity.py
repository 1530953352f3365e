"""What a host has and what a service takes of it, on the machine that runs the tests."""

import contextlib
import json
import socket
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.unit.host_programs.conftest import Start, Supervisord
from wsdeploy.plan.capacity.usage import Measured
from wshost.common import sockets
from wshost.survey import capacity, survey

# Listens on TCP and on a unix socket; a child accepts, and connects to a server of its own. Nobody
# listens on the unix socket any more then, as when a generation drains.
SERVER = """
import json, os, select, socket, sys
path, elsewhere = (json.loads(a) for a in sys.argv[1:])
listeners = [socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_UNIX)]
listeners[1].bind(path)
listeners[1].listen()
print(listeners[0].getsockname()[1], flush=True)
if os.fork():
    listeners[1].close()
    os.wait()
    os._exit(0)
own = socket.create_connection(elsewhere)
held = [listeners[0].accept() for _ in range(3)] + [listeners[1].accept() for _ in range(2)]
listeners[1].close()
print("accepted", flush=True)
while not select.select([sys.stdin], [], [], 0)[0]:
    sum(range(10_000))
"""


@pytest.fixture
def server(program: Start, tmp_path: Path) -> Iterator[tuple[int, int]]:
    """A server that holds three connections on TCP and two on a socket; its PID and its port."""
    path = str(tmp_path / "own.sock")
    with contextlib.ExitStack() as stack:
        elsewhere = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        process = program(SERVER, path, elsewhere.getsockname(), stdin=-1)
        assert process.stdout is not None
        port = int(process.stdout.readline())
        for _ in range(3):
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        for _ in range(2):
            stack.enter_context(socket.socket(socket.AF_UNIX)).connect(path)
        assert process.stdout.readline() == "accepted\n"
        yield process.pid, port


def test_connections_that_were_accepted(server: tuple[int, int]) -> None:
    pid, port = server
    members = sockets.families({pid})[pid]
    assert len(members) == 2
    assert sockets.held(members) == 5
    assert sockets.held(members, port) == 3
    assert sockets.held(members, 1) == 0
    assert sockets.held([pid], port) == 0, "its child has accepted them"


def test_what_a_service_takes(
    server: tuple[int, int],
    root: types.SimpleNamespace,
    supervisord: Supervisord,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pid, port = server
    process = {"group": "ws-0123456789ab", "name": "ws_00", "statename": "RUNNING", "pid": pid}
    other = process | {"group": "wsx-0123456789ab", "pid": 1}
    supervisord.processes = [process, process | {"pid": 0}, other]
    monkeypatch.setattr(capacity, "HTTPS", port)
    monkeypatch.setattr(capacity, "main_process", lambda unit: {pid} if unit == "one" else set())
    units = {"proxy": "one", "internal": "other"}
    answer = json.loads(json.dumps(capacity.report("ws", units, 0.3)))
    found = Measured.from_json(answer)
    assert found.internal is None
    assert found.app is not None
    assert found.proxy is not None
    assert (found.app.processes, found.app.clients, found.proxy.clients) == (1, 5, 3)
    assert 2**20 < found.app.memory < found.limits["memory"]
    # It does nothing else, but the machine may have others to serve.
    assert 0 < found.app.cores < 1.5
    assert found.app.files > 100
    assert 0 < found.available < found.limits["memory"]
    assert 0 < found.files[0] < found.files[1]
    assert found.ports > 1_000


def test_a_host_without_the_service(root: types.SimpleNamespace, supervisord: Supervisord) -> None:
    answer = capacity.report("ws", {}, 0)
    assert answer["uses"] == {"app": None}


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, str]], None]:
    """Let files have other texts."""

    def make(texts: dict[str, str]) -> None:
        monkeypatch.setattr(survey, "read", texts.get)

    return make


def test_source_ports_but_for_those_that_are_reserved(
    files: Callable[[dict[str, str]], None],
) -> None:
    limits = "/proc/sys/net/ipv4/ip_local_port_range", "/proc/sys/net/ipv4/ip_local_reserved_ports"
    for span, reserved, expected in (
        ("32768\t60999", "", 28_232),
        ("10240\t65535", "12000-12003,9000,65535", 55_296 - 5),
    ):
        files(dict(zip(limits, (span, reserved), strict=True)))
        assert capacity.source_ports() == expected


def test_a_container_may_have_less_memory_than_the_machine(
    files: Callable[[dict[str, str]], None],
) -> None:
    machine = {"/proc/meminfo": "MemTotal: 1000 kB\nMemAvailable:     600 kB"}
    files(machine)
    assert capacity.memory(1_024_000) == (1_024_000 - 600 * 1024, 1_024_000)
    limited = {
        "/sys/fs/cgroup/memory.max": "300000",
        "/sys/fs/cgroup/memory.current": "150000",
        "/sys/fs/cgroup/memory.stat": "anon 100000\nfile 50000\nfile_mapped 7",
    }
    files(machine | limited)
    assert capacity.memory(1_024_000) == (100_000, 300_000)
    files(machine | limited | {"/sys/fs/cgroup/memory.max": "max"})
    assert capacity.memory(1_024_000)[1] == 1_024_000


def test_tracked_connections(files: Callable[[dict[str, str]], None]) -> None:
    folder = "/proc/sys/net/netfilter/nf_conntrack_"
    files({f"{folder}count": "7", f"{folder}max": "100"})
    assert capacity.tracked() == [7, 100]
    files({})
    assert capacity.tracked() is None


def test_a_process_that_is_gone_counts_nothing() -> None:
    assert capacity.ticks({2**30}) == capacity.own_memory(2**30) == capacity.open_files(2**30) == 0
