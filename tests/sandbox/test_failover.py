"""Two proxies that share addresses: nginx on one Debian release, HAProxy on the other."""

import contextlib
import datetime
import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import wsdeploy_sandbox as sandbox
from tests.sandbox.conftest import installed
from tests.sandbox.site import CROWD, Site
from wsdeploy_sandbox import SandboxHost

RATE, SILENT, TALKING = 50, 200, 200
PING = 3
"""Seconds between the app's pings: who only listens is told within them."""
SLOW_DAY = 30
"""Seconds that nothing here takes longer than, however busy this machine is."""
SETTLED = 0.5
"""Seconds from a move to the moment at which all neighbours have heard of it."""

MONITOR = "exec ip -ts -oneline monitor address dev host0"
PROXIES = {"fo-nginx": "nginx", "fo-haproxy": "haproxy"}


@pytest.fixture(scope="module", params=["app and proxy", "proxy alone"])
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """Two hosts that do not share anything yet.

    Each is app and proxy, and drains before its address moves; or, with --matrix, proxy alone, in
    front of a third one: then the address moves at once.
    """
    alone = request.param == "proxy alone"
    if alone and not request.config.getoption("--matrix"):
        pytest.skip("only with --matrix")
    names = [*PROXIES, *(["fo-app"] if alone else [])]
    sandbox.down(*names)
    (one,) = sandbox.up("fo-nginx:bookworm", layer=installed("Nginx"))
    (two,) = sandbox.up("fo-haproxy:trixie", layer=installed("HAProxy"))
    yield Site(
        apps=sandbox.up("fo-app:bookworm", layer=installed("Nginx")) if alone else [one, two],
        proxies=[one, two],
        user="root",
        folder=tmp_path_factory.mktemp("failover"),
        settings={
            "domain": repr(one.domain),
            # With one process that shares no port, nobody serves for a moment of a deployment.
            "app": 'App("files/app.py", processes=1, listen="tcp", reuse_port=False, drain=2, '
            f'ping_interval={PING}, probe=Probe(send="hello", expect="hello"))',
            "tls": "SelfSigned()",
            "edge": CROWD,
            "failover": f"Failover({list(shared(one))!r})",
        },
    )
    if not os.environ.get("KEEP_SANDBOX"):
        sandbox.down(*names)


def shared(host: SandboxHost) -> tuple[str, str]:
    """Addresses of the sandbox's network that none of its hosts has, nor another such pair.

    Hosts have the lowest numbers that are free.
    """
    v4, _, number = host.address.rpartition(".")
    v6, free = host.address6.rpartition(":")[0], 265 - int(number)
    return f"{v4}.{free}", f"{v6}:{free}"


def deploy(site: Site, *, changes: bool = True, **settings: str) -> None:
    """Deploy to each host with its own proxy."""
    more = ["--limit", "fo-app"] if site.apps[0] not in site.proxies else []
    for name, kind in (("fo-nginx", "Nginx()"), ("fo-haproxy", "HAProxy()")):
        site.write(proxy=kind, **settings)
        result = site.pyinfra("deploy.py", "-y", "--json", "--limit", name, *more)
        assert result.code == 0, result.output
        if not changes:
            assert result.totals["success"] == 0, result.changed


@dataclass
class Holders:
    """Who has the shared address, and since when, by each host's own word."""

    site: Site
    address: str
    events: list[tuple[float, str, bool]] = field(default_factory=list)
    watching: dict[str, subprocess.Popen[str]] = field(default_factory=dict)

    def watch(self, host: SandboxHost) -> None:
        """Follow a host that has booted."""
        command = self.site.ssh_command(MONITOR, host, anew=True)
        monitor = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.watching[host.name] = monitor
        threading.Thread(target=self._read, args=(host.name, monitor), daemon=True).start()
        there = self.site.ssh(f"ip -brief address show dev host0 to {self.address}", host)
        self.events.append((time.time(), host.name, bool(there.strip())))

    def _read(self, name: str, monitor: subprocess.Popen[str]) -> None:
        assert monitor.stdout
        for line in monitor.stdout:
            if f" {self.address}/" in line:
                stamp = datetime.datetime.fromisoformat(line[1 : line.index("]")])
                moment = stamp.replace(tzinfo=datetime.UTC).timestamp()
                self.events.append((moment, name, "Deleted" not in line))

    def lost(self, name: str, at: float | None = None) -> None:
        """Note that a host is off, or cut off: nobody sees what it has."""
        self.watching.pop(name).kill()
        self.events.append((at or time.time(), name, False))

    def now(self) -> set[str]:
        """The hosts that have it."""
        return {name for name, has in self._states(sorted(self.events)).items() if has}

    @staticmethod
    def _states(events: list[tuple[float, str, bool]]) -> dict[str, bool]:
        return {name: has for _, name, has in events}

    def moved(self, to: str, since: float) -> float:
        """When a host got it."""
        found = [at for at, name, has in sorted(self.events) if name == to and has and at > since]
        return found[0] if found else since

    def two(self, since: float) -> float:
        """Seconds for which two hosts had it."""
        total, before = 0.0, since
        states: dict[str, bool] = {}
        for at, name, has in [*sorted(self.events), (time.time(), "", False)]:
            if at > before and sum(states.values()) > 1:
                total += at - before
            before = max(at, since)
            states[name] = has
        return total

    def stop(self) -> None:
        for monitor in self.watching.values():
            monitor.kill()
            monitor.wait()


@dataclass
class Lab:
    """The site with its clients."""

    site: Site
    holders: Holders
    clients: subprocess.Popen[str]

    def host(self, name: str) -> SandboxHost:
        return next(host for host in self.site.proxies if host.name == name)

    def ssh(self, command: str, name: str) -> str:
        return self.site.ssh(command, self.host(name))

    def holder(self) -> str:
        (name,) = self.holders.now()
        return name

    def other(self, name: str) -> str:
        return next(each for each in PROXIES if each != name)

    def ask(self, what: str) -> Any:
        """Ask the clients (failover_clients.py)."""
        assert self.clients.stdin
        assert self.clients.stdout
        self.clients.stdin.write(f"{what}\n")
        self.clients.stdin.flush()
        return json.loads(self.clients.stdout.readline())

    def everybody_knows(self) -> bool:
        """Whether all who only listened when the count began have noticed that it is over."""
        return bool(self.ask("left") == 0)

    def all_serve(self) -> None:
        """Wait until both hosts are ready to have the address."""
        for name in PROXIES:
            check = "/etc/keepalived/ws-serves.sh && systemctl is-active --quiet keepalived"
            wait_until(partial(self.ssh, f"{{ {check}; }} && echo yes || true", name))
        # By now keepalived has asked as often as it takes to believe it.
        stays(lambda: len(self.holders.now()) == 1, 3)


def wait_until(condition: Callable[[], object], most: float = SLOW_DAY) -> None:
    """Ask until the answer is yes."""
    end = time.monotonic() + most
    while not condition():
        assert time.monotonic() < end, "it never became true"
        time.sleep(0.1)


def stays(condition: Callable[[], object], seconds: float) -> None:
    """See that something is true for a while."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert condition()
        time.sleep(0.1)


@pytest.fixture(scope="module")
def lab(site: Site) -> Iterator[Lab]:
    """All clients, connected, and who has the address is watched."""
    address = shared(site.host)[0]
    texts = [site.ssh("cat /etc/ws/tls/cert.pem", host) for host in site.proxies]
    site.bundle.write_text("".join(texts))
    holders = Holders(site, address)
    for host in site.proxies:
        holders.watch(host)
    program = Path(__file__).with_name("failover_clients.py")
    words = [address, site.host.domain, str(site.bundle), str(RATE), str(SILENT), str(TALKING)]
    clients = subprocess.Popen(
        [sys.executable, str(program), *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert clients.stdout
    assert clients.stdout.readline() == "ready\n"
    lab = Lab(site, holders, clients)
    lab.all_serve()
    yield lab
    clients.kill()
    clients.wait()
    holders.stop()


def test_deploy(site: Site) -> None:
    deploy(site)
    deploy(site, changes=False)


def test_checks_of_the_fleet(site: Site) -> None:
    # One at a time, as the checks know one proxy.
    for kind, other in (("Nginx()", "fo-haproxy"), ("HAProxy()", "fo-nginx")):
        site.write(proxy=kind)
        site.checked("-k", f"not {other}")


@dataclass
class Event:
    """Something that happens to the host that has the address."""

    what: str
    act: Callable[[Lab, str], object]
    mend: Callable[[Lab, str], object]
    moves: bool = True
    told: bool = True
    """Whether somebody is left there who can tell who only listens."""
    heals: bool = False
    """Whether who was there can tell them when it is mended."""


def on_host(command: str) -> Callable[[Lab, str], object]:
    """Return what runs a command on a host; PROXY stands for its proxy."""
    return lambda lab, name: lab.ssh(command.replace("PROXY", PROXIES[name]), name)


def off(lab: Lab, name: str) -> None:
    # Else the kernel of this machine would end its connections for it.
    sandbox.unplug(name)
    sandbox.poweroff(name)
    lab.holders.lost(name)


def cut(lab: Lab, name: str) -> None:
    sandbox.unplug(name)
    lab.holders.lost(name)


def healed(lab: Lab, name: str) -> None:
    sandbox.plug_in(name)
    lab.holders.watch(lab.host(name))


def planned_off(lab: Lab, name: str) -> None:
    begun = time.time()
    with contextlib.suppress(AssertionError):
        # The connection may be cut before the answer.
        lab.ssh("systemctl poweroff", name)
    wait_until(lambda: sandbox.find(name).state == "stopped")
    # It has ended its sessions before it gave the address up, and could not say so any more.
    lab.holders.lost(name, lab.holders.moved(lab.other(name), begun))


def back(lab: Lab, name: str) -> None:
    sandbox.up(name)
    lab.holders.watch(lab.host(name))


def nothing(lab: Lab, name: str) -> None:
    pass


HANG = "systemctl kill --signal=STOP PROXY"
RESUME = "systemctl kill --signal=CONT PROXY; systemctl restart PROXY"

EVENTS = [
    Event("proxy stopped", on_host("systemctl stop PROXY"), on_host("systemctl start PROXY")),
    Event("proxy hangs", on_host(HANG), on_host(RESUME)),
    Event("proxy killed", on_host("pkill -9 PROXY"), nothing, moves=False),
    Event(
        "keepalived stopped",
        on_host("systemctl stop keepalived"),
        on_host("systemctl start keepalived"),
    ),
    Event("keepalived killed", on_host("pkill -9 keepalived"), nothing),
    Event(
        "network cut",
        cut,
        healed,
        told=False,
        heals=True,
    ),
    Event("planned power-off", planned_off, back),
    Event("power cut", off, back, told=False),
    Event("proxy stopped", on_host("systemctl stop PROXY"), on_host("systemctl start PROXY")),
    Event("proxy hangs", on_host(HANG), on_host(RESUME)),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.what.replace(" ", "-"))
def test_a_proxy_that_fails(lab: Lab, event: Event) -> None:
    lab.ask("begin")
    name = lab.holder()
    other = lab.other(name)
    begun = time.time()
    try:
        event.act(lab, name)
        if event.moves:
            wait_until(lambda: lab.holders.now() == {other})
        if event.told:
            wait_until(lab.everybody_knows)
        told = time.time()
        if not event.told:
            stays(lambda: len(lab.holders.now()) == 1, PING)
        hanging = lab.ask("left")
    finally:
        event.mend(lab, name)
        mended = time.time()
    if event.heals:
        wait_until(lab.everybody_knows)
    elif not event.told:
        # As a heartbeat of their own would.
        lab.ask("give up")
    lab.all_serve()
    # Who comes back does not take it.
    if event.moves:
        assert lab.holders.now() == {other}
    seen = lab.ask("report")
    moved = lab.holders.moved(other, begun)
    ends = sorted(ended for _, ended, problem in seen["handshakes"] if not problem)
    failed = [at for at, _, problem in seen["handshakes"] if problem]
    after = [at for at in failed if at > moved + SETTLED]
    codes = sorted({code for at, code, _ in seen["closed"] if at < mended})
    gap = max(b - a for a, b in itertools.pairwise([begun, *ends]))
    # On a slow day, it also moves where a proxy is back at once, after that.
    two = lab.holders.two(max(mended, moved) + SETTLED)
    when = f"moved after {moved - begun:.2f} s" if moved > begun else "not moved"
    print(
        f"\n{event.what} ({PROXIES[name]}): gap {gap:.2f} s, {when}; "
        f"failed {len(failed)}, after the move {len(after)}; closed with {codes}; "
        f"{'all told' if event.told else f'{hanging} not told'} after {told - begun:.1f} s; "
        f"two holders {lab.holders.two(begun):.2f} s, after a heal {two:.2f} s"
    )
    assert gap < SLOW_DAY
    if event.moves:
        assert after == []
    assert two == 0


SPLIT = """
table inet split {
    chain input { type filter hook input priority -20; meta l4proto 112 drop; }
}
"""


def test_proxies_that_lose_each_other_and_nobody_else(lab: Lab) -> None:
    """Both have the address for as long as that lasts, and one when it is over."""
    lab.ask("begin")
    for name in PROXIES:
        lab.site.ssh("nft --file -", lab.host(name), text=SPLIT)
    wait_until(lambda: lab.holders.now() == {*PROXIES})
    for name in PROXIES:
        lab.ssh("nft delete table inet split", name)
    wait_until(lambda: len(lab.holders.now()) == 1)
    stays(lambda: len(lab.holders.now()) == 1, 3)


def test_both_proxies_are_down_and_back(lab: Lab) -> None:
    lab.ask("begin")
    name = lab.holder()
    other = lab.other(name)
    for each in (other, name):
        on_host("systemctl stop PROXY")(lab, each)
    # Somebody has it: clients are refused at once, and need not wait for a time-out.
    stays(lambda: len(lab.holders.now()) == 1, 4)
    assert lab.holders.now() == {name}
    on_host("systemctl start PROXY")(lab, other)
    wait_until(lambda: lab.holders.now() == {other})
    on_host("systemctl start PROXY")(lab, name)
    lab.all_serve()
    assert lab.holders.now() == {other}
    assert lab.everybody_knows()


def test_a_deployment_to_the_holder_moves_nothing(lab: Lab) -> None:
    """Process by process, with one process: nobody serves there for a moment."""
    if lab.site.apps[0] not in lab.site.proxies:
        pytest.skip("no deployment of the app changes anything there")
    lab.ask("begin")
    name = lab.holder()
    begun = time.time()
    app = lab.site.settings["app"]
    deploy(lab.site, app=app.replace("drain=2", 'drain=2, env={"COLOUR": "blue"}'))
    lab.all_serve()
    assert lab.holders.now() == {name}
    assert [event for event in lab.holders.events if event[0] > begun] == []
    assert lab.everybody_knows()
    assert {code for _, code, _ in lab.ask("report")["closed"]} == {1012}


def test_drift_is_mended(lab: Lab) -> None:
    name = lab.other(lab.holder())
    lab.ssh("systemctl disable --now keepalived; ip address flush dev lo to 10.0.0.0/8", name)
    deploy(lab.site)
    assert lab.ssh("systemctl is-enabled keepalived; systemctl is-active keepalived", name)
    assert f"{lab.holders.address}/32" in lab.ssh("ip address show dev lo", name)
    deploy(lab.site, changes=False)


def left_of_it(lab: Lab, name: str) -> list[str]:
    """What a host has of the shared addresses, and what its units are."""
    found = lab.ssh(
        "ls /etc/keepalived/keepalived.conf /etc/keepalived/ws-* 2>/dev/null; "
        f"ip -brief address show to {lab.holders.address}; "
        "systemctl is-active keepalived ws-addresses; systemctl is-enabled keepalived; true",
        name,
    )
    return found.splitlines()


GONE = ["inactive", "inactive", "disabled"]


def test_without_the_setting_nothing_of_it_is_left(lab: Lab) -> None:
    before = lab.site.settings["failover"]
    deploy(lab.site, failover="None")
    for name in PROXIES:
        assert left_of_it(lab, name) == GONE
    deploy(lab.site, changes=False)
    lab.site.write(failover=before)


def test_the_service_takes_it_along_when_it_goes(lab: Lab) -> None:
    deploy(lab.site)
    wait_until(lambda: len(lab.holders.now()) == 1)
    result = lab.site.pyinfra("-y", "wsdeploy.remove")
    assert result.code == 0, result.output
    for name in PROXIES:
        assert left_of_it(lab, name) == GONE
