"""Deployments to proxies that share addresses: what they cost, mend and take away."""

from tests.plan.conftest import Converged, Deploy, MakeFleet

LOUD = ("-y", "--json", "--debug")
OFF = {"more": ""}


def test_a_converged_pair_costs_no_more_than_without(
    deploy: Deploy, pair: MakeFleet, converged: Converged, proxy: str
) -> None:
    plain, sharing = pair(proxy=proxy, **OFF), pair(proxy=proxy)
    without, done = (deploy(fleet, converged(fleet), *LOUD) for fleet in (plain, sharing))
    assert done.code == 0, done.said
    assert done.changed == {}
    assert done.exchanges == without.exchanges


def test_drift_is_mended_where_it_is(deploy: Deploy, pair: MakeFleet, converged: Converged) -> None:
    fleet = pair()
    surveys = converged(fleet)
    surveys["@fake/one"]["units"]["keepalived.service"]["ActiveState"] = "inactive"
    surveys["@fake/two"]["network"]["addresses"]["lo"] = []
    done = deploy(fleet, surveys, *LOUD)
    assert done.changed == {
        "Proxy | Shared addresses": ["@fake/one"],
        "Proxy | Shared addresses, on lo": ["@fake/two"],
    }


def test_only_who_serves_is_given_an_address(
    deploy: Deploy, pair: MakeFleet, converged: Converged
) -> None:
    before, after = pair(**OFF), pair()
    surveys = converged(before)
    for host, answer in converged(after).items():
        surveys[host]["network"] = answer["network"]
        surveys[host]["sysctl"] = answer["sysctl"] | {"net.ipv4.conf.all.arp_ignore": "0"}
    done = deploy(after, surveys, *LOUD)
    assert done.code == 0, done.said
    assert done.changed_on("one") == {
        "Base | Packages",
        "Base | User, folders, kernel settings",
        "Base | Firewall",
        "Proxy | Shared addresses, on lo",
        "Proxy | Shared addresses",
    }


def test_without_the_setting_it_goes(deploy: Deploy, pair: MakeFleet, converged: Converged) -> None:
    done = deploy(pair(**OFF), converged(pair()), *LOUD)
    assert done.code == 0, done.said
    assert {"Proxy | Shared addresses", "Proxy | Shared addresses, on lo"} <= done.changed_on("two")
    order = list(done.changed)
    # It is given up before the host forgets it.
    assert order.index("Proxy | Shared addresses") < order.index("Proxy | Shared addresses, on lo")


def test_somebody_elses_keepalived_ends_the_run_first(
    deploy: Deploy, pair: MakeFleet, converged: Converged
) -> None:
    surveys = converged(pair())
    del surveys["@fake/two"]["paths"]["/var/lib/wsdeploy/sets/ws-failover.json"]
    done = deploy(pair(), surveys, *LOUD)
    assert done.code == 1
    assert "[@fake/two] 1 thing is in the way; nothing was changed:\n  keepalived has" in done.said
    assert {program for _, program in done.programs} == {"survey"}
