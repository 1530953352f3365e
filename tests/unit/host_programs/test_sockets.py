"""Who is at the other end of a TCP connection, while two processes share a port."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.host_programs.conftest import Start
from wshost.common import sockets

# Listens on a port that others may have too. A child of this process accepts, and says who it is.
SERVER = """
import json, os, select, socket, sys
address, port, both = (json.loads(a) for a in sys.argv[1:])
listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
if both:
    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
listener.bind((address, port))
listener.listen()
print(listener.getsockname()[1], flush=True)
child = os.fork()
if child:
    os.waitpid(child, 0)
    os._exit(0)
held = []
while sys.stdin not in (ready := select.select([listener, sys.stdin], [], [])[0]):
    held.append(listener.accept()[0])
    held[-1].sendall(f"{os.getpid()} {os.getppid()}\\n".encode())
"""


StartServer = Callable[..., tuple[int, int]]


@pytest.fixture
def server(program: Start) -> StartServer:
    """Start a server; return the port that it listens on, and its PID."""

    def start(address: str, port: int = 0, both: bool = False) -> tuple[int, int]:
        process = program(SERVER, address, port, both, stdin=-1)
        assert process.stdout is not None
        return int(process.stdout.readline()), process.pid

    return start


def asked(address: str, port: int) -> tuple[int, int, set[int]]:
    """Connect, and return who says to have accepted, their parent, and what we find."""
    with socket.create_connection((address, port), 5) as connection:
        child, parent = connection.recv(100).split()
        return int(child), int(parent), sockets.serving(connection)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_it_is_the_one_that_accepted_and_its_parent(server: StartServer, address: str) -> None:
    try:
        port, first = server(address)
    except ValueError:
        pytest.skip(f"this machine has no {address}")
    _, second = server(address, port)
    reached = set()
    # The kernel chooses by the client's port.
    for _ in range(100):
        child, parent, found = asked(address, port)
        assert {child, parent} <= found
        assert not found & ({first, second} - {parent})
        reached.add(parent)
        if len(reached) == 2:
            break
    assert reached == {first, second}


def test_a_socket_for_both_families(server: StartServer) -> None:
    try:
        port, pid = server("::", both=True)
    except ValueError:
        pytest.skip("this machine has no IPv6")
    assert pid in asked("127.0.0.1", port)[2]


@pytest.mark.parametrize(("address", "shown"), [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")])
def test_where_a_process_listens(server: StartServer, address: str, shown: str) -> None:
    try:
        port, pid = server(address)
    except ValueError:
        pytest.skip(f"this machine has no {address}")
    assert sockets.listening(pid) == [f"{shown}:{port}"]


def test_where_it_listens_on_sockets(program: Start, tmp_path: Path) -> None:
    source = """
import json, os, socket, sys
os.chdir(json.loads(sys.argv[1]))
kept = [socket.socket(socket.AF_UNIX) for _ in range(2)]
for number, one in enumerate(kept):
    one.bind(f"{number}.sock")
kept[1].listen()
print("ready", flush=True)
sys.stdin.read()
"""
    process = program(source, str(tmp_path), stdin=-1)
    assert process.stdout is not None
    assert process.stdout.readline()
    assert sockets.listening(process.pid) == ["1.sock"]


def test_nobody() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as connection,
    ):
        # In the queue: no process has it yet.
        assert sockets.serving(connection) == set()


def test_connections_to_a_listener_that_is_closed() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    with socket.create_connection(("127.0.0.1", port)), listener.accept()[0]:
        own = [os.getpid()]
        open_yet = sockets.held(own)
        listener.close()
        assert sockets.held(own) == open_yet - 1
        assert sockets.held(own, closed=[port]) == open_yet
