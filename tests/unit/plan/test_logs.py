"""The logs of a fleet as one: in order of time, and what ended a client's connection."""

import json
from collections import Counter
from pathlib import Path
from typing import Any, cast

import pytest

from wsdeploy import App, SelfSigned, Settings
from wsdeploy.inventory import hosts
from wsdeploy.plan import logs
from wsdeploy.plan.logs import Connection, Line

NOW = 1_800_000_000.0


def fleet(folder: Path, listen: str = "tcp") -> Settings:
    (folder / "app.py").touch()
    made = [
        (n, {"private_address": f"10.0.0.{i}"}) for i, n in enumerate(("app1", "@a/b", "lb1"), 1)
    ]
    app, _ = hosts(
        Settings(
            "ws.a-company.com", App(str(folder / "app.py"), listen=cast(Any, listen)), SelfSigned()
        ),
        app=made[:2],
        proxy=made[2:],
    )
    return cast(Settings, app[1]["settings"])


def test_moments() -> None:
    assert logs.moment("90s", NOW) == NOW - 90
    assert logs.moment("2h", NOW) == NOW - 7200
    assert logs.moment("2027-01-15T08:00:00Z", NOW) == NOW
    assert logs.moment("2027-01-15T08:00", NOW) == NOW, "UTC, wherever this machine is"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ({"since": "yesterday"}, "'yesterday' is no time; give 90s, 15m, 2h or 3d"),
        ({"grep": "("}, "grep=( is no regular expression"),
        ({"lines": "0"}, "lines=0 is no number from 1 to 100,000"),
        ({"follow": "maybe"}, "follow=maybe is neither yes nor no"),
    ],
)
def test_mistakes(words: dict[str, str], complaint: str) -> None:
    with pytest.raises(logs.LogsError, match=f"^{complaint[:8].replace('(', '.')}") as raised:
        logs.wanted(words, NOW)
    assert str(raised.value).startswith(complaint)


def test_what_is_asked(tmp_path: Path) -> None:
    wanted = logs.wanted({"since": "1m", "client": "192.0.2.1", "follow": True, "lines": 5}, NOW)
    assert wanted.follow
    asked = wanted.request(fleet(tmp_path), "lb1")
    assert (asked["since"], asked["words"], asked["most"]) == (NOW - 60, ["192.0.2.1"], 5)
    assert asked["proxy"] == "nginx.service"
    assert wanted.request(fleet(tmp_path), "app1")["proxy"] is None


def test_lines_of_hosts_are_merged_by_time() -> None:
    def line(moment: float, text: str) -> Any:
        return {"time": moment, "source": "ws_00@a", "text": text}

    found = logs.merged(
        {"b": [line(2, "two"), line(4, "four")], "a": [line(1, "one"), line(3, "three")]}
    )
    assert [each.text for each in found] == ["one", "two", "three", "four"]


def test_lines_move_no_cursor() -> None:
    line = Line(NOW + 0.9996, "app1", "ws_00@a", "\x1b[2Jcolumns\tand \x9b")
    assert line.shown(16) == "2027-01-15 08:00:01.000 app1 ws_00@a      \\x1b[2Jcolumns\\tand \\x9b"


def test_what_is_followed_is_shown_once() -> None:
    one, two = Line(1, "a", "s", "one"), Line(2, "a", "s", "two")
    seen: Counter[Line] = Counter()
    assert [*logs.fresh([one, one], seen)] == [one, one]
    assert [*logs.fresh([one, one, two], seen)] == [two]
    assert [*logs.fresh([two, two], seen)] == [two]


@pytest.mark.parametrize(
    ("upstream", "listen", "found"),
    [
        ("unix:/run/ws/current/ws_01.sock:", "unix", ("lb1", "ws_01")),
        ("10.0.0.1:8001", "tcp", ("app1", "ws_01")),
        ("10.0.0.1:8000", "shared", ("app1", None)),
        ("app1-ws_01", "tcp", ("app1", "ws_01")),
        ("_a_b-ws_00", "tcp", ("@a/b", "ws_00")),
        ("app1-ws", "shared", ("app1", None)),
        ("10.9.9.9:8000", "tcp", (None, None)),
        ("-", "tcp", (None, None)),
    ],
)
def test_whom_a_proxy_has_passed_a_client_to(
    tmp_path: Path, upstream: str, listen: str, found: tuple[str | None, str | None]
) -> None:
    settings = fleet(tmp_path, listen if listen != "unix" else "tcp")
    assert logs.upstream_of(upstream, "lb1", settings) == found


def proxied(**changes: Any) -> Line:
    fields = {
        "client": "192.0.2.1", "status": 101, "seconds": 10.5, "upstream": "10.0.0.1:8001",
        "request_id": "one",
    }  # fmt: skip
    return Line(NOW, "lb1", "proxy", json.dumps(fields | changes))


EXITED = Line(NOW - 0.1, "app1", "supervisor", "WARN exited: ws_01 (terminated by SIGKILL)")
KILLED = Line(NOW - 0.2, "app1", "watchdog", "ws_01 (pid 7) has not answered for 8.2 s: killed")
OTHERS = (
    Line(NOW, "app1", "supervisor", "WARN exited: ws_00 (exit status 1)"),
    Line(NOW, "@a/b", "supervisor", "WARN exited: ws_01 (exit status 1)"),
    Line(NOW - 60, "app1", "supervisor", "WARN exited: ws_01 (exit status 1)"),
)


def test_a_client_that_was_cut_off_with_its_process(tmp_path: Path) -> None:
    settings = fleet(tmp_path)
    every = [*OTHERS, KILLED, EXITED, proxied()]
    found = logs.connections(every, settings)
    lines = logs.about(every, found)
    assert lines == [KILLED, EXITED, proxied()]
    (text,) = logs.explanation(found, lines)
    assert text == (
        "192.0.2.1, request one, was served by app1 ws_01 from 07:59:49 to 08:00:00 (10.5 s); its "
        "process ended: watchdog: ws_01 (pid 7) has not answered for 8.2 s: killed; supervisor: "
        "WARN exited: ws_01 (terminated by SIGKILL)"
    )


@pytest.mark.parametrize(
    "text", ["closed request_id=one code=1006", '{"request_id": "one", "code": 1006}']
)
def test_a_client_that_the_app_saw_end(tmp_path: Path, text: str) -> None:
    own = Line(NOW, "app1", "ws_01@a", text)
    found = logs.connections([proxied()], fleet(tmp_path))
    (said,) = logs.explanation(found, [own, EXITED, proxied()])
    assert said.endswith("(10.5 s); the app saw it end, code 1006")


def test_a_handshake_that_was_refused(tmp_path: Path) -> None:
    found = logs.connections([proxied(status=503, upstream="-")], fleet(tmp_path))
    (said,) = logs.explanation(found, [])
    assert said == "192.0.2.1, request one, was answered 503 at 08:00:00"


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "{}", '{"seconds": "x", "upstream": 5}', "[" * 9999]
)
def test_other_lines_of_proxies_are_about_no_connection(tmp_path: Path, text: str) -> None:
    assert Connection.of(Line(NOW, "lb1", "proxy", text), fleet(tmp_path)) is None
