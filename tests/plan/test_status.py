"""wsdeploy.status: one exchange with each host, one screen, an exit code, and nothing changed."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.plan.conftest import Converged, Deploy, MakeFleet, Run
from wsdeploy.plan.status import hosts

NOW = 1_800_000_000.0
PROCESS = {
    "pid": 7, "statename": "RUNNING", "seconds": 5000.0, "starts": 1, "reply": "answered",
    "numbers": {
        "connections": 100, "most": 0, "draining": False, "handshakes": {"101": 3},
        "closes": {"1000": 2}, "lag": 0.004,
    },
    "connections": 100, "cores": 0.2, "memory": 80 * 2**20, "end": "", "ended": 0.0, "ends": 0,
    "said": "",
}  # fmt: skip
LIVE = {
    "id": "a" * 12, "live": True, "release": "one", "commit": None, "since": 1.0,
    "by": "anna@laptop", "hang_timeout": 10.0, "start_timeout": 30.0, "expected": 4,
    "processes": [{**PROCESS, "name": f"ws_0{number}"} for number in range(4)],
}  # fmt: skip
WELL = {
    "time": NOW, "booted": 9e5, "live": LIVE["id"], "generations": [], "kills": [],
    "disks": [{"folder": "/", "free": 60, "size": 100, "files_free": 9, "files": 10}],
    "firewall_as_loaded": True, "lock": None, "last_change": None, "available": 50, "memory": 100,
    "load": 0.5, "processors": 2,
}  # fmt: skip
UNIT = {"ActiveState": "active"}


@pytest.fixture
def look(deploy: Deploy, tiers: MakeFleet, converged: Converged) -> Callable[..., Run]:
    """Look at two app hosts and a proxy that have all that they should have."""

    def run(*options: str, changed: dict[str, Any] | None = None, **settings: Any) -> Run:
        """changed: of a host's answer, by its name; a text in its place is what it complains of."""
        fleet = tiers(**settings)
        others = {}
        for name, survey in converged(fleet).items():
            answer: dict[str, Any] = {**WELL, "survey": survey}
            answer["units"] = dict.fromkeys(hosts.units(fleet.settings, name), UNIT)
            if "app" in name:
                answer["generations"] = [LIVE]
            else:
                certificate = next(iter(survey["certificates"]), "")
                answer |= {"served": True, "proxy_clients": 200}
                answer["certificates"] = survey["certificates"] | {
                    certificate: {"not_after": "2100-01-01 00:00:00Z"}
                }
            own = (changed or {}).get(name.removeprefix("@fake/"), {})
            said = (
                {"success": False, "stderr": own}
                if isinstance(own, str)
                else json.dumps(answer | own)
            )
            others[name] = {"wsdeploy-status": said}
        what = ["wsdeploy.status"]
        return deploy(fleet, converged(fleet), *options, others=others, what=what)

    return run


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"proxy": "HAProxy()", "app": 'listen="tcp"'},
        {"more": "internal_tls=True"},
        {"tls": 'Acme("a@b.org")'},
        {"processes": "auto"},
    ],
)
def test_all_is_well(look: Callable[..., Run], settings: dict[str, Any]) -> None:
    done = look(**settings)
    assert done.code == 0, done.said
    head, *_ = done.out.splitlines()
    assert head.startswith("wss://ws.a-company.com/  SERVES  800 clients")
    assert "differ" not in done.out
    assert "as planned" in done.out
    # Nothing of pyinfra's own, and no question.
    assert done.err == "--> Loading config...\n"


def test_each_host_is_asked_once_and_nothing_is_changed(look: Callable[..., Run]) -> None:
    done = look("--debug")
    assert sorted(done.programs) == [
        (f"@fake/{host}", "status") for host in ("app1", "app2", "lb1")
    ]
    assert set(done.exchanges.values()) == {1}
    assert done.locks == []


def test_for_programs(look: Callable[..., Run]) -> None:
    done = look("--json", changed={"app2": {"firewall_as_loaded": False}})
    assert done.code == 1
    found = json.loads(done.out)["wsdeploy"]["status"]
    assert (found["state"], found["code"], found["clients"]) == ("degraded", 1, 800)
    (problem,) = found["problems"]
    assert (problem["host"], problem["level"]) == ("@fake/app2", "degraded")
    assert problem["text"].startswith("the packet filter does not have the rules")
    assert found["hosts"]["@fake/lb1"]["served"] is True
    assert found["hosts"]["@fake/app1"]["generations"][0]["processes"][0]["reply"] == "answered"
    assert "survey" not in found["hosts"]["@fake/app1"]


def test_a_host_that_does_not_answer_is_a_line(look: Callable[..., Run]) -> None:
    done = look(changed={"app2": "no space left\x1b[2J"})
    assert done.code == 1
    assert "! @fake/app2: can't be reached: no space left\\x1b[2J" in done.out
    assert "\x1b" not in done.out
    assert "400 clients" in done.out.splitlines()[0]


def test_nobody_answers(look: Callable[..., Run]) -> None:
    done = look(changed=dict.fromkeys(("app1", "app2", "lb1"), "gone"))
    assert done.code == 2
    assert "!! no host can be reached" in done.out


def test_what_somebody_has_changed_by_hand(
    look: Callable[..., Run], converged: Converged, tiers: MakeFleet
) -> None:
    survey = converged(tiers())["@fake/lb1"]
    survey["paths"]["/etc/nginx/nginx.conf"]["sha256"] = "0"
    done = look(changed={"lb1": {"survey": survey}})
    assert done.code == 1
    assert "! @fake/lb1: not as planned: /etc/nginx/nginx.conf" in done.out
    assert done.out.count("not as planned") == 1


def test_logs_of_all_hosts_as_one(deploy: Deploy, tiers: MakeFleet, converged: Converged) -> None:
    fleet = tiers()

    def answer(host: str, moment: float) -> dict[str, str]:
        line = {"time": moment, "source": "proxy", "text": f"{host} \x1b[2J"}
        return {"wsdeploy-logs": json.dumps({"lines": [line], "left_out": 0, "time": moment})}

    moments = {"app1": 3.0, "app2": 1.0}
    others: dict[str, dict[str, Any]] = {
        f"@fake/{host}": answer(host, moment) for host, moment in moments.items()
    }
    others["@fake/lb1"] = {"wsdeploy-logs": {"success": False, "stderr": "gone"}}
    done = deploy(fleet, converged(fleet), others=others, what=["wsdeploy.logs", "since=1h"])
    assert done.code == 1
    assert done.out.splitlines() == [
        "1970-01-01 00:00:01.000 @fake/app2 proxy  app2 \\x1b[2J",
        "1970-01-01 00:00:03.000 @fake/app1 proxy  app1 \\x1b[2J",
    ]
    assert "@fake/lb1 does not answer: gone" in done.err
    done = deploy(
        fleet, converged(fleet), "--json", others=others, what=["wsdeploy.logs", "host=@fake/app1"]
    )
    assert done.code == 0, done.said
    (line,) = json.loads(done.out)["wsdeploy"]["logs"]["lines"]
    assert (line["host"], line["time"]) == ("@fake/app1", 3.0)


def test_logs_say_what_they_can_not_be_asked(
    deploy: Deploy, alone: MakeFleet, converged: Converged
) -> None:
    fleet = alone()
    done = deploy(fleet, converged(fleet), what=["wsdeploy.logs", "since=soon"])
    assert done.code == 1
    assert "'soon' is no time; give 90s, 15m, 2h or 3d" in done.said
