"""Shared addresses: who is told what, and what is refused on a host."""

import http.server
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.plan.conftest import MakeSettings
from wsdeploy import Failover
from wsdeploy.plan import components
from wsdeploy.plan.components import FAILOVER, SHARED_ADDRESSES
from wsdeploy.plan.host import firewall, neighbours, system
from wsdeploy.plan.host.files import FileSet
from wsdeploy.plan.host.survey import PathState, Survey
from wsdeploy.plan.proxy import failover
from wsdeploy.plan.target import Target
from wsdeploy.settings import Settings

V4, V6 = "10.0.0.77", "fd01::10"
RUNNING = {"ActiveState": "active", "UnitFileState": "enabled", "NeedDaemonReload": "no"}
SYSTEM = {"id": "debian", "version": "12"}
MARKER = "/var/lib/wsdeploy/sets/ws-failover.json"
FILE = PathState("file", 0o644, "root", "root", "0" * 64)


@pytest.fixture
def pair(make: MakeSettings) -> Settings:
    """Two hosts, each proxy and app, that share an address of each version."""
    return make(groups="pair", failover=Failover((V6, V4)))


def network(**changes: Any) -> dict[str, Any]:
    """What a host of the pair says of its network, but for what a test changes."""
    return {
        "addresses": {"lo": ["127.0.0.1/8"], "ens3": ["10.0.0.1/24"], "ens4": ["fd01::1/64"]},
        "routes": {"10.0.0.2": {"interface": "ens3", "router": None}},
        "vendor": "QEMU",
    } | changes


def on(settings: Settings, host: str = "one", **survey: Any) -> Target:
    answer = {"system": SYSTEM, "network": network()} | survey
    return Target(settings, host, Survey(**answer))


def configuration(target: Target) -> list[str]:
    """The lines that say something in keepalived's configuration."""
    (file,) = (f for f in failover.files(target).files if f.path == failover.CONFIGURATION)
    lines = [line.strip() for line in file.content.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def block(lines: list[str], name: str) -> list[str]:
    start = lines.index(f"{name} {{") + 1
    return lines[start : lines.index("}", start)]


def test_both_versions_move_in_one_instance(pair: Settings) -> None:
    lines = configuration(on(pair))
    # The one that is announced is of the version of the private addresses.
    assert block(lines, "virtual_ipaddress") == [f"{V4}/32 dev ens3"]
    assert block(lines, "virtual_ipaddress_excluded") == [f"{V6}/128 dev ens4"]
    assert len([line for line in lines if line.startswith("vrrp_instance")]) == 1


def test_nobody_is_preferred(pair: Settings) -> None:
    one, two = (configuration(on(pair, host)) for host in ("one", "two"))
    for lines in (one, two):
        assert {"vrrp_version 3", "state BACKUP", "priority 200", "advert_int 0.5"} <= set(lines)
        assert {"weight -50", "fall 2", "rise 2"} <= set(lines)
        # The classic mistake: with it nothing ever moves for a script's sake.
        assert "nopreempt" not in lines
    differ = {*one} ^ {*two}
    assert differ == {"unicast_src_ip 10.0.0.1", "unicast_src_ip 10.0.0.2", "10.0.0.1", "10.0.0.2"}


def test_it_talks_to_all_others_by_address(make: MakeSettings) -> None:
    hosts = [(f"lb{n}", {"private_address": f"10.0.0.{n}"}) for n in (1, 2, 3)]
    settings = make(groups={"app": hosts, "proxy": hosts}, failover=Failover((V4,)))
    routes = {f"10.0.0.{n}": {"interface": "ens3", "router": None} for n in (1, 3)}
    lines = configuration(on(settings, "lb2", network=network(routes=routes)))
    assert block(lines, "unicast_peer") == ["10.0.0.1", "10.0.0.3"]
    assert "unicast_src_ip 10.0.0.2" in lines


def test_where_the_holder_has_them(make: MakeSettings) -> None:
    def lines(**settings: Any) -> list[str]:
        return configuration(on(make(groups="pair", failover=Failover((V4,), **settings))))

    assert f"{V4}/32 dev ens3" in lines()
    assert "track_interface {" not in lines()
    named = lines(interface="ens9")
    assert f"{V4}/32 dev ens9" in named
    assert "interface ens3" in named
    assert block(named, "track_interface") == ["ens9 weight -50"]
    # Of no network here: where the proxies talk.
    other = make(groups="pair", failover=Failover(("172.20.0.1",)))
    assert "172.20.0.1/32 dev ens3" in configuration(on(other))
    # One that another host's keepalived has put there names no network.
    held = network(addresses={"lo": [f"{V4}/32"], "ens8": [f"{V4}/32"], "ens3": ["10.0.0.1/24"]})
    pair = make(groups="pair", failover=Failover((V4,)))
    assert f"{V4}/32 dev ens3" in configuration(on(pair, network=held))


def test_the_virtual_router_follows_from_the_name(make: MakeSettings) -> None:
    def number(**changes: Any) -> int:
        return failover.router_id(make(groups="pair", **changes))

    shared = Failover((V4,))
    assert (
        number(failover=shared) == number(failover=shared) != number(failover=shared, name="chat")
    )
    assert 1 <= number(failover=shared) <= 255
    assert number(failover=Failover((V4,), router_id=7)) == 7


def test_proxies_hear_each_other(make: MakeSettings, pair: Settings) -> None:
    (rules, *_) = firewall.files(on(pair)).files
    assert "ip saddr 10.0.0.2/32 meta l4proto 112 accept" in rules.content
    tiers = make(groups="pair of proxies", failover=Failover((V4,)))
    (rules, *_) = firewall.files(on(tiers, "lb1")).files
    assert "ip saddr 10.0.0.9/32 meta l4proto 112 accept" in rules.content
    (rules, *_) = firewall.files(on(tiers, "app1")).files
    assert "112" not in rules.content


def test_only_the_holder_answers_for_them(make: MakeSettings, pair: Settings) -> None:
    kernel = {key: value for key, value, _ in system.sysctl(on(pair))}
    assert kernel["net.ipv4.conf.all.arp_ignore"] == "1"
    assert kernel["net.ipv4.conf.all.arp_announce"] == "2"
    tiers = make(groups="pair of proxies", failover=Failover((V4,)))
    for target in (on(make()), on(tiers, "app1")):
        assert not any("arp" in key for key, _, _ in system.sysctl(target))


def test_when_it_stops(make: MakeSettings, pair: Settings) -> None:
    """With the app on the host close frames come first; without it nobody waits for anything."""

    def order(target: Target) -> list[str]:
        (unit,) = (f for f in failover.files(target).files if f.path.endswith("/10-ws.conf"))
        assert "\nRestart=always\n" in unit.content
        return [line for line in unit.content.splitlines() if line.startswith(("Before", "After"))]

    assert order(on(pair)) == ["Before=supervisor.service nginx.service haproxy.service"]
    tiers = make(groups="pair of proxies", failover=Failover((V4,)))
    assert order(on(tiers, "lb1")) == ["After=nginx.service haproxy.service"]


def test_it_is_reloaded_and_never_restarted(pair: Settings) -> None:
    found = failover.files(on(pair))
    assert ("systemctl", "reload-or-restart", "keepalived.service") in found.activate
    assert not any("restart" in command for command in found.activate)


@pytest.mark.parametrize(
    ("code", "said", "good"),
    [(0, "", True), (143, "", True), (5, "", False), (143, "ignoring", False), (0, "bad", False)],
)
def test_what_a_check_of_the_configuration_means(
    tmp_path: Path, code: int, said: str, good: bool
) -> None:
    program = tmp_path / "keepalived"
    program.write_text(f"#!/bin/sh\nprintf '{said}'\nexit {code}\n")
    program.chmod(0o755)
    (tmp_path / "a.conf").write_text("")
    done = subprocess.run(
        ["sh", "-c", failover.VALIDATE, "keepalived", str(tmp_path / "a.conf")],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode == 0) is good
    assert done.stdout == said


def test_addresses_are_on_lo_everywhere(pair: Settings) -> None:
    (unit,) = failover.lo_files(on(pair)).files
    assert f"ip address replace {V4}/32 dev lo preferred_lft 0" in unit.content
    assert f"ip address delete {V6}/128 dev lo" in unit.content
    # Not before the host keeps quiet about them.
    assert unit.content.index("arp_ignore") < unit.content.index("ip address replace")


def test_drift(pair: Settings) -> None:
    def drifted(*units: str, lo: list[str]) -> list[str]:
        target = on(
            pair,
            units=dict.fromkeys(units, RUNNING),
            network=network(addresses={"lo": lo}),
        )
        return [*SHARED_ADDRESSES.drift(target), *FAILOVER.drift(target)]

    units = ("keepalived.service", "ws-addresses.service")
    there = [f"{V4}/32", f"{V6}/128"]
    assert drifted(*units, lo=there) == []
    assert drifted("ws-addresses.service", lo=there) == [
        "keepalived.service is not running as configured"
    ]
    assert drifted("keepalived.service", lo=there) == ["ws-addresses.service is not running"]
    assert drifted(*units, lo=there[1:]) == [f"{V4} is not on lo"]


def test_what_is_asked(make: MakeSettings, pair: Settings) -> None:
    assert components.request(pair, "one").network == ("10.0.0.2",)
    assert components.request(make(groups="pair"), "one").network == ()
    assert "keepalived" in components.packages(pair, "one")
    assert "keepalived" not in components.packages(make(groups="pair"), "one")


ROUTED = {"10.0.0.2": {"interface": "ens3", "router": "10.0.0.254"}}
OWN = {"ens3": ["10.0.0.1/24", f"{V4}/24"], "lo": ["127.0.0.1/8"]}


@pytest.mark.parametrize(
    ("said", "line"),
    [
        (
            {"network": network(vendor="Amazon EC2")},
            "it is a machine of AWS, whose network does not let hosts move an address: "
            "use its load balancer instead of failover (docs/guides/balancers.md)",
        ),
        (
            {"network": network(routes=ROUTED)},
            "its way to two (10.0.0.2) goes through the router 10.0.0.254, and an address can't "
            "move beyond a router: give a private_address of a common network",
        ),
        (
            {"network": network(routes={})},
            "it has no way to two (10.0.0.2); mend its private_address",
        ),
        (
            {"network": network(addresses=OWN)},
            f"{V4} is its own address (ens3), and a shared one has to be nobody's: give another in "
            "failover.addresses, or take it off the host",
        ),
        (
            {"paths": {failover.CONFIGURATION: FILE}},
            "keepalived has a configuration that is not ours (/etc/keepalived/keepalived.conf), "
            "and its addresses would be gone: use another host, or say "
            "Settings(take_over=True); what is there then stays under /var/lib/wsdeploy/before",
        ),
    ],
)
def test_what_is_in_the_way(pair: Settings, said: dict[str, Any], line: str) -> None:
    assert neighbours.findings(on(pair)) == []
    assert neighbours.findings(on(pair, **said)) == [line]
    # A host that could not be asked before is refused before anything of it changes.
    assert any(line in command for command in failover.files(on(pair, **said)).validate)


def test_what_a_deployment_has_put_there_is_in_nobodys_way(pair: Settings) -> None:
    held = network(addresses=OWN)
    ours = {failover.CONFIGURATION: FILE, MARKER: FILE}
    assert neighbours.findings(on(pair, network=held, paths=ours)) == []


def test_a_configuration_that_is_taken_over_is_named(make: MakeSettings) -> None:
    settings = make(groups="pair", failover=Failover((V4,)), take_over=True)
    there = on(settings, paths={failover.CONFIGURATION: FILE})
    assert neighbours.findings(there) == []
    assert neighbours.kept(there) == [
        "/etc/keepalived/keepalived.conf was there before; it stays under /var/lib/wsdeploy/before"
    ]
    applied = on(settings, paths={failover.CONFIGURATION: FILE, MARKER: FILE})
    assert neighbours.kept(applied) == []


def test_without_the_setting_nothing_of_others_is_touched(make: MakeSettings) -> None:
    settings = make(groups="pair")
    assert neighbours.findings(on(settings, paths={failover.CONFIGURATION: FILE})) == []
    # A removal goes by the marker of what a deployment has put there.
    assert (
        FAILOVER.removal(settings).marker.path == FileSet("ws-failover", ()).marker.path == MARKER
    )


@pytest.fixture
def ask(pair: Settings, tmp_path: Path) -> Iterator[Callable[[int | None], int]]:
    """Return a function that runs keepalived's check: what /healthz answers, or None for nobody."""
    (script,) = (f for f in failover.files(on(pair)).files if f.path.endswith("serves.sh"))
    status = 200

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/healthz" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()

    def run(answer: int | None) -> int:
        nonlocal status
        status = answer or 0
        # Port 9 of loopback is nobody's.
        port = server.server_port if answer else 9
        text = script.content.replace("/127.0.0.1/80", f"/127.0.0.1/{port}")
        text = text.replace("/run/ws/", f"{tmp_path}/")
        return subprocess.run(["bash", "-c", text], capture_output=True, check=False).returncode

    yield run
    server.shutdown()
    server.server_close()


def test_whether_the_proxy_serves(ask: Callable[[int | None], int]) -> None:
    assert ask(200) == 0
    assert ask(503) == ask(502) == ask(None) == 1


@pytest.mark.parametrize(
    ("serves", "held", "reset"),
    [
        # Its clients are told by its own processes.
        ("exit 0", "lo UNKNOWN 10.0.0.77/32", []),
        ("exit 1", "lo UNKNOWN 10.0.0.77/32", ["10.0.0.77", "[fd01::10]"]),
        # keepalived says so of its beginning, too, also on a host that has them again by now.
        ("exit 1", "lo UNKNOWN 10.0.0.77/32\\nens3 UP 10.0.0.77/32", []),
    ],
)
def test_who_hangs_on_a_proxy_that_hangs_is_let_go(
    pair: Settings, tmp_path: Path, serves: str, held: str, reset: list[str]
) -> None:
    (script,) = (f for f in failover.files(on(pair)).files if f.path.endswith("moved.sh"))
    programs = {"serves": serves, "ip": f"printf '{held}\\n'", "ss": 'echo "$*" >&2'}
    for name, text in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    done = subprocess.run(
        ["bash", "-c", script.content.replace("/etc/keepalived/ws-serves.sh", "serves")],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    words = "--kill --no-header state established src"
    assert done.stderr.splitlines() == [f"{words} {address}" for address in reset]


def test_a_deployment_that_replaces_processes_in_place_moves_nothing(
    ask: Callable[[int | None], int], tmp_path: Path
) -> None:
    hold = tmp_path / "hold"
    hold.touch()
    os.utime(hold, (time.time() + 60,) * 2)
    assert ask(502) == 0
    # Of a run that was killed.
    os.utime(hold, (time.time() - 1,) * 2)
    assert ask(502) == 1


def test_a_host_that_goes_down_keeps_them_until_its_clients_are_told(
    ask: Callable[[int | None], int], tmp_path: Path
) -> None:
    drain = tmp_path / "drain"
    drain.touch()
    assert ask(502) == 0
    # Supervisor was stopped by hand, and is not started again.
    os.utime(drain, (time.time() - 3600,) * 2)
    assert ask(502) == 1
