"""The packet filter: who reaches what, and that SSH is never among what is shut."""

import re

import pytest

from tests.unit.plan.conftest import MakeSettings
from wsdeploy import Behind, Edge, Firewall
from wsdeploy.plan.components import FIREWALL
from wsdeploy.plan.host import firewall
from wsdeploy.plan.host.survey import Listener, Survey
from wsdeploy.plan.target import Target
from wsdeploy.settings import Settings


def rules(settings: Settings, host: str, survey: Survey | None = None, **more: bool) -> list[str]:
    """The statements of the rules, without comments and indentation."""
    found = firewall.files(Target(settings, host, survey or Survey()), **more).files
    (file,) = (f for f in found if f.path.endswith(".nft"))
    assert file.mode == 0o600
    lines = [line.strip() for line in file.content.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


ALONE = {"app": ["a", "b"], "proxy": ["b", "a"]}


def at(name: str, address: str) -> tuple[str, dict[str, str]]:
    return (name, {"private_address": address})


def test_only_what_is_wanted_comes_in(tiers: MakeSettings) -> None:
    settings = tiers({"processes": 3, "port": 9000})
    app, proxy = (rules(settings, host) for host in ("app1", "lb1"))
    for found in (app, proxy):
        assert "type filter hook input priority filter; policy drop;" in found
        assert "iif lo accept" in found
        assert "tcp dport { 22 } jump ssh" in found
    assert [line for line in proxy if line.startswith("tcp dport") and "ssh" not in line] == [
        "tcp dport { 80, 443 } jump clients"
    ]
    assert not any("9000" in line for line in proxy)
    assert [line for line in app if "dport { 9000, 9001, 9002 }" in line and "raw" not in line] == [
        "fib daddr type local tcp dport { 9000, 9001, 9002 } notrack",
        "oif lo tcp dport { 9000, 9001, 9002 } notrack",
        "ip saddr { 10.0.0.9 } tcp dport { 9000, 9001, 9002 } accept",
        "ip6 saddr { fd00::9 } tcp dport { 9000, 9001, 9002 } accept",
        "ip saddr { 10.0.0.0/8, 100.64.0.0/10, 172.16.0.0/12, 192.168.0.0/16 } "
        "tcp dport { 9000, 9001, 9002 } reject with tcp reset",
        "ip6 saddr fc00::/7 tcp dport { 9000, 9001, 9002 } reject with tcp reset",
    ]
    assert not any("443" in line for line in app)


def test_only_the_proxies_addresses(tiers: MakeSettings) -> None:
    for proxies, accepted in (
        (["10.0.0.9", "10.0.0.8"], "ip saddr { 10.0.0.8, 10.0.0.9 }"),
        (["FD00:0::9"], "ip6 saddr { fd00::9 }"),
    ):
        group = [at(f"lb{number}", address) for number, address in enumerate(proxies)]
        found = rules(tiers({"listen": "shared"}, groups={"proxy": group}), "app1")
        assert [line for line in found if "8000 } accept" in line] == [
            f"{accepted} tcp dport {{ 8000 }} accept"
        ]


def test_a_host_that_is_its_own_proxy_is_the_only_one_to_reach_its_ports(
    make: MakeSettings,
) -> None:
    for groups in (ALONE, {role: [at("a", "10.0.0.1")] for role in ALONE}):
        found = rules(make({"listen": "shared"}, groups=groups), "a")
        assert not any("8000" in line and "accept" in line for line in found)
        assert "tcp dport { 80, 443 } jump clients" in found


@pytest.mark.parametrize(
    ("survey", "host", "ports"),
    [
        # Where connections come in, whatever the inventory says: a router may lie in between.
        (Survey(ssh_ports=(22,)), {"ssh_port": 2222}, "22"),
        (Survey(ssh_ports=(2022, 22)), {}, "22, 2022"),
        # A host that is bare can't tell.
        (Survey(bare=True), {}, "22"),
        (Survey(bare=True), {"ssh_port": 2222}, "2222"),
    ],
)
def test_ssh_is_open_where_it_listens(
    make: MakeSettings, survey: Survey, host: dict[str, int], ports: str
) -> None:
    settings = make(groups={role: [("one", host)] for role in ("app", "proxy")})
    assert f"tcp dport {{ {ports} }} jump ssh" in rules(settings, "one", survey)


def test_ssh_comes_from_the_given_networks(make: MakeSettings) -> None:
    anywhere = rules(make(), "one")
    assert not any("ssh_rate" in line for line in anywhere)
    settings = make(firewall=Firewall(ssh_from=("192.0.2.0/24", "2001:db8::/32", "192.0.2.7")))
    found = rules(settings, "one")
    chain = found[found.index("chain ssh {") :]
    assert chain[1:5] == [
        "ip saddr { 192.0.2.0/24 } jump ssh_rate",
        "ip6 saddr { 2001:db8::/32 } jump ssh_rate",
        "drop",
        "}",
    ]
    assert "accept" in chain[-4:]


def test_no_rule_cuts_who_is_connected(make: MakeSettings, tiers: MakeSettings) -> None:
    """TCP that begins no connection is let in before any rule that drops or refuses."""
    for found in (rules(make(), "one"), rules(tiers(), "app1")):
        begins = found.index("tcp flags & (syn | ack) != syn accept")
        earlier = found[found.index("chain input {") : begins]
        assert not any(re.search(r"drop$|reject", line) for line in earlier)


def test_a_flood_of_one_address_is_dropped(make: MakeSettings) -> None:
    edge = Edge(
        handshakes_per_second=30,
        unlimited_networks=("192.0.2.0/25", "192.0.2.128/25"),
        behind=Behind(("2001:db8::1",), "x-forwarded-for", direct=True),
    )
    found = rules(make(groups=ALONE, edge=edge), "a")
    first = found.index("chain clients {")
    assert found[first : first + 6] == [
        "chain clients {",
        "ip saddr { 192.0.2.0/24 } accept",
        "ip6 saddr { 2001:db8::1/128 } accept",
        "update @clients4 { ip saddr limit rate over 60/second burst 600 packets } counter drop",
        "update @clients6 { ip6 saddr & ffff:ffff:ffff:ffff:: "
        "limit rate over 60/second burst 600 packets } counter drop",
        "accept",
    ]


def test_what_else_is_allowed(make: MakeSettings) -> None:
    allow = {
        "tcp/9100": "tcp dport 9100 accept",
        "udp/51820": "udp dport 51820 accept",
        "tcp/9000-9010 from 10.0.0.0/8": "ip saddr 10.0.0.0/8 tcp dport 9000-9010 accept",
        "udp/53 from fd00::/8": "ip6 saddr fd00::/8 udp dport 53 accept",
        "vrrp from 10.0.0.9": "ip saddr 10.0.0.9/32 meta l4proto 112 accept",
        "esp": "meta l4proto 50 accept",
        "all from 10.0.0.0/8": "ip saddr 10.0.0.0/8 accept",
    }
    found = rules(make(firewall=Firewall(allow=tuple(allow))), "one")
    assert set(allow.values()) <= set(found)


@pytest.mark.parametrize(
    "text",
    ["", "22", "tcp", "tcp/", "tcp/0", "tcp/65536", "tcp/9-8", "icmp/1", "tcp/80 from", "all",
     "tcp/80 from nowhere", "tcp/80 from 10.0.0.1/8", "tcp/80  from 10.0.0.0/8", "vrrp/1",
     "tcp/80; accept", "tcp/٣"],
)  # fmt: skip
def test_what_is_no_rule(text: str) -> None:
    assert [problem.setting for problem in Firewall(allow=(text,)).all_problems()] == ["allow"]


def test_ports_that_proxies_still_use_stay_open_for_a_while(tiers: MakeSettings) -> None:
    settings, survey = tiers({"processes": 2}), Survey(firewall_ports=(7000, 8000))
    during, after = (rules(settings, "app1", survey, final=final) for final in (False, True))
    assert "ip saddr { 10.0.0.9 } tcp dport { 7000, 8000, 8001 } accept" in during
    assert "ip saddr { 10.0.0.9 } tcp dport { 8000, 8001 } accept" in after
    # A host that runs no processes any more has no ports to keep.
    assert not any("7000" in line for line in rules(settings, "lb1", survey, final=False))


def test_who_is_shut_out_is_named(make: MakeSettings) -> None:
    settings = make(firewall=Firewall(allow=("udp/51820 from 10.0.0.0/8", "tcp/9000-9010")))
    listeners = [
        Listener("tcp", 443, "nginx.service"),
        Listener("udp", 68, "systemd-networkd.service"),
        Listener("udp", 51820, ""),
        Listener("tcp", 9005, ""),
        Listener("tcp", 51820, ""),
        Listener("udp", 443, "other.service"),
    ]
    (note,) = firewall.closed(Target(settings, "one", Survey(listeners=tuple(listeners))))
    assert note == (
        "closed to other hosts by the firewall: tcp/51820, udp/443 (other.service); "
        "Firewall(allow=...) would open them"
    )
    assert firewall.closed(Target(settings, "one", Survey(listeners=tuple(listeners[:4])))) == ()


def test_connections_to_the_app_hosts_have_room_in_the_tables(
    make: MakeSettings, tiers: MakeSettings
) -> None:
    def unit(settings: Settings, host: str) -> str:
        found = firewall.files(Target(settings, host, Survey())).files
        (file,) = (f for f in found if f.path.endswith(".service"))
        return file.content

    apart = tiers(max_connections=500_000)
    assert "nf_conntrack_max=762144'" in unit(apart, "lb1")
    for settings, host in ((apart, "app1"), (make(), "one")):
        assert "conntrack" not in unit(settings, host)


def test_a_name_with_a_hyphen(tiers: MakeSettings) -> None:
    assert "table inet chat-2 {" in rules(tiers(name="chat-2"), "app1")


def test_wanted(make: MakeSettings) -> None:
    for value, wanted in ((True, True), (Firewall(), True), (False, False)):
        assert firewall.wanted(make(firewall=value)) is wanted


def test_what_is_asked(make: MakeSettings) -> None:
    marker = "/var/lib/wsdeploy/sets/ws-firewall.json"
    asked = FIREWALL.request(Target.unknown(make(), "one"))
    assert {"/etc/ws/firewall.nft", "/etc/systemd/system/ws-firewall.service", marker} <= set(
        asked.paths
    )
    assert asked.units == ("ws-firewall.service",)
    assert asked.firewalls == ("/etc/ws/firewall.nft",)
    # Where there is none, only whether an earlier deployment has left one.
    off = FIREWALL.request(Target.unknown(make(firewall=False), "one"))
    assert (off.paths, off.firewalls) == ((marker,), ())


def test_drift(make: MakeSettings) -> None:
    unit = "ws-firewall.service"
    running = {"ActiveState": "active", "UnitFileState": "enabled", "NeedDaemonReload": "no"}
    loaded = Survey(units={unit: running}, firewall_as_loaded=True)
    assert firewall.drift(Target(make(), "one", loaded)) == []
    assert firewall.drift(Target(make(), "one", Survey(firewall_as_loaded=True))) == [
        f"{unit} is not running"
    ]
    assert firewall.drift(Target(make(), "one", Survey(units={unit: running}))) == [
        "the loaded rules of table inet ws are not the planned ones"
    ]
