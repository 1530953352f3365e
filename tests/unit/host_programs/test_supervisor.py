"""Calls to Supervisor's XML-RPC interface on a unix socket."""

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.unit.host_programs.conftest import Supervisord
from wshost.common import supervisor


def test_a_call_and_its_result(supervisord: Supervisord) -> None:
    supervisord.processes = [{"group": "ws-1", "name": "ws_00", "statename": "RUNNING"}]
    assert supervisor.processes() == supervisord.processes
    assert supervisor.call("addProcessGroup", "ws-2") is True
    assert supervisord.calls == [("getAllProcessInfo",), ("addProcessGroup", "ws-2")]


def test_a_fault_keeps_its_name(supervisord: Supervisord) -> None:
    supervisord.faults["removeProcessGroup"] = (10, "BAD_NAME: ws-1")
    with pytest.raises(supervisor.SupervisorError, match="removeProcessGroup: BAD_NAME: ws-1"):
        supervisor.call("removeProcessGroup", "ws-1")


def test_nobody_answers(tmp_path: Path) -> None:
    with pytest.raises(supervisor.SupervisorError, match="Supervisor does not answer on /"):
        supervisor.call("getState", path=str(tmp_path / "none.sock"))


@pytest.fixture
def answering(tmp_path: Path) -> Iterator[Callable[[bytes], str]]:
    """Something on a socket that answers each request with this text, and hangs up."""
    path = str(tmp_path / "other.sock")
    threads = []

    def start(text: bytes) -> str:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()

        def work() -> None:
            with listener, listener.accept()[0] as connection:
                connection.recv(65_536)
                connection.sendall(text)

        threads.append(threading.Thread(target=work))
        threads[0].start()
        return path

    yield start
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("text", [b"", b"nonsense\r\n"])
def test_what_is_no_answer(answering: Callable[[bytes], str], text: bytes) -> None:
    with pytest.raises(supervisor.SupervisorError):
        supervisor.call("getState", path=answering(text), timeout=5)


@pytest.mark.parametrize("status", [b"401 Unauthorized", b"500 Internal Server Error"])
def test_an_answer_that_is_no_xml(answering: Callable[[bytes], str], status: bytes) -> None:
    text = b"HTTP/1.0 %s\r\nContent-Length: 5\r\n\r\nsorry" % status
    with pytest.raises(supervisor.SupervisorError):
        supervisor.call("getState", path=answering(text), timeout=5)


def test_all_that_supervisor_says_and_is_told(supervisord: Supervisord) -> None:
    told = ("a<b>&c", "ü", "", True, False, -5)
    supervisord.processes = [
        {"name": 'a "<&>" name', "pid": 0, "alive": False, "none": "", "list": [1, ["x"]]},
        {},
    ]
    assert supervisor.call("getAllProcessInfo", *told) == supervisord.processes
    assert supervisord.calls == [("getAllProcessInfo", *told)]
    supervisord.processes = []
    assert supervisor.processes() == []
