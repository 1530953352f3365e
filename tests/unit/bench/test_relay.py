"""The relay's delay and counts, without a clock; and once with one, on loopback."""

import socket
import threading

import pytest

from bench.deploy.contenders import pinned
from bench.deploy.relay import Line, Relay, Traffic, Turns


def test_a_chunk_arrives_after_the_delay() -> None:
    line = Line(0.5)
    assert line.wait(10) is None, "nothing is on its way"
    line.put(10, b"one")
    assert line.wait(10.2) == pytest.approx(0.3)
    assert list(line.arrived(10.4)) == []
    assert line.wait(11) == 0
    assert list(line.arrived(10.5)) == [b"one"]
    assert line.wait(10.5) is None


def test_chunks_do_not_wait_for_each_other() -> None:
    line = Line(1)
    line.put(0, b"one")
    line.put(0.25, b"two")
    line.put(3, b"three")
    assert list(line.arrived(1.25)) == [b"one", b"two"]
    assert line.wait(1.25) == pytest.approx(2.75)


def test_an_answer_counts_once_however_many_parts_it_has() -> None:
    turns = Turns()
    assert not turns.received(), "a greeting answers nothing"
    turns.sent()
    turns.sent()
    assert turns.received()
    assert not turns.received()
    turns.sent()
    assert turns.received()


def test_what_was_added_since() -> None:
    assert Traffic(3, 100, 50, 7) - Traffic(1, 60, 50, 2) == Traffic(2, 40, 0, 5)


def test_bytes_pass_unchanged_and_are_counted() -> None:
    server = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        connection, _ = server.accept()
        with connection:
            connection.sendall(b"greeting")
            while question := connection.recv(100):
                connection.sendall(question.upper())

    thread = threading.Thread(target=answer)
    thread.start()
    with Relay([server.getsockname()], 0) as relay:
        with socket.create_connection(("127.0.0.1", relay.ports[0]), 5) as client:
            assert client.recv(100) == b"greeting"
            for question in (b"one", b"two"):
                client.sendall(question)
                assert client.recv(100) == question.upper()
            client.shutdown(socket.SHUT_WR)
            assert client.recv(100) == b""
        thread.join(5)
        assert relay.seen() == Traffic(connections=1, sent=6, received=14, turns=2)
    server.close()


def test_a_version_in_a_lock_file() -> None:
    lock = "# comment\nansible-core==2.19.1 \\\n    --hash=sha256:00\nansible==9 ; sys_platform"
    assert pinned(lock, "ansible-core") == "2.19.1"
    assert pinned(lock, "ansible") == "9"
    with pytest.raises(KeyError):
        pinned(lock, "ansib")
