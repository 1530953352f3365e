"""App(processes="auto"): as many as a host has processors, also as seen by proxies elsewhere."""

import pytest

from tests.plan.conftest import Converged, Deploy, MakeFleet
from wsdeploy.plan.host import paths

LOUD = ("-y", "--json", "--debug")
QUIET = ("-y", "--json")
BUDGET = 6

CONFIGURATION = {"Nginx()": paths.NGINX_CONF, "HAProxy()": "/etc/haproxy/haproxy.cfg"}


@pytest.mark.parametrize("processors", [1, 8, 120])
def test_a_host_alone_stays_as_it_is(
    deploy: Deploy, alone: MakeFleet, converged: Converged, proxy: str, processors: int
) -> None:
    fleet = alone(processes="auto", proxy=proxy)
    surveys = converged(fleet, one=processors)
    done = deploy(fleet, surveys, *LOUD)
    assert done.code == 0, done.said
    assert done.changed == {}
    assert done.exchanges["@fake/one"] <= BUDGET
    processes = {process["name"] for process in surveys["@fake/one"]["processes"]}
    assert len(processes) == {1: 2, 8: 8, 120: 99}[processors]


@pytest.mark.parametrize("more", ["", "internal_tls=True"])
def test_tiers_with_hosts_of_all_sizes_stay_as_they_are(
    deploy: Deploy, tiers: MakeFleet, converged: Converged, proxy: str, more: str
) -> None:
    fleet = tiers(processes="auto", proxy=proxy, more=more)
    done = deploy(fleet, converged(fleet, app1=4, app2=16, lb1=8), *LOUD)
    assert done.code == 0, done.said
    assert done.changed == {}
    assert max(done.exchanges.values()) <= BUDGET


def test_a_larger_host_gets_more_processes_and_its_proxy_learns_of_them(
    deploy: Deploy, tiers: MakeFleet, converged: Converged, proxy: str
) -> None:
    fleet = tiers(processes="auto", proxy=proxy)
    surveys = converged(fleet, app1=4, app2=4)
    surveys["@fake/app2"]["limits"]["processors"] = 6
    done = deploy(fleet, surveys, *QUIET)
    assert done.code == 0, done.said
    unit = {"Nginx()": "nginx.service", "HAProxy()": "haproxy.service"}[proxy]
    assert done.changed["App | Processes"] == ["@fake/app2"]
    assert done.changed[f"Proxy | {unit}"] == ["@fake/lb1"]
    assert "App | Processes" not in done.changed_on("app1")


def test_a_limited_run_goes_by_the_proxys_note(
    deploy: Deploy, tiers: MakeFleet, converged: Converged, proxy: str
) -> None:
    fleet = tiers(processes="auto", proxy=proxy)
    surveys = converged(fleet, app1=4, app2=16)
    folder = CONFIGURATION[proxy].rpartition("/")[0]
    note = {f"{folder}/ws.processes": "@fake/app1 4\n@fake/app2 16"}
    surveys["@fake/lb1"]["texts"] = note
    done = deploy(fleet, surveys, *QUIET, "--limit", "@fake/lb1")
    assert done.code == 0, done.said
    assert done.changed == {}


@pytest.mark.parametrize("options", [QUIET, ("--dry",)], ids=" ".join)
def test_a_limited_run_without_a_note_says_what_to_do(
    deploy: Deploy, tiers: MakeFleet, converged: Converged, options: tuple[str, ...]
) -> None:
    fleet = tiers(processes="auto")
    done = deploy(fleet, converged(fleet), *options, "--limit", "@fake/lb1")
    assert done.code == 1
    said = 'processes="auto": how many @fake/app1 has is not known here; run without --limit'
    assert said in done.said
    assert "Traceback" not in done.out


def test_app_hosts_can_be_deployed_to_alone(
    deploy: Deploy, tiers: MakeFleet, converged: Converged
) -> None:
    fleet = tiers(processes="auto")
    done = deploy(fleet, converged(fleet, app1=4), *QUIET, "--limit", "@fake/app1")
    assert done.code == 0, done.said
    assert done.changed == {}


@pytest.mark.parametrize("processors", [2, 6])
def test_no_number_changes_behind_the_back_of_a_proxy(
    deploy: Deploy, tiers: MakeFleet, converged: Converged, processors: int
) -> None:
    fleet = tiers(processes="auto")
    surveys = converged(fleet, app1=4)
    surveys["@fake/app1"]["limits"]["processors"] = processors
    done = deploy(fleet, surveys, *QUIET, "--limit", "@fake/app1")
    assert done.code == 1
    said = f'processes="auto": it would have {processors} processes, not 4, and @fake/lb1 would not'
    assert f"{said} learn of it; run without --limit" in done.said
    assert "rollout" not in [program for _, program in done.programs]


def test_bare_hosts(deploy: Deploy, tiers: MakeFleet, bare: Converged) -> None:
    fleet = tiers(processes="auto")
    done = deploy(fleet, bare(fleet), *LOUD)
    assert done.code == 0, done.said
    assert [program for _, program in done.programs].count("rollout") == 2


def test_a_restart_does_not_ask(deploy: Deploy, tiers: MakeFleet, converged: Converged) -> None:
    fleet = tiers(processes="auto")
    done = deploy(fleet, converged(fleet), *LOUD, what=["wsdeploy.restart"])
    assert done.code == 0, done.said
    assert [program for _, program in done.programs].count("restore") == 2
