from ipaddress import IPv4Network, IPv6Network

import pytest

from wsdeploy_sandbox.errors import SandboxError
from wsdeploy_sandbox.network import (
    CANDIDATES4,
    FIRST_NUMBER,
    LAST_NUMBER,
    Subnets,
    is_free,
    next_number,
    nft_rules,
    plan_subnets,
    taken_networks,
)

SUBNETS = Subnets(IPv4Network("10.77.77.0/24"), IPv6Network("fd77:7364:6570:1::/64"))


@pytest.mark.parametrize(
    ("taken", "v4", "v6"),
    [
        ([], "10.77.77.0/24", "fd77:7364:6570:1::/64"),
        (["192.0.2.0/24", "fd00::/64"], "10.77.77.0/24", "fd77:7364:6570:1::/64"),
        (["10.77.77.77"], "10.78.77.0/24", "fd77:7364:6570:1::/64"),
        (["10.77.0.0/16", "fd77:7364:6570:1::/64"], "10.78.77.0/24", "fd77:7364:6570:2::/64"),
    ],
)
def test_subnets_clash_with_nothing(taken: list[str], v4: str, v6: str) -> None:
    subnets = plan_subnets(taken)
    assert (str(subnets.v4), str(subnets.v6)) == (v4, v6)
    assert is_free(subnets, taken)


@pytest.mark.parametrize("taken", ["10.0.0.0/8", "fd77::/16"])
def test_no_free_subnet(taken: str) -> None:
    with pytest.raises(SandboxError, match=r"^no subnet is free for the sandbox"):
        plan_subnets([taken])
    assert not is_free(SUBNETS, [taken])


def test_candidates_are_different_valid_networks() -> None:
    assert len(set(CANDIDATES4)) == len(CANDIDATES4)
    assert all(network.is_private for network in CANDIDATES4)


def test_both_addresses_read_alike() -> None:
    assert SUBNETS.address(11) == "10.77.77.11"
    assert SUBNETS.address6(11) == "fd77:7364:6570:1::11"
    assert SUBNETS.address6(254) == "fd77:7364:6570:1::254"


def test_numbers_are_reused_lowest_first() -> None:
    assert next_number([]) == FIRST_NUMBER
    assert next_number([FIRST_NUMBER, FIRST_NUMBER + 2]) == FIRST_NUMBER + 1
    with pytest.raises(SandboxError, match=r"^the sandbox is full: it has room for 244 hosts$"):
        next_number(range(FIRST_NUMBER, LAST_NUMBER + 1))


def test_routes_that_matter() -> None:
    routes = [
        {"dst": "default", "dev": "eth0"},
        {"dst": "192.0.2.0/24", "dev": "eth0"},
        {"type": "local", "dst": "192.0.2.2", "dev": "eth0"},
        {"dst": "10.77.77.0/24", "dev": "wsd0"},
        {"type": "multicast", "dst": "ff00::/8", "dev": "eth0"},
        {"type": "unreachable", "dst": "10.9.0.0/16"},
    ]
    assert taken_networks(routes, ["10.1.1.1", "fe80::1%eth0"]) == [
        "192.0.2.0/24",
        "192.0.2.2",
        "10.9.0.0/16",
        "10.1.1.1",
        "fe80::1",
    ]


def test_nft_rules_replace_our_table_and_no_other() -> None:
    rules = nft_rules(SUBNETS, None)
    assert rules.splitlines()[:2] == [
        "table inet wsdeploy_sandbox {}",
        "delete table inet wsdeploy_sandbox",
    ]
    assert 'ip saddr 10.77.77.0/24 oifname != "wsd0" masquerade' in rules
    assert "dnat" not in rules
    assert rules.count("{") == rules.count("}")


def test_nft_rules_lead_to_a_resolver_on_loopback() -> None:
    rules = nft_rules(SUBNETS, "127.0.0.1")
    assert 'iifname "wsd0" ip daddr 10.77.77.1 udp dport 53 dnat ip to 127.0.0.1' in rules
    assert rules.count("{") == rules.count("}")
