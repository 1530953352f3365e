"""The way to one certain process among those that share a TCP port."""

import contextlib
import os
import signal
import socket
import struct
from collections.abc import Callable, Iterator

import pytest

from tests.unit.host_programs.conftest import Start, Until
from wshost.common import sockets
from wshost.watchdog.health_request import Question, request
from wshost.watchdog.reuseport import Routes

TEXT = request("a", "/")

# Accepts on a port that others may have too, and answers each client with its own PID. With a
# child, that does it.
SERVER = """
import contextlib, json, os, socket, sys, threading
port, forks = (json.loads(a) for a in sys.argv[1:])
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
listener.bind(("127.0.0.1", port))
listener.listen(100)
print(listener.getsockname()[1], flush=True)
leader = os.getpid()
if forks and (child := os.fork()):
    listener.close()
    os.waitpid(child, 0)
def serve(client):
    with client, contextlib.suppress(OSError):
        client.recv(1000)
        client.sendall(str(leader).encode())
while True:
    threading.Thread(target=serve, args=listener.accept()[:1]).start()
"""


StartServer = Callable[..., tuple[int, int]]


@pytest.fixture
def server(program: Start) -> Iterator[StartServer]:
    children = []

    def start(port: int = 0, forks: bool = False) -> tuple[int, int]:
        process = program(SERVER, port, forks, start_new_session=True)
        children.append(process.pid)
        assert process.stdout is not None
        return int(process.stdout.readline()), process.pid

    yield start
    for pid in children:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)


@pytest.fixture
def routes() -> Iterator[Routes]:
    made = Routes("127.0.0.1", patience=1.2)
    yield made
    made.close()


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 0.1
        return self.now


def scouted(routes: Routes, port: int, pids: set[int], until: Until, wanted: set[int]) -> None:
    """Send scouts until the ways to the wanted processes are known."""
    clock, open_ones = Clock(), []

    def known() -> bool:
        open_ones.extend(routes.scout(port, pids, TEXT, clock()))
        for scout in open_ones:
            scout.proceed()
        return all(isinstance(routes.way(pid, port, set()), int) for pid in wanted)

    until(known)
    for scout in open_ones:
        scout.close()


def answer(port: int, source: int) -> int:
    """Ask from a port, and return the PID that answers."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.bind(("127.0.0.1", source))
        client.connect(("127.0.0.1", port))
        client.sendall(TEXT)
        return int(client.recv(100))


def test_alone_it_is_asked_directly(server: StartServer, routes: Routes) -> None:
    port, pid = server()
    assert routes.look({port}, {pid}) == {port}
    assert routes.look({port}, {pid}) == set()
    assert routes.way(pid, port, set()) == "direct"


def test_who_listens_nowhere(server: StartServer, routes: Routes) -> None:
    port, pid = server()
    routes.look({port}, {pid, os.getpid()})
    assert routes.way(os.getpid(), port, set()) == "absent"
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert routes.look({port}, {pid}) == {port}
    assert routes.way(pid, port, set()) == "absent"


@pytest.mark.parametrize("forks", [False, True])
def test_each_of_several(server: StartServer, routes: Routes, until: Until, forks: bool) -> None:
    port, first = server(forks=forks)
    pids = {first, *(server(port, forks)[1] for _ in range(2))}

    def ways() -> set[str | int]:
        routes.look({port}, pids)
        return {routes.way(pid, port, set()) for pid in pids}

    until(lambda: len(sockets.listeners([port])) == 3 and ways() == {"unknown"})
    scouted(routes, port, pids, until, pids)
    for pid in pids:
        one = routes.way(pid, port, set())
        assert isinstance(one, int)
        other = routes.way(pid, port, {one})
        assert isinstance(other, int)
        assert one != other
        for source in (one, other, one):
            assert answer(port, source) == pid


def test_another_listener_makes_all_ways_unknown(
    server: StartServer, routes: Routes, until: Until
) -> None:
    port, first = server()
    pids = {first, server(port)[1]}
    routes.look({port}, pids)
    scouted(routes, port, pids, until, pids)
    pids.add(server(port)[1])
    assert routes.look({port}, pids) == {port}
    assert {routes.way(pid, port, set()) for pid in pids} == {"unknown"}


def test_one_that_does_not_accept_shows_by_its_queue(
    server: StartServer, routes: Routes, until: Until
) -> None:
    port, hung = server()
    well = server(port)[1]
    os.kill(hung, signal.SIGSTOP)
    # It may have been in accept() with one more to take.
    for _ in range(20):
        Question(("127.0.0.1", port), TEXT)
    pids = {hung, well}
    routes.look({port}, pids)
    scouted(routes, port, pids, until, {well})
    assert routes.way(hung, port, set()) == "unknown"

    def queues() -> bool:
        routes.look({port}, pids)
        return routes.waiting(hung, port) and not routes.waiting(well, port)

    until(queues)


def test_a_socket_of_nobody_we_know(server: StartServer, routes: Routes) -> None:
    port, first = server()
    second = server(port)[1]
    routes.look({port}, {first})
    assert routes.way(first, port, set()) == "unknown"
    assert routes.way(second, port, set()) == "hidden"
    # As soon as we know, it is as if we had known from the start.
    assert routes.look({port}, {first, second}) == set()
    assert routes.way(second, port, set()) == "unknown"


def test_a_wildcard_counts_if_nothing_has_the_address(routes: Routes) -> None:
    def at(address: str) -> sockets.Listener:
        return sockets.Listener(address, address, 1, 0)

    everywhere, here, other = at("0.0.0.0"), at("127.0.0.1"), at("10.0.0.1")
    assert routes._facing([everywhere, here, other]).keys() == {"127.0.0.1"}
    assert routes._facing([everywhere, other]).keys() == {"0.0.0.0"}
    assert routes._facing([at("::"), other]).keys() == {"::"}
    assert routes._facing([other]) == {}
