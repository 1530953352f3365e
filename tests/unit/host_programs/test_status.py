"""What goes on on a host: everything that answers is told, whatever else hangs."""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.host_programs.conftest import rollout_request
from wsapp.metrics import Metrics, render
from wshost import requests
from wshost.common import supervisor
from wshost.common.listen import Listen
from wshost.config import ruleset
from wshost.rollout import generations, history
from wshost.status import ask, numbers, status
from wshost.survey import capacity, survey

GENERATION = "a" * 12
GROUP = f"ws-{GENERATION}"
NAMES = ["ws_00", "ws_01"]
PATIENCE = 20
"""Seconds for what answers at once."""
IMPATIENCE = 0.2
"""Seconds for what never answers."""


def told(process: str, group: str = GROUP) -> str:
    metrics = Metrics(info={"process": process, "group": group}, open=7, max_connections=10)
    metrics.count_handshake("101")
    metrics.count_close("1006")
    metrics.observe_lag(0.25)
    return render(metrics, {"process_start_time_seconds": 5.0})


Serve = Callable[..., socket.socket]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Let something listen, and give the answers that are told, one after the other."""
    listeners = []

    def make(where: str | tuple[str, int], *answers: str, port: bool = False) -> socket.socket:
        family = socket.AF_UNIX if isinstance(where, str) else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.bind(where)
        listener.listen(50)
        listeners.append(listener)

        def answer() -> None:
            for text in answers:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65_536)
                    connection.sendall(f"HTTP/1.1 200 OK\r\n\r\n{text}".encode())

        if answers:
            threading.Thread(target=answer, daemon=True).start()
        return listener

    yield make
    for each in listeners:
        each.close()


def test_a_process_says_what_it_has_seen_in_the_last_minute() -> None:
    assert numbers.read(told("ws_00")) == (
        "ws_00",
        GROUP,
        {
            "connections": 7,
            "most": 10,
            "draining": False,
            "handshakes": {"101": 1},
            "closes": {"1006": 1},
            "lag": 0.25,
        },
    )


def test_an_earlier_wsapp_does_not_tell_of_its_last_minute() -> None:
    text = "\n".join(line for line in told("ws_00").splitlines() if "last_minute" not in line)
    found = numbers.read(text)
    assert found
    assert (found[2]["connections"], found[2]["handshakes"], found[2]["lag"]) == (7, None, None)


@pytest.mark.parametrize(
    "text",
    ["", "Not found", "wsapp_connections 5", "wsapp_info{} 1\nwsapp_connections 1e400", "a\0b 1"],
)
def test_what_is_no_wsapp_has_no_numbers(text: str) -> None:
    assert numbers.read(text) is None


def test_numbers_beyond_all_measure_are_cut() -> None:
    text = told("ws_00").replace("wsapp_connections 7", "wsapp_connections 1e300")
    found = numbers.read(text)
    assert found
    assert found[2]["connections"] == numbers.MOST


def test_one_that_hangs_keeps_nobody_from_answering(tmp_path: Path, serve: Serve) -> None:
    listen = Listen("unix", str(tmp_path))
    serve(listen.socket("ws_00"), told("ws_00"))
    serve(listen.socket("ws_01"))
    began = time.monotonic()
    found = ask.processes(listen, [*NAMES, "ws_02"], GROUP, "a.test", 1)
    assert time.monotonic() - began < PATIENCE
    assert {name: each.reply for name, each in found.items()} == {
        "ws_00": "answered",
        "ws_01": "silent",
        "ws_02": "absent",
    }
    assert found["ws_00"].numbers
    assert found["ws_00"].numbers["connections"] == 7


def test_an_app_without_wsapp_answers_too(tmp_path: Path, serve: Serve) -> None:
    listen = Listen("unix", str(tmp_path))
    serve(listen.socket("ws_00"), "Upgrade required\n")
    found = ask.processes(listen, ["ws_00"], GROUP, "a.test", PATIENCE)
    assert found == {"ws_00": ask.Answer("answered", None)}


def test_all_that_share_a_port_are_found(serve: Serve) -> None:
    # The same one several times, one of another generation, then the one that is looked for.
    answers = [told("ws_00"), told("ws_01", "ws-other"), told("ws_00"), told("ws_00")]
    listener = serve(("127.0.0.1", 0), *answers, told("ws_01"), told("ws_00"))
    listen = Listen("shared", "127.0.0.1", listener.getsockname()[1])
    found = ask.processes(listen, NAMES, GROUP, "a.test", PATIENCE)
    assert {name: each.reply for name, each in found.items()} == dict.fromkeys(NAMES, "answered")


def test_one_that_hangs_on_a_shared_port_is_known_by_its_absence(serve: Serve) -> None:
    # Who accepts no more leaves the rest in its queue.
    listener = serve(("127.0.0.1", 0), told("ws_00"))
    listen = Listen("shared", "127.0.0.1", listener.getsockname()[1])
    found = ask.processes(listen, NAMES, GROUP, "a.test", 1)
    assert {name: each.reply for name, each in found.items()} == {
        "ws_00": "answered",
        "ws_01": "silent",
    }


def test_nobody_on_a_shared_port(serve: Serve) -> None:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listen = Listen("shared", "127.0.0.1", listener.getsockname()[1])
    found = ask.processes(listen, NAMES, GROUP, "a.test", PATIENCE)
    assert {name: each.reply for name, each in found.items()} == dict.fromkeys(NAMES, "absent")
    listener.close()


def test_without_names_it_is_not_known_who_is_silent(serve: Serve) -> None:
    listener = serve(("127.0.0.1", 0), "hello")
    listen = Listen("shared", "127.0.0.1", listener.getsockname()[1])
    assert ask.processes(listen, NAMES, GROUP, "a.test", 0.5) == {}


def test_questions_that_hang_or_fail_are_left_out() -> None:
    hang = threading.Event()

    def fails() -> None:
        raise RuntimeError

    found = status.in_time({"hangs": hang.wait, "fails": fails, "answers": lambda: 5}, IMPATIENCE)
    hang.set()
    assert found == {"answers": 5}


def test_how_processes_have_ended() -> None:
    log = (
        "2026-11-30 03:00:00,000 WARN exited: ws_00 (exit status 1; not expected)\n"
        "2026-11-30 03:10:00,000 INFO spawned: 'ws_00' with pid 12\n"
        "2026-11-30 03:20:00,500 WARN exited: ws_00 (terminated by SIGKILL; not expected)\n"
        "2026-11-30 03:20:00,500 INFO exited: ws_01 (exit status 0; expected)\n"
        "2026-11-30 02:00:00,000 WARN exited: ws_02 (exit status 1; not expected)\n"
        "9999-99-99 99:99:99,000 WARN exited: ws_03 (exit status 1; not expected)\n"
    )
    at = time.mktime(time.strptime("2026-11-30 03:20:00", "%Y-%m-%d %H:%M:%S"))
    found = status.ends(log, at + 60)
    assert found == {
        "ws_00": ("terminated by SIGKILL", at, 2),
        "ws_01": ("exit status 0; expected", at, 1),
    }


def test_the_last_line_of_a_log_moves_no_cursor(tmp_path: Path) -> None:
    log = tmp_path / "ws_00.log"
    assert status.last_line(log) == ""
    log.write_bytes(b"one\n\x1b[2Jboom \xff" + b"x" * 1000 + b"\n\n")
    found = status.last_line(log)
    assert found.startswith("\\x1b[2Jboom")
    assert len(found) == status.LINE


def test_the_last_change(tmp_path: Path) -> None:
    log = tmp_path / "deploys.log"
    assert status.last_change(log) is None
    log.write_text("{}\n")
    assert status.last_change(log) is None
    log.write_text(
        '{"time": "2026-11-30T03:00:00Z", "by": "anna\\u001b", "action": "deploy", "release": "r",'
        ' "outcome": "failed: no", "more": 5}\n'
    )
    assert status.last_change(log) == {
        "time": "2026-11-30T03:00:00Z",
        "by": "anna\\x1b",
        "action": "deploy",
        "release": "r",
        "outcome": "failed: no",
    }


@pytest.fixture
def host(root: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host without units, packet filter and journal."""
    monkeypatch.setattr(survey, "run", lambda *_: "")
    monkeypatch.setattr(ruleset, "loaded", lambda _: "")


REQUEST: requests.Status = {
    "name": "ws",
    "units": [],
    "proxy": None,
    "certificates": [],
    "folders": ["/", "/not-there"],
    "patience": PATIENCE,
}


def test_a_whole_host(
    host: None, tmp_path: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry: dict[str, Any] = {"group": GROUP, "start": 5, "pid": 0}
    entries = [
        {**entry, "name": "ws_00", "statename": "RUNNING", "pid": os.getpid()},
        {**entry, "name": "ws_01", "statename": "BACKOFF"},
        {**entry, "group": "other", "name": "other", "statename": "RUNNING", "pid": 1},
    ]
    log = (
        f"{time.strftime('%Y-%m-%d %H:%M:%S')},000 WARN exited: ws_01 (exit status 3; not expected)"
    )
    monkeypatch.setattr(supervisor, "processes", lambda **_: entries)
    monkeypatch.setattr(supervisor, "call", lambda *_, **__: log)
    monkeypatch.setattr(capacity, "own_memory", lambda _: 5)
    it = generations.Generation("ws", GENERATION)
    monkeypatch.setattr(generations, "generations", lambda _: [it])
    monkeypatch.setattr(generations, "live", lambda _: GENERATION)
    listen = Listen("unix", str(tmp_path))
    description: Any = {
        "release": "r1", "environment": "", "listen": str(listen), "processes": 2, "open_files": 1,
        "watch": None,
    }  # fmt: skip
    monkeypatch.setattr(generations.Generation, "described", lambda _: description)
    history.went_live(rollout_request(GENERATION), "deploy", None)
    serve(listen.socket("ws_00"), told("ws_00"))
    found = status.report(REQUEST)
    (generation,) = found["generations"] or []
    assert (generation["id"], generation["live"], generation["by"]) == (
        GENERATION,
        True,
        "anna@laptop",
    )
    one, two = generation["processes"]
    assert (one["reply"], one["numbers"] and one["numbers"]["connections"]) == ("answered", 7)
    assert one["memory"] >= 5
    assert (two["reply"], two["statename"], two["end"]) == (None, "BACKOFF", "exit status 3")
    assert [each["folder"] for each in found["disks"]] == ["/"]
    assert found["disks"][0]["size"] > 0
    assert found["firewall_as_loaded"] is False
    assert found["time"] == pytest.approx(time.time(), abs=PATIENCE)


def test_a_host_whose_supervisor_is_gone(host: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(**_: Any) -> None:
        raise supervisor.SupervisorError

    monkeypatch.setattr(supervisor, "processes", refuses)
    found = status.report(REQUEST)
    assert found["generations"] is None
    assert found["live"] is None
    assert "served" not in found, "nobody was to come"
