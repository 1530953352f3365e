"""A host that does not answer is marked soon, and unmarked as soon as it answers."""

import errno
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from wshost.watchdog import reach
from wshost.watchdog.reach import Host, Reach


class Table:
    """What stands in for nft: it notes what it is told."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.there = True

    def __call__(self, *words: str, text: str = "", quiet: bool = False) -> bool:
        if words[0] == "list":
            return self.there
        self.there = self.there or words[0] == "--file"
        self.calls.append(words)
        return True

    def marks(self) -> list[str]:
        return [words[0] for words in self.calls if words[0] in ("add", "delete")]


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Reach, Host, Table]]:
    table = Table()
    monkeypatch.setattr(Reach, "_nft", staticmethod(table))
    with socket.create_server(("127.0.0.1", 0)) as server:
        host = Host("127.0.0.1", [server.getsockname()[1]])
        yield Reach("ws-reach", [host], "rules"), host, table


def silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections go nowhere from now on."""
    monkeypatch.setattr(socket.socket, "connect_ex", lambda self, where: errno.EINPROGRESS)
    monkeypatch.setattr(Reach, "wait", lambda self, until: None)


def test_one_that_answers_is_let_alone(watched: tuple[Reach, Host, Table]) -> None:
    checker, host, table = watched
    for tenth in range(50):
        now = 100 + tenth / 10
        checker.step(now)
        checker.wait(0)
        checker.wait(0)
    assert host.number == 10, "twice a second"
    assert table.marks() == []


def test_one_that_is_silent_is_marked_and_unmarked(
    watched: tuple[Reach, Host, Table], monkeypatch: pytest.MonkeyPatch
) -> None:
    checker, host, table = watched
    with monkeypatch.context() as broken:
        silent(broken)
        marked = []
        for tenth in range(60):
            checker.step(100 + tenth / 10)
            if host.down:
                marked.append(tenth / 10)
        assert 1.5 <= marked[0] <= 2, "after one lost packet has been sent again"
        assert table.marks() == ["add"]
        assert host.number > 20, "asked more often, to be back soon"
        for question in list(host.asked):
            checker._drop(host, question)
    checker.step(107)
    checker.wait(0)
    assert table.marks() == ["add", "delete"]
    assert not host.down


def test_one_that_refuses_is_there(
    watched: tuple[Reach, Host, Table], monkeypatch: pytest.MonkeyPatch
) -> None:
    checker, host, table = watched
    monkeypatch.setattr(socket.socket, "connect_ex", lambda self, where: errno.ECONNREFUSED)
    for tenth in range(60):
        checker.step(100 + tenth / 10)
    assert table.marks() == []
    assert host.silent_since is None


def test_what_the_network_can_not_reach_is_no_answer(
    watched: tuple[Reach, Host, Table], monkeypatch: pytest.MonkeyPatch
) -> None:
    checker, _, table = watched
    monkeypatch.setattr(socket.socket, "connect_ex", lambda self, where: errno.EHOSTUNREACH)
    for tenth in range(30):
        checker.step(100 + tenth / 10)
    assert table.marks() == ["add"]


def test_rules_that_somebody_has_flushed_come_back_with_the_marks(
    watched: tuple[Reach, Host, Table], monkeypatch: pytest.MonkeyPatch
) -> None:
    checker, _, table = watched
    silent(monkeypatch)
    for tenth in range(30):
        checker.step(100 + tenth / 10)
    table.there = False
    checker.step(110)
    assert [words[0] for words in table.calls] == ["add", "--file", "add"]


def test_the_rules_and_the_configuration(tmp_path: Path) -> None:
    text = reach.rules("ws-reach", [8000, 8001])
    assert "tcp dport { 8000, 8001 } tcp flags & (syn | ack) == syn reject with tcp reset" in text
    path = tmp_path / "reach.json"
    path.write_text(json.dumps({"table": "ws-reach", "hosts": {"10.0.0.1": [8000]}}))
    reach.main(["--check", str(path)])
    path.write_text("{}")
    with pytest.raises(KeyError):
        reach.main(["--check", str(path)])


def test_two_answers_at_once(watched: tuple[Reach, Host, Table]) -> None:
    """As when the first packets to a host that is back all leave together."""
    checker, host, table = watched
    host.down = True
    for tenth in range(10):
        checker.step(100 + tenth / 5)
    assert len(host.asked) > 2
    checker.wait(0)
    assert not host.asked
    assert table.marks() == ["delete"]
