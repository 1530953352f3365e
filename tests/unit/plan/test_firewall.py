"""The packet filter: the app's ports are for the proxies, and no other port is its business."""

import re

from wsdeploy.plan import firewall
from wsdeploy.survey import Survey


def rules(settings):
    """The statements of the rules, without comments and indentation."""
    (file,) = (f for f in firewall.files(settings, Survey()).files if f.path.endswith(".nft"))
    assert file.mode == 0o600
    lines = [line.strip() for line in file.content.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


ALONE = {"app": ["a", "b"], "proxy": ["b", "a"]}


def at(name, address):
    return (name, {"private_address": address})


def test_the_whole_table(tiers):
    assert rules(tiers({"processes": 3, "port": 9000})) == [
        "table inet ws {}",
        "delete table inet ws",
        "table inet ws {",
        "chain input {",
        "type filter hook input priority filter; policy accept;",
        "tcp dport != { 9000, 9001, 9002 } accept",
        "iif lo accept",
        "ip saddr { 10.0.0.9 } accept",
        "ip6 saddr { fd00::9 } accept",
        "tcp dport { 9000, 9001, 9002 } counter reject with tcp reset",
        "}",
        "}",
    ]


def test_only_the_proxies_addresses(tiers):
    for proxies, accepted in (
        (["10.0.0.9", "10.0.0.8"], "ip saddr { 10.0.0.8, 10.0.0.9 } accept"),
        (["FD00:0::9"], "ip6 saddr { fd00::9 } accept"),
    ):
        group = [at(f"lb{number}", address) for number, address in enumerate(proxies)]
        found = rules(tiers({"listen": "shared"}, groups={"proxy": group}))
        assert [line for line in found if "saddr" in line] == [accepted]
        assert "tcp dport { 8000 } counter reject with tcp reset" in found


def test_nothing_about_ssh(tiers):
    for listen in ("tcp", "shared"):
        for line in rules(tiers({"listen": listen, "processes": 99})):
            assert "22" not in re.findall(r"\d+", line.partition("saddr")[0])
            assert "drop" not in line


def test_a_name_with_a_hyphen(tiers):
    assert "table inet chat-2 {" in rules(tiers(name="chat-2"))


def test_wanted(tiers):
    for groups, more, hosts in (
        # Where the app listens for other hosts.
        ({}, {}, {"app1", "app2"}),
        ({"app": [at("app1", "10.0.0.1"), at("lb1", "10.0.0.9")]}, {}, {"app1", "lb1"}),
        ({"app": [at("lb1", "10.0.0.9")]}, {}, {"lb1"}),
        # Where it may listen for others, too: many apps take all interfaces.
        (ALONE, {"app": {"listen": "tcp"}}, {"a", "b"}),
        (ALONE, {"app": {"listen": "shared"}}, {"a", "b"}),
        # Where it listens on sockets.
        (ALONE, {}, set()),
        ({}, {"firewall": False}, set()),
        (ALONE, {"app": {"listen": "tcp"}, "firewall": False}, set()),
    ):
        settings = tiers(groups=groups, **more)
        everyone = {*settings.topology.app, *settings.topology.proxy}
        assert {host for host in everyone if firewall.wanted(settings, host)} == hosts


def test_a_host_that_is_its_own_proxy_is_the_only_one_to_reach_its_ports(make):
    for groups in (ALONE, {role: [at("one", "10.0.0.1")] for role in ALONE}):
        found = rules(make({"listen": "shared"}, groups=groups))
        assert [line for line in found if line.endswith("accept")] == [
            "tcp dport != { 8000 } accept",
            "iif lo accept",
        ]
        assert "tcp dport { 8000 } counter reject with tcp reset" in found


def test_what_is_asked(tiers, make):
    marker = "/var/lib/wsdeploy/sets/ws-firewall.json"
    asked = firewall.request(tiers(), "app1")
    assert {"/etc/ws/firewall.nft", "/etc/systemd/system/ws-firewall.service", marker} <= set(
        asked.paths
    )
    assert asked.units == ("ws-firewall.service",)
    # Where there is none, only whether an earlier deployment has left one.
    assert firewall.request(make(), "one").paths == (marker,)


def test_undone(tiers):
    unit = "ws-firewall.service"
    running = {"ActiveState": "active", "UnitFileState": "enabled", "NeedDaemonReload": "no"}
    assert firewall.undone(tiers(), Survey(units={unit: running})) == []
    assert firewall.undone(tiers(), Survey()) == [f"{unit} is not running"]
