"""What programs tell while they are at work."""

import json
import os
import select
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.unit.host_programs.conftest import Until, rollout_request
from wshost.common import progress, sockets
from wshost.common.listen import Listen
from wshost.requests import Progress
from wshost.rollout import clients, drain, gate
from wshost.rollout.clients import Count
from wshost.rollout.generations import Generation

NEWS: Progress = {"gate": {"healthy": 1, "of": 2, "seconds": 0.5}}
OLD = Generation("ws", "b" * 12)


@pytest.fixture
def marked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let somebody want to know."""
    monkeypatch.setattr(progress, "_marks", ["mark-1"])
    monkeypatch.setattr(progress, "EVERY", 0.01)


Told = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def told(marked: None, capfd: pytest.CaptureFixture[str]) -> Told:
    """Return what was told since this was asked last."""

    def read() -> list[dict[str, Any]]:
        lines = capfd.readouterr().err.splitlines()
        assert all(line.startswith("mark-1 ") for line in lines)
        return [json.loads(line.partition(" ")[2]) for line in lines]

    return read


@pytest.fixture
def standard_error(marked: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, int]]:
    """Let standard error be a pipe; returns its ends."""
    read, write = os.pipe()
    monkeypatch.setattr(progress, "STANDARD_ERROR", write)
    yield read, write
    os.close(write)


def test_nobody_wants_to_know(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_marks", [])
    progress.tell(NEWS)
    before = threading.active_count()
    with progress.ticking(lambda: pytest.fail("it looked")):
        assert threading.active_count() == before
    assert capfd.readouterr().err == ""


def test_a_mark_comes_first(told: Told) -> None:
    progress.begin("mark-1")
    progress.tell(NEWS)
    assert told() == [NEWS]


def test_a_run_that_is_gone_holds_nothing_up(standard_error: tuple[int, int]) -> None:
    read, _ = standard_error
    os.close(read)
    progress.tell(NEWS)


def test_a_run_that_does_not_read_holds_nothing_up(standard_error: tuple[int, int]) -> None:
    read, write = standard_error
    while select.select([], [write], [], 0)[1]:
        os.write(write, bytes(4096))
    start = time.monotonic()
    progress.tell(NEWS)
    assert time.monotonic() - start < 30
    os.close(read)


def test_a_look_is_told_as_long_as_the_work_takes(told: Told, until: Until) -> None:
    looks: list[int] = []

    def look() -> Progress:
        looks.append(len(looks))
        return {"gate": {"healthy": len(looks), "of": 9, "seconds": 0}}

    with progress.ticking(look):
        until(lambda: len(looks) > 2)
    count = len(looks)
    assert [each["gate"]["healthy"] for each in told()] == [*range(1, count + 1)]
    assert len(looks) == count


def test_a_drain(told: Told, until: Until, monkeypatch: pytest.MonkeyPatch) -> None:
    # The watchdog has two of the connections. A proxy asks for health, and once it is two clients
    # who come, as they do where a port is shared until the old generation stops.
    left = [52, 53, 52, 54, 54, 25, 9, 1]
    monkeypatch.setattr(sockets, "held", lambda *_, **__: left.pop(0) if left else 0)
    monkeypatch.setattr(sockets, "families", lambda leaders: {each: {each} for each in leaders})
    monkeypatch.setattr(clients, "counted", lambda *_: {1: Count(26, 25), 2: Count(26, 25)})
    monkeypatch.setattr(Generation, "processes", lambda _: [{"pid": os.getpid()}])
    monkeypatch.setattr(Generation, "described", lambda _: None)
    with drain.told([OLD], 60):
        until(lambda: not left)
    found = [(each["drain"]["left"], each["drain"]["of"]) for each in told()]
    assert found[:6] == [(50, 50), (50, 50), (50, 50), (50, 50), (50, 50), (52, 52)]
    assert found[6:9] == [(23, 52), (7, 52), (0, 52)]
    assert found[-1] == (0, 52)


def test_a_drain_of_nobody(told: Told, until: Until, monkeypatch: pytest.MonkeyPatch) -> None:
    left = [2, 2, 2]
    monkeypatch.setattr(sockets, "held", lambda *_, **__: left.pop(0) if left else 2)
    monkeypatch.setattr(sockets, "families", lambda leaders: {each: {each} for each in leaders})
    monkeypatch.setattr(clients, "counted", lambda *_: {1: Count(1, 0), 2: Count(1, 0)})
    monkeypatch.setattr(Generation, "processes", lambda _: [{"pid": os.getpid()}])
    monkeypatch.setattr(Generation, "described", lambda _: None)
    with drain.told([OLD], 60):
        until(lambda: not left)
    assert {each["drain"]["of"] for each in told()} == {0}


def test_a_drain_whose_clients_can_not_be_counted(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    def counted(*_: object) -> dict[int, Count]:
        raise OSError("no")

    monkeypatch.setattr(clients, "counted", counted)
    monkeypatch.setattr(Generation, "processes", lambda _: [])
    with drain.told([OLD], 60):
        pass
    assert told()[-1]["drain"]["left"] == 0


def test_a_drain_that_fails_is_not_called_done(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "held", lambda *_, **__: 50)
    monkeypatch.setattr(clients, "counted", lambda *_: {1: Count(50, 50)})
    monkeypatch.setattr(Generation, "processes", lambda _: [])
    monkeypatch.setattr(Generation, "described", lambda _: None)
    with pytest.raises(OSError, match="no"), drain.told([OLD], 60):
        raise OSError("no")
    assert {each["drain"]["left"] for each in told()} == {50}


def test_ports_that_what_drains_has_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    described = {"listen": "tcp:127.0.0.1:8000", "processes": 2}
    monkeypatch.setattr(Generation, "described", lambda _: described)
    assert drain._ports(OLD) == {8000, 8001}


def test_a_gate(told: Told, until: Until, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = threading.Event()
    answers: dict[str, Callable[[], object]] = {"ws_00": lambda: None, "ws_01": asked.wait}
    monkeypatch.setattr(gate, "_wait", lambda _, name, *rest: answers[name]() and None)
    monkeypatch.setattr(gate, "_watch", lambda *_: None)
    found: list[dict[str, Any]] = []

    def look() -> bool:
        found.extend(told())
        return any(each["gate"]["healthy"] == 1 for each in found)

    readiness = gate.Readiness(
        Listen.read("unix:/run/ws/x"), rollout_request(OLD.id)["probe"], 60, 0
    )
    names = ["ws_00", "ws_01"]
    waiting = threading.Thread(target=gate.wait_healthy, args=(OLD, names, readiness))
    waiting.start()
    until(look)
    asked.set()
    waiting.join()
    assert {each["gate"]["of"] for each in found} == {2}
