"""Which connections of a process are clients', on the machine that runs the tests."""

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.host_programs.conftest import Start, Until
from wsapp.metrics import Metrics, render
from wshost.common import sockets
from wshost.rollout import clients
from wshost.rollout.clients import Count
from wshost.rollout.generations import Generation

OLD = Generation("ws", "b" * 12)

# Listens on a unix socket, or on a port that others may have, too. To whoever asks it says that it
# is a process of a group with some WebSockets, or just no; or it says nothing at all.
SERVER = """
import json, os, select, socket, sys
where, answer = (json.loads(a) for a in sys.argv[1:])
listener = socket.socket(socket.AF_UNIX if isinstance(where, str) else socket.AF_INET)
if not isinstance(where, str):
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
listener.bind(where if isinstance(where, str) else tuple(where))
listener.listen()
print(json.dumps(listener.getsockname()), flush=True)
held = []
while sys.stdin not in (ready := select.select([listener, sys.stdin, *held], [], [])[0]):
    for each in ready:
        if each is listener:
            held.append(each.accept()[0])
        elif not each.recv(65536):
            held.remove(each)
            each.close()
        elif answer:
            held.remove(each)
            each.sendall(answer.encode())
            each.close()
"""


def metrics(number: int, group: str = OLD.group, process: str = "ws_00") -> str:
    info = {"process": process, "group": group, "loop": "uvloop"}
    return "HTTP/1.1 200 OK\r\n\r\n" + render(Metrics(info, open=number), {})


@pytest.fixture
def connect() -> Iterator[Callable[[Any], None]]:
    """Connect to somewhere, and stay."""
    with contextlib.ExitStack() as stack:

        def connect(where: Any) -> None:
            family = socket.AF_UNIX if isinstance(where, str) else socket.AF_INET
            stack.enter_context(socket.socket(family)).connect(where)

        yield connect


Listening = Callable[[Any, str], int]


@pytest.fixture
def server(program: Start) -> Listening:
    """Start a server; returns its PID when it listens."""

    def start(where: Any, answer: str) -> int:
        process = program(SERVER, where, answer, stdin=-1)
        assert process.stdout is not None
        assert process.stdout.readline()
        return process.pid

    return start


@pytest.fixture
def generation(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let the old generation listen somewhere with some processes, by their PIDs."""

    def be(listen: str, *pids: int) -> None:
        processes = [{"pid": pid, "name": f"ws_{n:02d}"} for n, pid in enumerate(pids)]
        monkeypatch.setattr(Generation, "processes", lambda _: processes)
        described = {"listen": listen, "watch": None}
        monkeypatch.setattr(Generation, "described", lambda _: described)

    return be


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        (metrics(2), 2),
        (metrics(0), 0),
        # No more than there are connections, whatever an app says.
        (metrics(99), 3),
        # The watchdog, which is this process here, has the connections.
        ("HTTP/1.1 426 Upgrade Required\r\n\r\n", 0),
        (metrics(2, "ws-another"), 0),
        ("", 0),
    ],
)
def test_clients_on_a_unix_socket(
    tmp_path: Path,
    server: Listening,
    generation: Callable[..., None],
    connect: Callable[[Any], None],
    until: Until,
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    wanted: int,
) -> None:
    path = str(tmp_path / "ws_00.sock")
    pid = server(path, answer)
    generation(f"unix:{tmp_path}", pid)
    monkeypatch.setattr(clients, "PATIENCE", 0.15 if not answer else 30)
    monkeypatch.setattr(clients, "watchdog", lambda _: {os.getpid()})
    for _ in range(3):
        connect(path)
    until(lambda: sockets.held([pid]) == 3)
    start = time.monotonic()
    assert clients.counted(OLD) == {pid: Count(3, wanted)}
    assert time.monotonic() - start < 20


def test_nobody_is_asked_who_has_no_connection(
    generation: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    generation("unix:/nowhere", os.getpid())
    monkeypatch.setattr(sockets, "connections", lambda *_: {os.getpid(): set()})
    monkeypatch.setattr(clients, "_answer", lambda *_: pytest.fail("it was asked"))
    assert clients.counted(OLD) == {os.getpid(): Count(0, 0)}


def test_clients_on_a_port_that_generations_share(
    server: Listening,
    generation: Callable[..., None],
    connect: Callable[[Any], None],
    until: Until,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        where = free.getsockname()
    pid = server(where, metrics(1))
    connect(where)
    until(lambda: sockets.held([pid]) == 1)
    server(where, metrics(5, "ws-new"))
    generation(f"tcp:127.0.0.1:{where[1]}", pid)
    monkeypatch.setattr(clients, "PATIENCE", 30)
    assert clients.counted(OLD) == {pid: Count(1, 1)}


def test_whose_connections_are_the_watchdogs(
    tmp_path: Path, server: Listening, connect: Callable[[Any], None], until: Until
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()
    for where in (port, str(tmp_path / "x.sock")):
        pid = server(where, "")
        connect(where)
        until(lambda pid=pid: sockets.held([pid]) == 1)  # type: ignore[misc]
        accepted = sockets.connections({pid: [pid]})[pid]
        assert len(accepted) == 1
        assert sockets.reached_by([os.getpid()], accepted) == accepted
        assert sockets.reached_by([pid], accepted) == set()
        assert sockets.reached_by([], accepted) == set()


def test_a_watchdog_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "CGROUPS", tmp_path)
    assert clients.watchdog("ws") == set()
    (tmp_path / "ws-watchdog.service").mkdir()
    (tmp_path / "ws-watchdog.service/cgroup.procs").write_text("7\n8\n")
    assert clients.watchdog("ws") == {7, 8}
