"""Shared addresses: what settings and hosts need for them."""

from typing import Any

import pytest

from tests.unit.settings.conftest import MakeSettings
from wsdeploy import Failover, SettingsError, hosts
from wsdeploy.settings import Settings

Host = tuple[str, dict[str, Any]]


def at(name: str, address: str, **more: str) -> Host:
    return (name, {"private_address": address, **more})


ONE, TWO = at("one", "10.0.0.1"), at("two", "10.0.0.2")


def problems(settings: Settings, *groups: list[Any]) -> list[str]:
    """The lines that an inventory with these hosts ends with."""
    try:
        hosts(settings, *groups)
    except SettingsError as error:
        return [str(problem) for problem in error.problems]
    return []


def test_good_pairs(make: MakeSettings) -> None:
    settings = make(failover=Failover(["10.0.0.77", "fd01::10"], interface="ens3.7", router_id=255))
    assert problems(settings, [ONE, TWO]) == []
    assert problems(settings, [at("app1", "10.0.0.5")], [ONE, TWO]) == []


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"addresses": []}, "addresses: it is empty; give the addresses that the proxies share"),
        (
            {"addresses": ["10.0.0.7/24"]},
            "addresses: '10.0.0.7/24' given; give an address, without a network's length",
        ),
        (
            {"addresses": ["203.0.113.10"]},
            "addresses: '203.0.113.10' given; that is a placeholder; give your own address",
        ),
        (
            {"addresses": ["2001:db8::10"]},
            "addresses: '2001:db8::10' given; that is a placeholder; give your own address",
        ),
        (
            {"addresses": ["127.0.0.1"]},
            "addresses: '127.0.0.1' given; give an address that clients can reach",
        ),
        (
            {"addresses": ["fe80::1"]},
            "addresses: 'fe80::1' given; give an address that clients can reach",
        ),
        (
            {"addresses": ["fd01::10", "fd01:0::10"]},
            "addresses: 'fd01::10' given; listed twice; list it once",
        ),
        (
            {"addresses": ["10.0.0.7"], "interface": "eth0 { }"},
            "interface: 'eth0 { }' given; give a network interface's name, such as 'eth0'",
        ),
        (
            {"addresses": ["10.0.0.7"], "interface": "lo"},
            "interface: 'lo' given; give a network interface's name, such as 'eth0'",
        ),
        (
            {"addresses": ["10.0.0.7"], "router_id": 256},
            "router_id: 256 given; give a whole number from 1 to 255, or None",
        ),
    ],
)
def test_values_that_are_refused(values: dict[str, Any], line: str) -> None:
    assert [str(problem) for problem in Failover(**values).all_problems()] == [line]


def test_one_proxy_shares_with_nobody(make: MakeSettings) -> None:
    line = (
        "failover: one is the only proxy, and nobody could take its addresses over; "
        "give another proxy, or leave it out"
    )
    settings = make(failover=Failover(["10.0.0.77"]))
    assert problems(settings, [ONE]) == [line]
    assert problems(settings, [at("app1", "10.0.0.5"), TWO], [ONE]) == [line]


def test_proxies_have_to_reach_each_other(make: MakeSettings) -> None:
    settings = make(failover=Failover(["10.0.0.77"]))
    assert problems(settings, [ONE, "two"]) == [
        "app: two has no private_address; proxies that share addresses reach each other by it: "
        '("two", {"private_address": "10.0.0.1"})'
    ]
    assert problems(settings, [ONE, at("two", "10.0.0.1")]) == [
        "private_address: '10.0.0.1' given; two needs its own; one has that one"
    ]
    assert problems(settings, [ONE, at("two", "fd00::2")]) == [
        "private_address: give those of all proxies as IPv4, or all as IPv6, for them to share "
        "addresses"
    ]
    assert problems(settings, [at("one", "fd00::1"), at("two", "fd00::2")]) == [
        "failover.addresses: none is of IPv6, as the proxies' private addresses are; add one, or "
        "give private addresses of IPv4"
    ]


@pytest.mark.parametrize("address", ["10.0.0.2", "172.20.0.2", "10.0.0.5"])
def test_a_shared_address_is_nobodys_own(make: MakeSettings, address: str) -> None:
    settings = make(failover=Failover([address]))
    two = at("two", "10.0.0.2", ssh_hostname="172.20.0.2")
    whose = "app1" if address == "10.0.0.5" else "two"
    assert problems(settings, [at("app1", "10.0.0.5")], [ONE, two]) == [
        f"failover.addresses: {address!r} given; that is {whose}'s own; give one that no host has"
    ]
