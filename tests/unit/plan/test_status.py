"""What is wrong in a fleet: each thing has a line, with the way out, and the worst comes first."""

import copy
from collections.abc import Callable
from typing import Any, cast

import pytest

from tests.plan.test_status import LIVE, NOW, PROCESS, UNIT, WELL
from wsdeploy import Acme, App, Settings
from wsdeploy.inventory import hosts as make_hosts
from wsdeploy.plan.status import hosts, screen
from wsdeploy.plan.status.problems import Level
from wshost.requests import StatusAnswer


@pytest.fixture
def settings(tmp_path: Any) -> Settings:
    (tmp_path / "app.py").touch()
    app, _ = make_hosts(
        Settings("ws.a-company.com", App(str(tmp_path / "app.py")), Acme("a@b.org")),
        app=["one", "two"],
    )
    return cast(Settings, app[1]["settings"])


def answers(settings: Settings) -> dict[str, Any]:
    """What two hosts answer that are well."""
    units = dict.fromkeys(hosts.units(settings, "one"), UNIT)
    certificate = {"/etc/ws/tls/cert.pem": {"not_after": "2100-01-01 00:00:00Z"}}
    well = {
        **WELL, "generations": [LIVE], "units": units, "served": True, "proxy_clients": 400,
        "certificates": certificate,
    }  # fmt: skip
    return {"one": copy.deepcopy(well), "two": copy.deepcopy(well)}


Change = Callable[[dict[str, Any]], object]


def process(**changes: Any) -> Change:
    return lambda answer: answer["generations"][0]["processes"][1].update(changes)


def told(**numbers: Any) -> Change:
    return process(numbers={**PROCESS["numbers"], **numbers})  # type: ignore[dict-item]


def host(**changes: Any) -> Change:
    return lambda answer: answer.update(changes)


def disk(**changes: Any) -> Change:
    return lambda answer: answer["disks"][0].update(changes)


def certificate(until: str) -> Change:
    return host(certificates={"/etc/ws/tls/cert.pem": {"not_after": until}})


def unit(name: str, state: str) -> Change:
    return lambda answer: answer["units"].update({name: {"ActiveState": state}})


KILLED = {
    "starts": 2,
    "end": "terminated by SIGKILL",
    "ended": NOW - 12,
    "ends": 1,
    "seconds": 12.0,
}
OLD = {**LIVE, "id": "b" * 12, "live": False}
HELD = {"owner": "anna@laptop", "since": NOW - 7200, "step": "App on one", "until": None}

CASES = {
    "killed": (
        process(**KILLED),
        "one: ws_01 ended 12 s ago (terminated by SIGKILL) and was started again; its clients were "
        "cut off (1006)",
    ),
    "hung": (
        process(reply="silent"),
        "one: ws_01 hangs: it does not answer; the watchdog kills it after 10 s of that",
    ),
    "restarting for ever": (
        process(statename="BACKOFF", pid=0, end="exit status 1", ends=7, said="no database"),
        "one: ws_01 ends again and again, 7 times in the last hour; it ended last with: exit "
        "status 1; it said: no database",
    ),
    "restarting, seen while it runs": (
        process(**KILLED | {"ends": 3}),
        "one: ws_01 ends again and again, 3 times in the last hour; it ended last with: "
        "terminated by SIGKILL",
    ),
    "given up": (process(statename="FATAL", pid=0), "one: ws_01 is FATAL"),
    "listens nowhere": (
        process(reply="absent", seconds=300.0),
        "one: ws_01 listens nowhere, 5 min after its start: it drains, or has failed without "
        "ending",
    ),
    "late": (told(lag=2.5), "one: ws_01's event loop was late by 2.5 s in the last minute"),
    "full": (told(most=110), "one: ws_01 has 100 of at most 110 clients"),
    "broken": (
        told(closes={"1006": 15, "1000": 3}),
        "one: 15 connections of ws_01 broke in the last minute (1006, 1011)",
    ),
    "lacks a process": (
        lambda answer: answer["generations"][0]["processes"].pop(),
        "one: Supervisor lacks 1 of 4 processes",
    ),
    "nothing serves": (host(generations=[]), "one: nothing serves here"),
    "no Supervisor": (host(generations=None), "one: Supervisor does not answer"),
    "left over": (
        host(generations=[LIVE, OLD]),
        "one: generation bbbbbbbbbbbb is left from a run that has ended",
    ),
    "watchdog": (
        host(kills=["ws_01 (pid 7) has not answered for 8.2 s: killed"]),
        "one: the watchdog has killed 1 in the last hour: ws_01 (pid 7) has not answered for 8.2 "
        "s: killed",
    ),
    "disk": (disk(free=0), "one: the disk of / is full: nothing is free"),
    "inodes": (disk(files_free=0), "one: the disk of / is full: nothing is free"),
    "memory": (host(available=2), "one: 2% of its memory is free"),
    "firewall": (
        host(firewall_as_loaded=False),
        "one: the packet filter does not have the rules that were deployed: somebody has changed "
        "or flushed them",
    ),
    "certificate": (certificate("2027-01-20 08:00:00Z"), "one: the certificate ends in 5 days"),
    "expired": (certificate("2027-01-10 08:00:00Z"), "one: the certificate has expired"),
    "no certificate": (host(certificates={}), "one: there is no certificate"),
    "renewal": (
        unit("ws-certificate.service", "failed"),
        "one: the last renewal of the certificate has failed",
    ),
    "timer": (
        unit("ws-certificate.timer", "inactive"),
        "one: ws-certificate.timer is inactive",
    ),
    "not served": (host(served=False), "one: its proxy does not serve a client"),
    "lock": (host(lock=HELD), "one: anna@laptop has had the lock for 2 h: App on one"),
}


def report(settings: Settings, found: dict[str, Any]) -> screen.Report:
    fleet = hosts.look(settings, cast(dict[str, StatusAnswer | str], found))
    return screen.Report.of(settings, fleet, NOW)


@pytest.mark.parametrize(("change", "text"), CASES.values(), ids=CASES)
def test_one_thing_is_wrong(settings: Settings, change: Change, text: str) -> None:
    found = answers(settings)
    assert report(settings, found).found == []
    change(found["one"])
    shown = report(settings, found)
    (problem,) = shown.found
    assert f"{problem.host}: {problem.text}" == text
    assert problem.way_out
    assert text in "\n".join(screen.lines(shown))
    assert shown.level == (Level.DOWN if "expired" in text else Level.DEGRADED)
    assert screen.to_json(shown)["problems"][0]["text"] == problem.text


def test_nobody_serves(settings: Settings) -> None:
    found = answers(settings)
    for each in found.values():
        for one in each["generations"][0]["processes"]:
            one |= {"statename": "FATAL", "pid": 0, "reply": None}
    shown = report(settings, found)
    assert shown.level is Level.DOWN
    assert shown.found[0].text == "no process of the app serves"
    assert "DOWN: 9 problems" in next(screen.lines(shown))


def test_hosts_that_serve_different_releases(settings: Settings) -> None:
    found = answers(settings)
    found["two"]["generations"][0]["release"] = "other"
    (problem,) = report(settings, found).found
    assert problem.text == "hosts serve 2 different releases"


def test_an_end_long_ago_is_no_problem(settings: Settings) -> None:
    found = answers(settings)
    process(**KILLED | {"ended": NOW - 1000, "seconds": 1000.0})(found["one"])
    assert report(settings, found).found == []


def test_what_could_not_be_found_out_in_time_is_no_problem(settings: Settings) -> None:
    found = answers(settings)
    kept = ("time", "booted", "live", "available", "memory", "load", "processors", "generations")
    found["one"] = {key: found["one"][key] for key in kept}
    shown = report(settings, found)
    assert shown.found == []
    assert [*screen.lines(shown)]


def test_two_generations_one_of_which_drains(settings: Settings) -> None:
    found = answers(settings)
    leaves = {**PROCESS, "name": "ws_00", "reply": "absent", "numbers": None, "connections": 212}
    found["one"]["generations"].append({**OLD, "processes": [leaves]})
    found["one"]["lock"] = HELD | {"since": NOW}
    text = "\n".join(screen.lines(report(settings, found)))
    assert "at work: anna@laptop: App on one" in text
    assert "draining, 212 left" in text
    assert "1,012 clients" in text.splitlines()[0]


def test_nothing_of_a_host_moves_a_terminals_cursor(settings: Settings) -> None:
    found = answers(settings)
    process(statename="BACKOFF", said="\x1b[2J\x9b")(found["one"])
    found["one"]["generations"][0]["release"] = found["two"]["generations"][0]["release"] = (
        "\x1b]0;"
    )
    text = "".join(screen.lines(report(settings, found)))
    assert "\x1b" not in text
    assert "\x9b" not in text
    assert "\x1b[33m" in "".join(screen.lines(report(settings, found), colour=True))
