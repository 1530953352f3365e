"""Deployments with TLS between the tiers: who is told what, when, and in how many exchanges."""

import pytest

from tests.plan.conftest import Converged, Deploy, MakeFleet
from wsdeploy.plan.host import paths

LOUD = ("-y", "--json", "--debug")
ON = {"more": "internal_tls=True"}
PROXIES = {"Nginx()": "nginx.service", "HAProxy()": "haproxy.service"}


def last(names: list[str], name: str) -> int:
    """Where a name comes last in a list."""
    return len(names) - 1 - names[::-1].index(name)


@pytest.mark.parametrize("proxy", PROXIES)
def test_converged_tiers_cost_no_more_than_without(
    deploy: Deploy, tiers: MakeFleet, converged: Converged, proxy: str
) -> None:
    plain, encrypted = tiers(proxy=proxy), tiers(proxy=proxy, **ON)
    without, done = (deploy(fleet, converged(fleet), *LOUD) for fleet in (plain, encrypted))
    assert done.code == 0, done.said
    assert done.changed == {}
    assert done.exchanges == without.exchanges


@pytest.mark.parametrize("proxy", PROXIES)
def test_a_limited_run_knows_the_others_from_before(
    deploy: Deploy, tiers: MakeFleet, converged: Converged, proxy: str
) -> None:
    fleet = tiers(proxy=proxy, **ON)
    for host in ("@fake/app1", "@fake/lb1"):
        done = deploy(fleet, converged(fleet), *LOUD, "--limit", host)
        assert done.code == 0, done.said
        assert done.changed == {}
        assert "is not known here" not in done.said


def test_a_limited_run_names_whom_it_does_not_know(
    deploy: Deploy, tiers: MakeFleet, converged: Converged
) -> None:
    fleet = tiers(**ON)
    surveys = converged(fleet)
    surveys["@fake/lb1"]["texts"] = {}
    done = deploy(fleet, surveys, *LOUD, "--limit", "@fake/lb1")
    assert "the certificate of @fake/app1 is not known here" in done.said
    assert "the certificate of @fake/app2 is not known here" in done.said


def test_every_host_has_keys_before_any_is_told_of_them(
    deploy: Deploy, tiers: MakeFleet, bare: Converged
) -> None:
    fleet = tiers(**ON)
    done = deploy(fleet, bare(fleet), *LOUD)
    assert done.code == 0, done.said
    for name in ("app1", "app2", "lb1"):
        assert done.programs_of(name).count("host_keypairs") == 1
    order = [program for _, program in done.programs]
    # The TLS listener is there before the app, and the app before proxies.
    assert last(order, "host_keypairs") < order.index("install_release")
    app1 = [p for p in done.programs_of("app1") if p != "survey"]
    listener = app1[app1.index("host_keypairs") + 1 : app1.index("install_release")]
    assert listener.count("apply_files") == 3, "Supervisor, watchdog, listener"


def test_new_keys_go_to_the_other_tier_in_the_same_run(
    deploy: Deploy, tiers: MakeFleet, converged: Converged
) -> None:
    fleet = tiers(**ON)
    surveys = converged(fleet)
    # As after the change: the other tier does not know the new spare one yet.
    spare = surveys["@fake/app1"]["certificates"][paths.host_keypair("ws", spare=True)]
    spare["pem"] = spare["pem"].replace("True", "New")
    done = deploy(fleet, surveys, *LOUD)
    assert done.changed == {
        "App | TLS from the proxies": ["@fake/app1"],
        "Proxy | nginx.service": ["@fake/lb1"],
    }


def test_a_certificate_that_ends_is_exchanged_first_of_all(
    deploy: Deploy, tiers: MakeFleet, converged: Converged
) -> None:
    fleet = tiers(**ON)
    surveys = converged(fleet)
    used = surveys["@fake/app2"]["certificates"][paths.host_keypair("ws")]
    used["not_after"] = "2027-01-01 00:00:00Z"
    done = deploy(fleet, surveys, *LOUD)
    assert done.changed == {"Base | Key pairs between the tiers": ["@fake/app2"]}


def test_when_it_is_switched_off_it_goes_after_the_old_processes(
    deploy: Deploy, tiers: MakeFleet, converged: Converged
) -> None:
    fleet = tiers()
    surveys = converged(fleet)
    left = {"kind": "file", "mode": 0o644, "owner": "root", "group": "root", "sha256": "0" * 64}
    for host in ("@fake/app1", "@fake/app2"):
        surveys[host]["paths"]["/var/lib/wsdeploy/sets/ws-internal.json"] = left
        old = {"group": f"ws-{'f' * 12}", "name": "ws_00", "statename": "RUNNING", "pid": 9}
        surveys[host]["processes"].append(old | {"start": 1})
    done = deploy(fleet, surveys, *LOUD)
    assert done.code == 0, done.said
    for name in ("app1", "app2"):
        changing = [p for p in done.programs_of(name) if p not in ("survey", "probe")]
        assert changing == ["retire", "apply_files"]
