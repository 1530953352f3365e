"""Logs on a host: all of them by their time, and only what is asked for."""

import calendar
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from wshost import requests
from wshost.logs import logs, times
from wshost.survey import survey

AT = float(calendar.timegm((2026, 1, 31, 12, 0, 0, 0, 0, 0)))
GENERATION = "a" * 12


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (b"2026-01-31T12:00:00.250Z INFO closed", AT + 0.25),
        (b'{"time":"2026-01-31T13:00:00+01:00","client":"x"}', AT),
        (b'{"time": "2026-01-31T12:00:00.5Z", "level": "info"}', AT + 0.5),
        (b'{"level":"info","time":"2026-01-31T12:00:00Z"}', AT),
        (b"Traceback (most recent call last):", None),
        (b"", None),
    ],
)
def test_the_time_of_a_line(line: bytes, found: float | None) -> None:
    assert times.read(line) == found


def test_a_time_without_a_zone_is_the_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        assert times.read(b"2026-01-31 13:00:00,500 WARN exited: ws_00") == AT + 0.5
        assert times.read(b"2026/01/31 13:00:00 [error] 7#7: upstream") == AT
    finally:
        monkeypatch.undo()
        time.tzset()


def stamp(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment)) + ".000Z"


def test_a_long_log_is_read_from_where_it_matters(tmp_path: Path) -> None:
    log = tmp_path / "ws_00.log"
    log.write_text("".join(f"{stamp(AT + n)} {'x' * 90}\n  more of {n}\n" for n in range(10_000)))
    with open(log, "rb") as file:
        place = times.begin(file.fileno(), AT + 9000)
        assert place > 0.85 * log.stat().st_size
        assert times.begin(file.fileno(), AT - 5) == 0
    found = [*logs.of_file(log, "ws_00", AT + 9000, AT + 9001)]
    assert [line["text"][-12:] for line in found] == [
        "x" * 12, "more of 9000", "x" * 12, "more of 9001",
    ]  # fmt: skip
    assert {line["time"] for line in found} == {AT + 9000, AT + 9001}


def test_a_link_or_a_pipe_is_no_log(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(f"{stamp(AT)} secret\n")
    link, pipe = tmp_path / "link.log", tmp_path / "pipe.log"
    link.symlink_to(secret)
    os.mkfifo(pipe)
    for each in (link, pipe):
        assert [*logs.of_file(each, "ws_00", AT - 1, AT + 1)] == []


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The logs of a host: of a process, Supervisor, the proxy and the kernel."""
    monkeypatch.setattr(logs, "LOG", tmp_path)
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    texts = {
        f"ws/{GENERATION}/ws_00.log": (
            f"{stamp(AT + 1)} INFO closed client=10.0.0.1 request_id=one code=1000\n"
            f"{stamp(AT + 3)} ERROR boom\nTraceback\n"
            f"{stamp(AT + 4)} INFO closed client=10.0.0.12 request_id=two code=1006\n"
        ),
        f"ws/{GENERATION}/ws_01.log": f"{stamp(AT + 2)} INFO hello\n",
        "ws/other/ws_01.log": f"{stamp(AT + 2)} INFO no generation\n",
        "supervisor/supervisord.log": (
            "2026-01-31 12:00:05,000 WARN exited: ws_00 (terminated by SIGKILL; not expected)\n"
            "2026-01-31 12:00:05,000 WARN exited: others_00 (exit status 1; not expected)\n"
        ),
        "nginx/ws.log": f'{{"time":"{stamp(AT)}","client":"10.0.0.1","request_id":"one"}}\n',
        "ws/deploys.log": f'{{"time": "{stamp(AT - 100)}", "by": "anna"}}\n',
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    killed = {"MESSAGE": [79, 117, 116, 255], "__REALTIME_TIMESTAMP": f"{(AT + 6) * 1e6:.0f}"}
    said = {"--dmesg": json.dumps(killed) + '\nnull\n{"MESSAGE": 5}\n'}
    monkeypatch.setattr(
        survey, "run", lambda *words: next((said[w] for w in words if w in said), "")
    )
    return tmp_path


def ask(**changes: Any) -> list[tuple[str, str]]:
    request: requests.Logs = {
        "name": "ws", "since": AT, "until": AT + 60, "proxy": "nginx.service", "process": None,
        "grep": None, "words": [], "most": 100,
    }  # fmt: skip
    found = logs.report({**request, **changes})  # type: ignore[typeddict-item]
    return [(line["source"].partition("@")[0], line["text"][-12:]) for line in found["lines"]]


def test_all_logs_in_order_of_time(folder: Path) -> None:
    assert ask() == [
        ("proxy", 'st_id":"one"}'[-12:]),
        ("ws_00", "ne code=1000"),
        ("ws_01", "Z INFO hello"),
        ("ws_00", "Z ERROR boom"),
        ("ws_00", "Traceback"),
        ("ws_00", "wo code=1006"),
        ("supervisor", "ot expected)"),
        ("kernel", "Out\ufffd"),
    ]


def test_only_what_is_asked_for(folder: Path) -> None:
    assert [source for source, _ in ask(process="ws_01")] == ["ws_01"]
    assert [source for source, _ in ask(process="ws_00")] == ["ws_00"] * 4 + ["supervisor"]
    assert ask(grep="code=10{2}6") == [("ws_00", "wo code=1006")]
    assert ask(most=1) == [("kernel", "Out\ufffd")]
    assert [source for source, _ in ask(until=AT + 2)] == ["proxy", "ws_00", "ws_01"]
    assert next(source for source, _ in ask(proxy=None)) == "ws_00"
    assert ("deploys", '"by": "anna"}'[-12:]) in ask(since=AT - 200)


def test_a_clients_lines_come_with_the_ends_of_processes(folder: Path) -> None:
    found = [source for source, _ in ask(words=["10.0.0.1"])]
    assert found == ["proxy", "ws_00", "supervisor", "kernel"], "10.0.0.12 is somebody else"


def test_what_was_left_out_is_told(folder: Path) -> None:
    request: Any = {
        "name": "ws", "since": AT, "until": AT + 60, "proxy": None, "process": "ws_00",
        "grep": "INFO", "words": [], "most": 1,
    }  # fmt: skip
    found = logs.report(request)
    assert (len(found["lines"]), found["left_out"]) == (1, 1)
