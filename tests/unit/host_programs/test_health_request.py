"""Plain GETs that never wait."""

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.unit.host_programs.conftest import Until
from wshost.watchdog.health_request import Question, request

TEXT = request("a-company.com", "/healthz")


StartListener = Callable[..., tuple[socket.socket, str | tuple[str, int]]]


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[StartListener]:
    """Listen on a unix socket or on TCP, accepting nothing by itself."""
    made = []

    def listen(kind: str, backlog: int = 5) -> tuple[socket.socket, str | tuple[str, int]]:
        if kind == "unix":
            where = str(tmp_path / "a.sock")
            sock = socket.socket(socket.AF_UNIX)
            sock.bind(where)
        else:
            sock = socket.socket()
            sock.bind(("127.0.0.1", 0))
            where = sock.getsockname()
        sock.listen(backlog)
        made.append(sock)
        return sock, where

    yield listen
    for sock in made:
        sock.close()


KINDS = pytest.mark.parametrize("kind", ["unix", "tcp"])


def settled(question: Question, until: Until) -> str | None:
    def over() -> bool:
        question.proceed()
        return question.over

    until(over)
    return question.reply


@KINDS
@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 503 No\r\n\r\n", b"nonsense", b""]
)
def test_whatever_comes_back_is_an_answer(
    listener: StartListener, until: Until, kind: str, answer: bytes
) -> None:
    sock, where = listener(kind)
    question = Question(where, TEXT)
    question.proceed()
    assert question.reply is None
    with sock.accept()[0] as accepted:
        assert accepted.recv(1000) == TEXT
        accepted.sendall(answer)
    assert settled(question, until) == "answered"
    question.close()


def test_the_request() -> None:
    assert TEXT.startswith(b"GET /healthz HTTP/1.1\r\nHost: a-company.com\r\n")
    assert b"\r\nConnection: close\r\n" in TEXT
    assert TEXT.endswith(b"\r\n\r\n")


@KINDS
def test_who_does_not_accept_says_nothing(listener: StartListener, kind: str) -> None:
    _, where = listener(kind)
    question = Question(where, TEXT)
    question.proceed()
    assert (question.reply, question.over) == (None, False)
    question.close()


def test_a_full_queue_is_silence_too(listener: StartListener) -> None:
    _, where = listener("unix", backlog=0)
    questions = [Question(where, TEXT) for _ in range(3)]
    assert [question.reply for question in questions] == [None, None, None]
    assert questions[-1].over
    for question in questions:
        question.close()


@KINDS
def test_nothing_listens(listener: StartListener, until: Until, kind: str) -> None:
    sock, where = listener(kind)
    sock.close()
    question = Question(where, TEXT)
    assert settled(question, until) == "absent"
    question.close()


def test_no_socket_at_all(tmp_path: Path) -> None:
    assert Question(str(tmp_path / "none.sock"), TEXT).reply == "absent"


def test_what_could_not_be_asked_says_so(tmp_path: Path) -> None:
    question = Question(str(tmp_path / ("a" * 200)), TEXT)
    assert question.reply == "impossible"
    assert question.complaint
    question.close()


def test_a_source_port_can_be_used_again_at_once(listener: StartListener, until: Until) -> None:
    sock, where = listener("tcp")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        source = free.getsockname()[1]
    for _ in range(3):
        question = Question(where, TEXT, source)
        accepted, client = sock.accept()
        assert client[1] == source
        accepted.close()
        assert settled(question, until) == "answered"
        question.close()


def test_a_held_one_says_nothing_until_it_may(listener: StartListener, until: Until) -> None:
    sock, where = listener("tcp")
    question = Question(where, TEXT, held=True)
    accepted, _ = sock.accept()
    question.proceed()
    accepted.setblocking(False)
    with pytest.raises(BlockingIOError):
        accepted.recv(1)
    accepted.setblocking(True)
    question.held = False

    def read_and_close() -> None:
        with accepted:
            accepted.recv(1000)

    thread = threading.Thread(target=read_and_close)
    thread.start()
    assert settled(question, until) == "answered"
    thread.join()
    question.close()
