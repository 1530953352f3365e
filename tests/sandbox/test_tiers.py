"""A proxy in front of two app hosts."""

import ipaddress
import json
import re
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import wsdeploy_sandbox as sandbox
from tests.sandbox.site import HELD, Site
from wsdeploy.checks.client import connect

COMBINATIONS = [("bookworm", "Nginx"), ("trixie", "HAProxy")]

PORTS = range(8000, 8004)
PAUSE = 0.2
"""Seconds between two looks."""
SOON = 2
"""Seconds after which a fault of the network, or of a host, refuses nobody any more."""
MARKED = 5
"""Seconds after which no handshake waits for a host that is off."""


@pytest.fixture(scope="module")
def site(make_site: Callable[..., Site]) -> Site:
    return make_site(
        ["app1", "app2"],
        ["lb1"],
        app='App("files/app.py", processes=4, drain=2, probe=Probe(send="hello", expect="hello"))',
    )


def connections(site: Site, host: sandbox.SandboxHost) -> list[int]:
    """Return how many connections from the proxy each process of an app host has."""
    listing = site.ssh("ss --no-header --numeric --tcp state established", host)
    rows = [line.split() for line in listing.splitlines()]
    pairs = [(row[2].rpartition(":")[2], row[3].rpartition(":")[0].strip("[]")) for row in rows]
    return [pairs.count((str(port), site.host.address)) for port in PORTS]


def test_deploy(site: Site) -> None:
    site.deploy()
    site.echoes()
    site.converged()


def test_checks_of_the_fleet(site: Site) -> None:
    site.checked()


def test_clients_are_spread_evenly(site: Site) -> None:
    with site.under_load(rate=1, held=400):
        counts = connections(site, site.apps[0]) + connections(site, site.apps[1])
    assert sum(counts) >= 400
    assert min(counts) >= 45
    assert max(counts) <= 55


def test_a_limited_run_still_knows_all_hosts(site: Site) -> None:
    result = site.pyinfra("deploy.py", "-y", "--json", "--limit", site.host.name)
    assert result.code == 0, result.output
    assert result.totals["success"] == 0, result.changed


def test_app_ports_are_closed_to_other_app_hosts(site: Site) -> None:
    first, second = site.apps
    check = (
        f"timeout 3 bash -c 'exec 3<>/dev/tcp/{second.address}/8000' && echo open || echo closed"
    )
    assert site.ssh(check, first).strip() == "closed"
    assert site.ssh(check, site.host).strip() == "open"


def test_firewall_can_be_switched_off(site: Site) -> None:
    site.deploy(firewall="False")
    assert "table" not in site.ssh("nft list tables", site.apps[0])
    site.converged()
    site.deploy(firewall="True")
    assert "table inet ws" in site.ssh("nft list tables", site.apps[0])


def hardly_anybody(outcome: dict[str, Any]) -> bool:
    """Tell whether few of those who came when a drain of two seconds began had to come back.

    They were let in, closed in turn before they had their answer, and served at once after that.
    """
    returned: int = outcome["returned"]
    passed: int = outcome["passed"]
    return returned <= passed // 20


def test_a_redeploy_refuses_nobody(site: Site) -> None:
    app = site.settings["app"]
    with site.under_load(returning=True) as outcome:
        site.deploy(app=app.replace("drain=2", 'drain=2, env={"COLOUR": "blue"}'))
    assert outcome["failed"] == {}
    assert hardly_anybody(outcome)
    assert outcome["codes"] == {"1012": HELD}
    site.converged()


def test_a_rollback_refuses_nobody(site: Site) -> None:
    with site.under_load(returning=True) as outcome:
        result = site.pyinfra("-y", "wsdeploy.rollback")
        assert result.code == 0, result.output
    assert outcome["failed"] == {}
    assert hardly_anybody(outcome)
    assert outcome["codes"] == {"1012": HELD}
    lines = [site.ssh("tail -n 1 /var/log/ws/deploys.log", host) for host in site.apps]
    first, second = (json.loads(line) for line in lines)
    assert first["action"] == second["action"] == "rollback"
    # One after the other, and nowhere else than before.
    assert first["time"] <= second["time"]
    site.deploy()


def test_an_unhealthy_release_reaches_one_host_at_most(site: Site, copy: Path) -> None:
    before = {host.name: site.live_generation(host) for host in site.apps}
    (copy / "files" / "app.py").write_text("raise RuntimeError('no database today')\n")
    app = site.settings["app"]
    site.write(app=app.replace("drain=2", "drain=2, start_timeout=5"))
    with site.under_load(held=10) as outcome:
        result = site.pyinfra()
    assert result.code == 1
    assert "no database today" in result.output
    assert f"{site.apps[1].name}: left as it was" in result.output
    assert {host.name: site.live_generation(host) for host in site.apps} == before
    assert outcome["failed"] == {}
    assert outcome["codes"] == {}
    site.write(app=app)


def test_an_app_host_that_is_gone_costs_nobody_a_handshake(site: Site) -> None:
    lost = site.apps[1]
    with site.under_load(held=0) as outcome:
        sandbox.poweroff(lost.name)
        gone = time.time()
        # Long enough for every server of the lost host to be tried again more than once.
        wait_until(partial(echoed, site), least=8)
    # What the host had accepted when it went down is lost with it.
    assert [begun for begun in outcome["failed_at"] if begun > gone] == [], outcome["failed"]
    assert len(outcome["failed_at"]) <= 3, outcome["failed"]


def test_it_rejoins_by_itself(site: Site) -> None:
    lost = site.apps[1]
    sandbox.up(lost.name)

    wait_until(lambda: min(connections_of_newcomers(site, lost)) > 0)
    site.converged()


@pytest.mark.usefixtures("once")
def test_a_host_that_is_lost_in_a_drain_does_not_hold_up_the_run(site: Site) -> None:
    """It loses its power, so that nobody says anything any more."""
    lost, app = site.apps[0], site.settings["app"]
    site.deploy(app=app.replace("drain=2", "drain=30"))
    site.write(app=app.replace("drain=2", "drain=2, max_size=99_999"))
    with site.under_load(rate=1, held=40):
        run = subprocess.Popen(
            site.command("deploy.py", "-y"),
            cwd=site.project, env=site.environment(),
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert run.stderr
        lines = []
        for line in run.stderr:
            lines.append(line)
            # By now both hosts serve the new release, and this one closes its old clients.
            if f"{lost.name}: " in line and "clients left" in line:
                break
        sandbox.poweroff(lost.name)
        lines += run.stderr.readlines()
    said = "".join(lines)
    site.note(["deploy.py", "-y"], run.wait(), said)
    assert run.returncode == 1
    assert re.search(rf"ws: failed on {lost.name}\b.*: the connection was lost", said)
    assert f"--exclude {lost.name}" in said
    assert "Traceback" not in said
    sandbox.up(lost.name)
    wait_until(lambda: serves(site, lost))
    site.deploy(app=app)
    site.converged()


ABSENT = 19
"""Spare addresses at which nobody is."""
CPU = "cat /proc/$(pgrep -u haproxy | tail -n 1)/stat; getconf CLK_TCK"


def busy(site: Site, seconds: float) -> float:
    """Return how much of a core HAProxy takes over some seconds."""

    def used() -> float:
        stat, ticks = site.ssh(CPU).splitlines()
        user, system = stat.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / int(ticks)

    began, before = time.monotonic(), used()
    time.sleep(seconds)
    return (used() - before) / (time.monotonic() - began)


@pytest.fixture
def spare(site: Site) -> Iterator[sandbox.SandboxHost]:
    """The second app host, at an address that the inventory only has as a spare one.

    There are 19 more, and nobody is there.
    """
    if site.settings["proxy"] != "HAProxy()":
        pytest.skip("only HAProxy has spare addresses")
    host = site.apps.pop()
    network = ipaddress.ip_network(f"{host.address}/24", strict=False)
    taken = {it.address for it in (*site.apps, *site.proxies, host)}
    free = [str(it) for it in reversed(list(network.hosts())) if str(it) not in taken]
    site.spare = [host.address, *free[:ABSENT]]
    try:
        site.deploy()
        yield host
    finally:
        site.spare = []
        site.apps.append(host)
        site.ssh("systemctl start supervisor", host)
        site.deploy()


def test_an_app_host_at_a_spare_address_comes_and_goes(
    site: Site, spare: sandbox.SandboxHost
) -> None:
    site.converged()
    wait_until(lambda: min(connections_of_newcomers(site, spare)) > 0)
    assert busy(site, 10) < 0.02, "those who are absent cost too much"
    with site.under_load(held=HELD, returning=True) as outcome:
        assert sum(connections(site, spare)) >= HELD // 3
        site.ssh("systemctl stop supervisor", spare)
        assert sum(connections(site, spare)) == 0
        site.ssh("systemctl start supervisor", spare)
        wait_until(lambda: serves(site, spare))
        up = time.monotonic()
        while min(connections_of_newcomers(site, spare)) == 0:
            assert time.monotonic() - up < SOON + 1, "nobody is passed to it"
    assert outcome["failed"] == {}
    assert set(outcome["codes"]) == {"1012"}


def connections_of_newcomers(site: Site, host: sandbox.SandboxHost) -> list[int]:
    """Return how many of the clients that come now each process of an app host gets."""
    clients = [connect(f"wss://{site.host.domain}/", ssl=context(site)) for _ in range(16)]
    counts = connections(site, host)
    for client in clients:
        client.close()
    return counts


KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
HEAD = f"Upgrade: websocket\r\nConnection: Upgrade\r\n{KEY}\r\nSec-WebSocket-Version: 13\r\n"
BAD = (
    f"GET / HTTP/1.1\r\nHost: {{host}}\r\n{HEAD}X-A: a\001b\r\n\r\n",
    f"GET /é HTTP/1.1\r\nHost: {{host}}\r\n{HEAD}\r\n",
    f"GET / HTTP/1.1\r\nHost: {{host}}\r\n{HEAD}X-B: {'b' * 8000}\x7f\r\n\r\n",
    f"GET / HTTP/1.1\r\nHost: {{host}}\r\n{HEAD}Sec-WebSocket-Extensions: ;;=\r\n\r\n",
    f"GET /%00 HTTP/1.1\r\nHost: {{host}}\r\n{HEAD}X-C: \002\r\n\r\n",
)
"""Requests that the app, or the proxy, can make nothing of."""


def test_bad_requests_refuse_nobody_else(site: Site) -> None:
    with site.with_clients_that_stay() as outcome:
        for request in BAD * 20:
            raw = socket.create_connection((site.host.address, 443), 30)
            with context(site).wrap_socket(raw, server_hostname=site.host.domain) as bad:
                bad.sendall(request.format(host=site.host.domain).encode())
                bad.recv(100)
    assert [reason for _, _, reason in outcome["handshakes"] if reason] == []
    assert outcome["closed"] == []


DROP = """
table inet t {{
    chain c {{
        type filter hook output priority -10;
        ip daddr {{ {addresses} }} tcp dport 8000-8003 drop
    }}
}}
"""


def test_lost_packets_are_forgotten_soon(site: Site) -> None:
    """Between the proxy and all app hosts, for three seconds."""
    rules = DROP.format(addresses=", ".join(host.address for host in site.apps))
    with site.with_clients_that_stay() as outcome:
        site.ssh("nft --file - && sleep 3; nft delete table inet t", text=rules)
        over = time.time()
        wait_until(lambda: True, least=8)
    late = [(begun - over, why) for begun, _, why in outcome["handshakes"] if why]
    assert [each for each in late if each[0] > SOON] == []
    # Whoever came meanwhile is in by then.
    assert any(begun > over + SOON for begun, _, _ in outcome["handshakes"])


def test_hosts_that_are_rebooted_one_after_the_other(site: Site) -> None:
    gone = []
    with site.with_clients_that_stay() as outcome:
        for lost in site.apps:
            gone.append(time.time())
            sandbox.poweroff(lost.name)
            wait_until(lambda: True, least=15 if lost is site.apps[0] else 5)
            if lost is site.apps[0]:
                sandbox.up(lost.name)
                wait_until(lambda: serves(site, site.apps[0]))
        sandbox.up(site.apps[1].name)
    refused = [begun for begun, _, why in outcome["handshakes"] if why]
    assert [begun for begun in refused if not any(0 < begun - at < SOON for at in gone)] == []
    dead = [took for begun, took, _ in outcome["handshakes"] if MARKED < begun - gone[0] < 15]
    print(f"slowest handshake while a host is off: {max(dead):.3f} s of {len(dead)}")
    # One that pays for a host that is off takes a second more, and all would: it has lost its
    # clients. A busy machine is slow with one or the other.
    assert sum(took > 0.9 for took in dead) <= len(dead) // 10
    wait_until(lambda: serves(site, site.apps[1]))


def echoed(site: Site) -> bool:
    site.echoes()
    return True


def serves(site: Site, host: sandbox.SandboxHost) -> bool:
    connect_once = f"timeout 3 bash -c 'exec 3<>/dev/tcp/{host.address}/8000' 2>/dev/null"
    return site.ssh(f"{connect_once} && echo yes || true") == "yes\n"


def context(site: Site) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=site.bundle)


def wait_until(condition: Callable[[], object], least: float = 0, most: float = 60) -> None:
    """Ask until the answer is yes, and for `least` seconds anyway."""
    start = time.monotonic()
    while not condition() or time.monotonic() < start + least:
        assert time.monotonic() < start + most, "it never became true"
        time.sleep(PAUSE)
