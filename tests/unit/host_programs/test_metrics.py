"""The page of numbers: what a process says is taken with care, and who asks is looked at."""

import re
import socket
from collections.abc import Callable
from typing import Any

import pytest

from wsapp.metrics import Metrics, render
from wshost.metrics import scrape
from wshost.metrics.page import Page
from wshost.requests import GenerationNumbers, Scrape

LABELS = {"process": "ws_00", "generation": "a" * 12, "live": "1"}
REQUEST: Scrape = {
    "name": "ws",
    "allow": ["10.0.0.5/32"],
    "app": True,
    "proxy": False,
    "watchdog": False,
    "firewall": False,
    "shared": "",
    "units": [],
    "certificates": [],
    "folders": ["/"],
    "max_connections": 100,
}


def told(**more: Any) -> str:
    metrics = Metrics(info={"process": "ws_00", "group": "ws-1", "loop": 'a"b'}, **more)
    return render(metrics, {"process_open_fds": 7})


def samples(text: str) -> list[str]:
    return [line for line in text.splitlines() if line[0] != "#"]


def test_samples_of_all_processes_are_in_one_family() -> None:
    page = Page()
    page.take(told(open=3), LABELS)
    page.take(told(open=4), {**LABELS, "process": "ws_01"})
    lines = page.text().splitlines()
    heads = [line for line in lines if line.startswith("# TYPE ")]
    assert len(heads) == len({*heads})
    at = lines.index("# TYPE wsapp_connections gauge")
    generation = f'generation="{"a" * 12}",live="1"'
    assert lines[at + 1 : at + 3] == [
        f'wsapp_connections{{process="ws_00",{generation}}} 3',
        f'wsapp_connections{{process="ws_01",{generation}}} 4',
    ]
    # Each sample stands below its own family, a histogram's buckets too.
    family = ""
    for line in lines:
        if line.startswith("# TYPE "):
            family = line.split()[2]
        elif line[0] != "#":
            name = re.split(r"[{ ]", line)[0]
            assert family in (name, re.sub(r"_(bucket|sum|count)$", "", name))


def test_labels_of_its_own_can_not_say_that_it_is_another() -> None:
    page = Page()
    page.take('wsapp_info{process="ws_07",live="0",group="x",loop="a\\"b"} 1\n', LABELS)
    assert samples(page.text()) == [
        f'wsapp_info{{loop="a\\"b",process="ws_00",generation="{"a" * 12}",live="1"}} 1'
    ]


@pytest.mark.parametrize(
    "line",
    [
        "ws_release_info 1",
        "up 0",
        'wsapp_connections{a="} 1',
        "wsapp_connections one",
        "wsapp_connections 1 1700000000000",
        "# TYPE up gauge",
        "\x1b[2J",
    ],
)
def test_an_app_can_not_say_anything_else(line: str) -> None:
    page = Page()
    page.take(f"{line}\n", LABELS)
    assert page.text() == ""


def test_an_app_can_not_fill_the_page() -> None:
    page = Page()
    page.take("".join(f'wsapp_closes_total{{code="{n}"}} 1\n' for n in range(5000)), LABELS)
    assert len(samples(page.text())) == 500


def test_counters_are_there_before_their_first_event() -> None:
    found = samples(told())
    assert 'wsapp_closes_total{code="1006"} 0' in found
    assert 'wsapp_handshakes_total{result="503"} 0' in found


def generation(reply: str | None, runs: bool = True) -> GenerationNumbers:
    process: Any = {"name": "ws_00", "runs": runs, "starts": 2, "reply": reply, "text": told()}
    return {"id": "a" * 12, "live": True, "release": "r", "commit": "c", "processes": [process]}


@pytest.mark.parametrize(
    ("reply", "runs", "up"),
    [("answered", True, 1), ("silent", True, 0), ("absent", True, 0), (None, False, 0)],
)
def test_whether_a_process_is_up(reply: str | None, runs: bool, up: int) -> None:
    page = Page()
    scrape._app(page, [generation(reply, runs)])
    (line,) = [it for it in samples(page.text()) if it.startswith("ws_process_up")]
    assert line.endswith(f"}} {up}")


def test_without_supervisor_that_is_what_it_says() -> None:
    page = Page()
    scrape._app(page, None)
    assert samples(page.text()) == ["ws_supervisor_up 0"]
    assert "# TYPE ws_process_up gauge" in page.text()


Ask = Callable[[str, str], str]


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Ask as a client with an address."""
    monkeypatch.setattr(scrape, "metrics", lambda _: "a 1\n")

    def asked(text: str, address: str) -> str:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.sendall(text.encode())
            ours.shutdown(socket.SHUT_WR)

            class Connection:
                def getpeername(self) -> tuple[str, int]:
                    return address, 1

                def recv(self, size: int) -> bytes:
                    return theirs.recv(size)

                def fileno(self) -> int:
                    return theirs.fileno()

            connection: Any = Connection()
            return scrape.answer(REQUEST, connection)

    return asked


GET = "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize(
    ("text", "address", "status"),
    [
        (GET, "10.0.0.5", "200 OK"),
        (GET, "::ffff:10.0.0.5", "200 OK"),
        (GET, "127.0.0.1", "200 OK"),
        (GET, "10.0.0.6", "403 Forbidden"),
        (GET, "fe80::1%eth0", "403 Forbidden"),
        (GET.replace("/metrics", "/"), "10.0.0.5", "404 Not Found"),
        (GET.replace("GET", "POST"), "10.0.0.5", "405 Method Not Allowed"),
        ("", "10.0.0.5", "405 Method Not Allowed"),
    ],
)
def test_who_may_ask_for_what(ask: Ask, text: str, address: str, status: str) -> None:
    assert ask(text, address).startswith(f"HTTP/1.1 {status}\r\n")


def test_a_head_has_no_body(ask: Ask) -> None:
    found = ask(GET.replace("GET", "HEAD"), "10.0.0.5")
    assert found.endswith("\r\n\r\n")
    assert "Content-Length: 4\r\n" in found


def test_what_can_not_be_found_out_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise OSError

    monkeypatch.setattr("wshost.survey.survey.units", fails)
    monkeypatch.setattr(scrape, "app", lambda *_: [generation("silent")])
    found = samples(scrape.metrics(REQUEST))
    assert "ws_capacity_clients 100" in found
    assert any(line.startswith('ws_disk_free_bytes{folder="/"} ') for line in found)
    assert any(line.startswith("ws_process_up{") and line.endswith(" 0") for line in found)
