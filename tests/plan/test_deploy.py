"""What a deployment does to hosts in every state, in which order, and in how many exchanges."""

import dataclasses
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.plan.conftest import Converged, Deploy, Fleet, MakeFleet
from wsdeploy.plan.host import firewall, paths, upgrades
from wsdeploy.plan.host.survey import Survey
from wsdeploy.plan.target import Target

DRY = ("--dry", "--json", "--debug")
QUIET = ("-y", "--json")
LOUD = ("-y", "--json", "--debug")
BUDGET = 6
"""Exchanges that a host may cost that is as planned, whatever there is on it."""

# A dependency that no index is asked for: a file that is not there.
NOWHERE = f"demo @ file:///no/such/demo-1.0-py3-none-any.whl --hash=sha256:{'0' * 64}\n"

CHANGING = {
    "apply_files",
    "self_signed",
    "install_packages",
    "install_release",
    "retire",
    "rollout",
}
# Units by which operations are called.
UNITS = {"Nginx()": "nginx.service", "HAProxy()": "haproxy.service"}


def last(names: list[str], name: str) -> int:
    """Where a name comes last in a list."""
    return len(names) - 1 - names[::-1].index(name)


def test_converged_hosts_stay_as_they_are(
    deploy: Deploy, alone: MakeFleet, converged: Converged, proxy: str
) -> None:
    fleet = alone("a", "b", "c", proxy=proxy)
    done = deploy(fleet, converged(fleet), *LOUD)
    assert done.code == 0, done.said
    assert done.changed == {}
    assert done.totals["success"] == done.totals["error"] == 0
    for name in "abc":
        # A client has a look, too, as part of it.
        assert done.programs_of(name) == ["survey"]
    # More hosts cost each the same.
    assert len(set(done.exchanges.values())) == 1
    assert 0 < done.exchanges["@fake/a"] <= BUDGET


def test_converged_tiers_stay_as_they_are(
    deploy: Deploy, tiers: MakeFleet, converged: Converged, proxy: str
) -> None:
    fleet = tiers(proxy=proxy)
    done = deploy(fleet, converged(fleet), *LOUD)
    assert done.code == 0, done.said
    assert done.changed == {}
    assert done.totals["success"] == done.totals["error"] == 0
    assert done.exchanges.keys() == {*fleet.names}
    assert max(done.exchanges.values()) <= BUDGET
    assert not CHANGING & {program for _, program in done.programs}
    assert {program for _, program in done.programs} == {"survey"}


def test_a_client_that_was_not_served_comes_again_at_the_end(
    deploy: Deploy, tiers: MakeFleet, converged: Converged, proxy: str
) -> None:
    fleet = tiers(proxy=proxy)
    surveys = converged(fleet)
    surveys["@fake/lb1"]["served"] = False
    done = deploy(fleet, surveys, *LOUD)
    assert done.code == 0, done.said
    assert [host for host, program in done.programs if program == "probe"] == ["@fake/lb1"]


def test_a_client_comes_again_after_any_change_on_any_host(
    deploy: Deploy, tiers: MakeFleet, converged: Converged
) -> None:
    fleet = tiers()
    surveys = converged(fleet)
    surveys["@fake/app2"]["paths"].pop("/etc/sysctl.d/60-ws.conf")
    done = deploy(fleet, surveys, *LOUD)
    assert done.code == 0, done.said
    assert [host for host, program in done.programs if program == "probe"] == ["@fake/lb1"]


def test_a_converged_host_costs_few_exchanges_however_large(
    deploy: Deploy, alone: MakeFleet, converged: Converged
) -> None:
    fleet = alone(processes=99)
    done = deploy(fleet, converged(fleet), *LOUD)
    assert done.totals["success"] == 0, done.changed
    assert done.exchanges["@fake/one"] <= BUDGET


def test_a_dry_run_shows_every_change_and_makes_none(
    deploy: Deploy, alone: MakeFleet, bare: Converged, converged: Converged, proxy: str
) -> None:
    fleet = alone("bare", "done", proxy=proxy)
    surveys = {**converged(fleet), "@fake/bare": bare(fleet)["@fake/bare"]}
    done = deploy(fleet, surveys, *DRY)
    assert done.code == 0, done.said
    assert done.to_change("bare") == {
        "Base | Packages",
        "Base | Package upgrades",
        "Base | Package upgrades restart nothing",
        "Base | Firewall",
        "Base | User, folders, kernel settings",
        "App | Supervisor",
        "App | Watchdog",
        "App | Release",
        "App | Processes",
        "Proxy | Certificate",
        f"Proxy | {UNITS[proxy]}",
    }
    assert done.to_change("done") == set()
    assert {program for _, program in done.programs} <= {"survey", "probe"}


ALL_OF_IT = [
    "install_packages",
    "apply_files",
    "apply_files",
    "apply_files",
    "try_firewall",
    "apply_files",
    "apply_files",
    "apply_files",
    "install_release",
    "rollout",
    "self_signed",
    "apply_files",
    "probe",
]


def test_bare_hosts_get_everything_in_order(
    deploy: Deploy, alone: MakeFleet, bare: Converged, converged: Converged, proxy: str
) -> None:
    # Hosts in different states have different work to do, so they are not in step by themselves.
    fleet = alone("a", "b", "c", proxy=proxy)
    surveys = {**bare(fleet), "@fake/b": converged(fleet)["@fake/b"]}
    done = deploy(fleet, surveys, *LOUD)
    assert done.code == 0, done.said
    for name in "ac":
        assert [p for p in done.programs_of(name) if p != "survey"] == ALL_OF_IT
    assert [p for p in done.programs_of("b") if p != "survey"] == ["probe"]
    # Every host serves before any proxy is touched.
    order = [program for _, program in done.programs]
    assert order.count("rollout") == order.count("self_signed") == 2
    assert last(order, "rollout") < order.index("self_signed")
    assert last(order, "rollout") < order.index("probe")
    assert done.changed["App | Processes"] == ["@fake/a", "@fake/c"]


def test_a_proxy_of_its_own_waits_for_the_app_hosts(
    deploy: Deploy, tiers: MakeFleet, bare: Converged, proxy: str
) -> None:
    # pyinfra would run its first operation as soon as it can, while app hosts still have others.
    fleet = tiers(proxy=proxy)
    done = deploy(fleet, bare(fleet), *LOUD)
    assert done.code == 0, done.said
    order = [program for _, program in done.programs]
    assert order.count("rollout") == 2
    assert order.count("self_signed") == 1
    assert last(order, "rollout") < order.index("self_signed")
    # Packages, their upgrades (two sets), the base, the firewall, Supervisor, watchdog, the app.
    for name in ("app1", "app2"):
        assert [p for p in done.programs_of(name) if p != "survey"] == [
            "install_packages",
            "apply_files",
            "apply_files",
            "apply_files",
            "try_firewall",
            "apply_files",
            "apply_files",
            "apply_files",
            "install_release",
            "rollout",
        ]
    assert [p for p in done.programs_of("lb1") if p != "survey"] == [
        "install_packages",
        "apply_files",
        "apply_files",
        "apply_files",
        "try_firewall",
        "apply_files",
        "self_signed",
        # nginx asks who is there; HAProxy does by itself.
        *(["apply_files"] if proxy == "Nginx()" else []),
        "apply_files",
        "probe",
    ]
    assert done.changed["Base | Firewall"] == list(fleet.names)


OTHER = "f" * 12


def test_old_processes_leave_when_the_proxies_know_the_new_ones(
    deploy: Deploy, tiers: MakeFleet, converged: Converged
) -> None:
    fleet = tiers()
    surveys = converged(fleet)
    for name in ("@fake/app1", "@fake/app2"):
        old = {"group": f"ws-{OTHER}", "name": "ws_00", "statename": "RUNNING", "pid": 9}
        surveys[name]["processes"].append(old | {"start": 1})
    surveys["@fake/lb1"]["paths"][paths.NGINX_CONF]["sha256"] = "0" * 64
    done = deploy(fleet, surveys, *LOUD)
    assert done.code == 0, done.said
    order = [program for _, program in done.programs]
    assert order.count("retire") == 2
    assert order.index("apply_files") < order.index("probe") < order.index("retire")
    assert done.changed == {
        "Proxy | nginx.service": ["@fake/lb1"],
        "App | Old processes": ["@fake/app1", "@fake/app2"],
    }


@pytest.mark.parametrize("options", [(), ("--fail-percent", "100")], ids=" ".join)
def test_an_unhealthy_release_stays_on_the_first_host(
    deploy: Deploy,
    tiers: MakeFleet,
    bare: Converged,
    converged: Converged,
    options: tuple[str, ...],
) -> None:
    fleet = tiers()
    broken = {"wsdeploy-rollout": {"success": False, "stderr": "ws_03 is not healthy"}}
    others = dict.fromkeys(fleet.names[:2], broken)
    first, second = fleet.names[:2]
    # One of them has clients, who have to be protected.
    served = converged(fleet)[second]
    served["paths"]["/run/ws/current"]["target"] = OTHER
    surveys = bare(fleet) | {second: served}
    # Whatever a user lets fail, a bad release goes no further.
    done = deploy(fleet, surveys, "-y", "--debug", *options, others=others)
    assert done.code == 1
    assert [host for host, program in done.programs if program == "rollout"] == [first]
    assert f"[{first}] ws_03 is not healthy" in done.said
    lines = re.findall(rf"\[{second}\] (.* is unhealthy.*)", done.said)
    said = f"{first} is unhealthy; {second} was left as it is"
    assert lines == ([said] if options else [])
    assert "Traceback" not in done.said
    if not options:
        assert not {"self_signed", "probe", "retire"} & {program for _, program in done.programs}
        assert done.programs_of("lb1").count("apply_files") == 4, "of the base"


def test_hosts_of_a_new_fleet_do_not_wait_for_each_other(
    deploy: Deploy, tiers: MakeFleet, bare: Converged
) -> None:
    fleet = tiers()
    broken = {"wsdeploy-rollout": {"success": False, "stderr": "ws_03 is not healthy"}}
    done = deploy(fleet, bare(fleet), *LOUD, others={fleet.names[0]: broken})
    assert done.code == 1
    rollouts = [host for host, program in done.programs if program == "rollout"]
    assert sorted(rollouts) == sorted(fleet.names[:2])
    # Nobody is let in before all of them serve.
    assert not {"probe", "retire"} & {program for _, program in done.programs}


def test_hosts_take_turns_if_one_that_is_no_part_of_the_run_may_serve(
    deploy: Deploy, tiers: MakeFleet, bare: Converged
) -> None:
    fleet = tiers()
    limit = ("--limit", fleet.names[0])
    done = deploy(fleet, bare(fleet), *LOUD, *limit)
    assert done.code == 0, done.said
    assert "App | First processes" not in done.changed
    assert "App | Processes" in done.changed


def test_no_proxy_is_touched_if_a_release_does_not_arrive(
    deploy: Deploy, alone: MakeFleet, bare: Converged
) -> None:
    fleet = alone("a", "b")
    broken = {"wsdeploy-install_release": {"success": False, "stderr": "No space left on device"}}
    done = deploy(fleet, bare(fleet), "-y", "--debug", others={"@fake/b": broken})
    assert done.code == 1
    assert "No space left on device" in done.said
    assert "Traceback" not in done.said
    assert not {"rollout", "self_signed", "probe"} & {program for _, program in done.programs}


def test_a_clients_complaint_fails_the_run(
    deploy: Deploy, alone: MakeFleet, converged: Converged
) -> None:
    complaint = "wss://ws.a-company.com/: the handshake was answered with 503, not 101"
    fleet = alone()
    surveys = converged(fleet)
    surveys["@fake/one"]["served"] = False
    others = {"@fake/one": {"wsdeploy-probe": f"wsdeploy-probe-begins\n{complaint}\n\n"}}
    done = deploy(fleet, surveys, "-y", others=others)
    assert done.code == 1
    assert f"[@fake/one] no WebSocket through the proxy: {complaint}" in done.said
    assert "Traceback" not in done.said


@pytest.mark.parametrize("option", ["-y", "--dry"])
def test_a_release_that_can_not_be_built(
    deploy: Deploy, alone: MakeFleet, bare: Converged, folder: Path, option: str
) -> None:
    (folder / "requirements.txt").write_text(NOWHERE)
    fleet = alone()
    done = deploy(fleet, bare(fleet), option, "--debug")
    assert done.code == 1
    assert "the release can't be built" in done.said
    assert "no/such/demo-1.0-py3-none-any.whl" in done.said, "what uv said"
    # The debug log shows where pyinfra itself caught it.
    assert "Traceback" not in done.out
    assert not {"install_release", "rollout", "self_signed"} & {n for _, n in done.programs}


def test_what_is_no_survey_fails_the_host(deploy: Deploy, alone: MakeFleet) -> None:
    answers = {"@fake/a": "nonsense", "@fake/b": '{"unknown": 1}', "@fake/c": "[]"}
    done = deploy(alone("a", "b", "c"), answers, "-y", "--debug")
    assert done.code == 1
    assert done.programs, "they were asked"
    assert not CHANGING & {name for _, name in done.programs}


def expect(
    deploy: Deploy, fleet: Fleet, surveys: dict[str, dict[str, Any]], expected: dict[str, set[str]]
) -> None:
    """Deploy to hosts in all these states at once; these operations change something on each."""
    done = deploy(fleet, surveys, *QUIET)
    assert done.code == 0, done.said
    assert {name: done.changed_on(name) for name in expected} == expected


Spoil = Callable[[dict[str, Any]], object]
"""What changes what a host answers."""


def no_longer(unit: str) -> Spoil:
    return lambda answer: answer["units"][unit].update(ActiveState="failed")


def entry(path: str, **changes: Any) -> Spoil:
    return lambda answer: answer["paths"][path].update(changes)


def gone(path: str) -> Spoil:
    return lambda answer: answer["paths"].pop(path)


def there(path: str) -> Spoil:
    more = {"kind": "file", "mode": 0o644, "owner": "root", "group": "root", "sha256": "0"}
    return lambda answer: answer["paths"].update({path: more})


def marker(name: str) -> str:
    return f"/var/lib/wsdeploy/sets/{name}.json"


BASE, CERTIFICATE = "Base | User, folders, kernel settings", "Proxy | Certificate"
WATCHDOG, FIREWALL = "App | Watchdog", "Base | Firewall"
SUPERVISOR, PROCESSES = "App | Supervisor", "App | Processes"
OLD_PROCESSES = "App | Old processes"
DROP_IN = "/etc/systemd/system/supervisor.service.d/10-ws.conf"
POLICY = "Base | Package upgrades restart nothing"
INSTALLING = hashlib.sha256(upgrades.INSTALLING.encode()).hexdigest()
SYSCTL = "/etc/sysctl.d/60-ws.conf"
FAULTS: dict[str, tuple[Spoil, set[str]]] = {
    "nothing": (lambda answer: None, set()),
    # A file, whatever is wrong with it.
    "content": (entry(SYSCTL, sha256="0" * 64), {BASE}),
    "mode": (entry(SYSCTL, mode=0o666), {BASE}),
    "owner": (entry(DROP_IN, owner="ws"), {SUPERVISOR}),
    "no-file": (gone(DROP_IN), {SUPERVISOR}),
    # A set that was not applied to its end, or with other commands.
    "base-marker": (entry(marker("ws-system"), sha256="0" * 64), {BASE}),
    "supervisor-marker": (gone(marker("ws-supervisor")), {SUPERVISOR}),
    # What files should have brought about.
    "folder": (entry("/etc/ws/tls", mode=0o755), {BASE}),
    "sysctl": (lambda a: a["sysctl"].update({"net.core.somaxconn": "128"}), {BASE}),
    "user": (lambda a: a["users"].clear(), {BASE}),
    "supervisor-down": (no_longer("supervisor.service"), {SUPERVISOR}),
    "supervisor-disabled": (
        lambda a: a["units"]["supervisor.service"].update(UnitFileState="disabled"),
        {SUPERVISOR},
    ),
    "watchdog-down": (no_longer("ws-watchdog.service"), {WATCHDOG}),
    "watchdog-program": (
        entry("/usr/local/lib/ws-watchdog/wshost/watchdog/monitor.py", sha256="0"),
        {WATCHDOG},
    ),
    "process": (lambda a: a["processes"][1].update(statename="FATAL"), {PROCESSES}),
    "boot-file": (gone("/etc/tmpfiles.d/ws-generation.conf"), {PROCESSES}),
    "certificate": (
        lambda a: a["certificates"][paths.certificate("ws")].update(
            not_after="2020-01-01 00:00:00Z"
        ),
        {CERTIFICATE},
    ),
    "package": (lambda a: a["packages"].pop("supervisor"), {"Base | Packages"}),
    "packages-being-installed": (
        entry("/usr/sbin/policy-rc.d", sha256=INSTALLING),
        {"Base | Packages", POLICY},
    ),
    "policy-of-an-earlier-version": (
        lambda a: [
            entry(path, sha256="0")(a) for path in ("/usr/sbin/policy-rc.d", marker("ws-policy"))
        ],
        {POLICY},
    ),
    # Somebody else's, which stays.
    "policy-of-others": (entry("/usr/sbin/policy-rc.d", sha256="0"), set()),
    "needrestart": (gone("/etc/needrestart/conf.d/wsdeploy.conf"), {"Base | Package upgrades"}),
    "firewall": (entry("/etc/ws/firewall.nft", sha256="0"), {FIREWALL}),
    "firewall-down": (no_longer("ws-firewall.service"), {FIREWALL}),
    "sandbox": (gone("/etc/systemd/system/supervisor.service.d/20-ws-sandbox.conf"), {SUPERVISOR}),
    # It applies when Supervisor is started next; nobody does that for it.
    "older-sandbox": (entry("/run/wsdeploy/ws-supervisor.service", sha256="0"), set()),
    # What an earlier deployment has left.
    "generation": (there(f"/etc/ws/{OTHER}.env"), {OLD_PROCESSES}),
}


def test_one_fault_is_one_change(
    deploy: Deploy, alone: MakeFleet, converged: Converged, proxy: str
) -> None:
    unit = UNITS[proxy]
    own, other = (each.removesuffix(".service") for each in (unit, *({*UNITS.values()} - {unit})))
    faults = FAULTS | {
        "proxy-down": (no_longer(unit), {f"Proxy | {unit}"}),
        "proxy-marker": (entry(marker(f"ws-{own}"), sha256="0"), {f"Proxy | {unit}"}),
        "other-proxy": (there(marker(f"ws-{other}")), {"Proxy | No other proxy"}),
    }
    fleet = alone(*faults, proxy=proxy)
    surveys = converged(fleet)
    for name, (spoil, _) in faults.items():
        spoil(surveys[f"@fake/{name}"])
    expect(deploy, fleet, surveys, {name: changed for name, (_, changed) in faults.items()})


def test_a_firewall_that_is_not_wanted_goes(
    deploy: Deploy, alone: MakeFleet, converged: Converged
) -> None:
    fleet = alone("none", "left", more="firewall=False")
    surveys = converged(fleet)
    there(marker("ws-firewall"))(surveys["@fake/left"])
    expect(deploy, fleet, surveys, {"none": set(), "left": {FIREWALL}})


def test_old_ports_are_closed_when_the_proxies_know_the_new_ones(
    deploy: Deploy, tiers: MakeFleet, converged: Converged
) -> None:
    fleet = tiers(processes=2)
    surveys = converged(fleet)
    # As the deployment of a moment ago has left them.
    answer = surveys["@fake/app1"]
    answer["firewall_ports"] = [7000, 8000, 8001]
    survey = Survey.from_json(answer)
    left = firewall.files(Target(fleet.settings, "@fake/app1", survey), final=False)
    for file in (*left.files, left.marker):
        digest = hashlib.sha256(file.content.encode()).hexdigest()
        entry(file.path, sha256=digest)(answer)
    expect(deploy, fleet, surveys, {"app1": {"App | Old ports"}, "app2": set(), "lb1": set()})


def test_what_the_firewall_closes_is_said_at_every_run(
    deploy: Deploy, alone: MakeFleet, converged: Converged
) -> None:
    fleet = alone()
    surveys = converged(fleet)
    surveys["@fake/one"]["listeners"] = [
        {"protocol": "tcp", "port": 9100, "unit": "node-exporter.service"},
        {"protocol": "tcp", "port": 443, "unit": "nginx.service"},
        {"protocol": "udp", "port": 68, "unit": ""},
    ]
    done = deploy(fleet, surveys, *QUIET)
    assert done.totals["success"] == 0
    assert done.said.count("closed to other hosts by the firewall: tcp/9100 (node-exporter.s") == 1


def test_without_a_watchdog_one_that_is_left_goes(
    deploy: Deploy, alone: MakeFleet, converged: Converged
) -> None:
    fleet = alone("none", "left", app="hang_timeout=None")
    surveys = converged(fleet)
    there(marker("ws-watchdog"))(surveys["@fake/left"])
    expect(deploy, fleet, surveys, {"none": set(), "left": {WATCHDOG}})


def test_a_change_touches_what_it_concerns(
    deploy: Deploy, alone: MakeFleet, converged: Converged, folder: Path
) -> None:
    """Each host is as it was planned with other settings, before these came."""
    proxy = {"Proxy | nginx.service"}
    before: dict[str, tuple[dict[str, Any], set[str]]] = {
        "same": ({}, set()),
        "variable": ({"app": "env={'A': '1'}"}, {PROCESSES, OLD_PROCESSES}),
        # No new processes: what the watchdog has to know stands beside what makes a generation.
        "hang-timeout": ({"app": "hang_timeout=9"}, {PROCESSES}),
        "no-watchdog": ({"app": "hang_timeout=None"}, {WATCHDOG, PROCESSES}),
        "fewer": ({"processes": 3}, {PROCESSES, OLD_PROCESSES} | proxy),
        "ports": ({"app": "listen='tcp'"}, {PROCESSES, OLD_PROCESSES, FIREWALL} | proxy),
        "no-log": ({"proxy": "Nginx(access_log=False)"}, proxy),
        "version": ({}, {"App | Release", PROCESSES, OLD_PROCESSES}),
    }
    surveys: dict[str, dict[str, Any]] = {}
    for name, (settings, _) in before.items():
        app = folder / "app.py"
        text = app.read_text()
        if name == "version":
            app.write_text("print('the version before')\n")
        surveys |= converged(alone(name, **settings))
        app.write_text(text)
    expect(
        deploy, alone(*before), surveys, {name: changed for name, (_, changed) in before.items()}
    )


def test_a_change_costs_few_exchanges(
    deploy: Deploy, alone: MakeFleet, converged: Converged
) -> None:
    fleet = alone("still", "changed")
    surveys = converged(fleet)
    entry(paths.NGINX_CONF, sha256="0" * 64)(surveys["@fake/changed"])
    done = deploy(fleet, surveys, *LOUD)
    # The change itself, and the survey that is made anew after it.
    assert done.exchanges["@fake/changed"] == done.exchanges["@fake/still"] + 2


ACME = 'Acme("ops@a-company.com")'


def test_a_converged_certificate_of_an_authority_costs_nothing_more(
    deploy: Deploy, alone: MakeFleet, converged: Converged
) -> None:
    fleet = alone("a", "b", tls=ACME)
    done = deploy(fleet, converged(fleet), *LOUD)
    assert done.code == 0, done.said
    assert done.changed == {}
    assert max(done.exchanges.values()) <= BUDGET


def test_the_certificate_of_an_authority_comes_last(
    deploy: Deploy, alone: MakeFleet, bare: Converged, proxy: str
) -> None:
    """All proxies answer for the one account before any of them orders."""
    fleet = alone("a", "b", tls=ACME, proxy=proxy)
    done = deploy(fleet, bare(fleet), *LOUD)
    order = [step for step in done.programs if step[1] != "survey"]
    # Only the first makes a key; what it would pass on is nothing here, so the other one stops.
    assert order.index(("@fake/a", "acme_account")) > order.index(("@fake/b", "self_signed"))
    assert "@fake/a has no account key" in done.said
    assert done.code == 1
    assert "order_now" not in [program for _, program in order]


OWN = """\
from pyinfra import host
from pyinfra.operations import server
from wsdeploy.deploy.service import service

server.shell(name="Before", commands=["echo before"])
service()
if "proxy" in host.groups:
    server.shell(name="After on proxies", commands=["echo after"])
if "metrics" in host.groups:
    server.shell(name="Metrics", commands=["echo metrics"])
"""
WITH_METRICS = """
metrics = [named.pop("@fake/metrics")]
"""


def test_operations_of_ones_own_come_before_and_after(
    deploy: Deploy, tiers: MakeFleet, converged: Converged, folder: Path
) -> None:
    fleet = tiers(more="internal_tls=True")
    surveys = converged(fleet)
    fleet = dataclasses.replace(fleet, groups=WITH_METRICS + fleet.groups)
    (folder / "deploy.py").write_text(OWN)
    what = (str(folder / "deploy.py"),)
    done = deploy(fleet, {**surveys, "@fake/metrics": {}}, *LOUD, what=what)
    assert done.code == 0, done.said
    everyone = ["@fake/app1", "@fake/app2", "@fake/lb1", "@fake/metrics"]
    assert done.changed == {
        "Before": everyone,
        "After on proxies": ["@fake/lb1"],
        "Metrics": ["@fake/metrics"],
    }
    names = [each["name"] for each in json.loads(done.out)["results"]["operations"]]
    assert names[0] == "Before"
    assert names[-2:] == ["After on proxies", "Metrics"]
    assert done.programs_of("metrics") == [], "nobody else's host is asked"
    # More is asked while a run is planned only.
    done = deploy(fleet, {**surveys, "@fake/metrics": {}}, *DRY, what=what)
    assert done.to_change("metrics") == {"Before", "Metrics"}
    assert done.programs_of("metrics") == []
    done = deploy(fleet, {**surveys, "@fake/metrics": {}}, "-y", what=("wsdeploy.releases",))
    assert "[@fake/lb1]" in done.said
    assert "@fake/metrics" not in done.said
    assert "Traceback" not in done.said
