"""TLS from a proxy to two app hosts: switched on, broken, renewed, switched off."""

import contextlib
import json
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

import wsdeploy_sandbox as sandbox
from tests.sandbox.site import HELD, Site
from tests.sandbox.test_tiers import echoed, wait_until
from wsdeploy.checks.test_internal import ASK
from wsdeploy.plan.host import paths

COMBINATIONS = [("bookworm", "Nginx"), ("trixie", "HAProxy")]

UNIT = "ws-internal.service"
OWN = paths.host_keypair("ws")
SPARE = paths.host_keypair("ws", spare=True)
MARK = "nobody-else-should-read-this"
# Makes a key and certificate like those of the fleet, but for the subject: NAME.pem in /root.
FORGED = """
cd /root && openssl req -x509 -noenc -newkey ec -pkeyopt ec_paramgen_curve:P-256 -days 9 \
    -keyout {name}.key -out {name}.crt -addext subjectAltName=DNS:ws.internal \
    -subj "/CN={subject}" 2>/dev/null && cat {name}.key {name}.crt >{name}.pem
"""


@pytest.fixture(scope="module")
def site(make_site: Callable[..., Site]) -> Site:
    return make_site(
        ["tls-app1", "tls-app2"],
        ["tls-lb1"],
        app='App("files/app.py", processes=2, drain=2, probe=Probe(send="hello", expect="hello"))',
    )


@contextlib.contextmanager
def sniffed(site: Site, host: sandbox.SandboxHost, port: int) -> Iterator[dict[str, Any]]:
    """See what passes the network of a host while the body runs; fills the dict that it yields."""
    program = Path(__file__).with_name("sniff.py").read_text()
    site.ssh("cat >/run/sniff.py", host, program)
    sniffer = subprocess.Popen(
        site.ssh_command(f"python3 /run/sniff.py {MARK} {port}", host),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    found: dict[str, Any] = {}
    try:
        assert sniffer.stdout is not None
        assert sniffer.stdout.readline() == "ready\n"
        yield found
        answer, _ = sniffer.communicate("stop\n", timeout=10)
        found.update(json.loads(answer))
    finally:
        sniffer.kill()
        sniffer.wait()


def be_noticed(site: Site) -> None:
    """Open some WebSockets, so that each process gets one, with the mark in their headers."""
    with contextlib.ExitStack() as stack:
        for _ in range(8):
            client = stack.enter_context(site.client(additional_headers={"X-Mark": MARK}))
            client.send("marco")
            assert client.recv(60) == "marco"


def processes(site: Site, host: sandbox.SandboxHost) -> str:
    """Return the processes of the TLS listener."""
    return site.ssh(f"systemctl show --property MainPID {UNIT}; pgrep --full internal/", host)


def serial(site: Site, path: str, host: sandbox.SandboxHost) -> str:
    return site.ssh(f"openssl x509 -in {path} -noout -serial", host).strip()


def test_without_it_all_can_be_read(site: Site) -> None:
    """It shows that the next test can fail."""
    site.deploy()
    with sniffed(site, site.apps[0], 8000) as found:
        be_noticed(site)
    assert found["found"] > 0
    assert found["packets"] > 0


def test_switching_it_on_refuses_nobody(site: Site) -> None:
    with site.under_load() as outcome:
        site.deploy(internal_tls="True")
    assert outcome["failed"] == {}
    assert outcome["codes"] == {"1012": HELD}
    site.converged()
    for host in site.apps:
        with sniffed(site, host, 8100) as found:
            be_noticed(site)
        assert found["found"] == 0
        assert found["packets"] > 0


def test_checks_of_the_fleet(site: Site) -> None:
    # What clients see of the proxies is looked at without TLS behind them (test_tiers.py).
    site.checked("-k", "not test_proxy")


def test_only_the_fleet_gets_in(site: Site) -> None:
    own_subject = f"$(openssl x509 -in {OWN} -noout -subject | sed 's/.*CN *= *//')"
    site.ssh(FORGED.format(name="foreign", subject="ws.internal"))
    site.ssh(FORGED.format(name="copy", subject=own_subject))

    def asked(scheme: str, pair: str = "") -> str:
        words = ("ws.internal", scheme, site.apps[0].address, "8100", "/healthz", pair, "")
        return site.ssh(shlex.join(["python3", "-c", ASK, *words])).strip()

    assert asked("https", OWN).startswith("HTTP/1.1 200")
    for scheme, pair in (
        ("https", "/root/foreign.pem"),
        ("https", "/root/copy.pem"),
        ("https", ""),
        ("http", ""),
    ):
        answer = asked(scheme, pair)
        # nginx says 400 to those who don't speak TLS.
        assert answer == "nothing" or answer.startswith(("refused", "HTTP/1.1 400")), answer


def test_a_new_release_refuses_nobody_and_never_touches_it(site: Site) -> None:
    before = [processes(site, host) for host in site.apps]
    app = site.settings["app"].replace("drain=2", 'drain=2, env={"COLOUR": "blue"}')
    with site.under_load() as outcome:
        site.deploy(app=app)
    assert outcome["failed"] == {}
    assert outcome["codes"] == {"1012": HELD}
    assert [processes(site, host) for host in site.apps] == before


def test_a_proxy_does_not_talk_to_a_stranger(site: Site) -> None:
    for host in site.apps:
        site.ssh(FORGED.format(name="foreign", subject="ws.internal"), host)
        site.ssh(f"cp -a {OWN} /root/kept.pem; cp /root/foreign.pem {OWN}", host)
        site.ssh(f"systemctl reload {UNIT}", host)

    def refused() -> bool:
        try:
            site.echoes()
        except InvalidStatus as error:
            return error.response.status_code in (502, 503)
        return False

    wait_until(refused)
    for host in site.apps:
        site.ssh(f"mv /root/kept.pem {OWN}; systemctl reload {UNIT}", host)
    wait_until(lambda: works(site))


def works(site: Site) -> bool:
    try:
        site.echoes()
    except InvalidStatus:
        return False
    return True


def test_new_keys_refuse_nobody(site: Site) -> None:
    """The spare pair is known to the other tier before it is used."""
    changing = [site.apps[0], site.host]
    spare = {host.name: serial(site, SPARE, host) for host in changing}
    for host in changing:
        site.ssh(f"rm {OWN}", host)
    with site.under_load() as outcome:
        site.deploy()
    assert outcome["failed"] == {}
    # Those who were connected still are.
    assert outcome["codes"] == {}
    assert {host.name: serial(site, OWN, host) for host in changing} == spare
    site.converged()


def test_a_new_certificate_for_clients_is_none_for_app_hosts(site: Site) -> None:
    before = serial(site, OWN, site.host)
    site.deploy(tls='SelfSigned(names=["10.9.8.7"])')
    assert serial(site, OWN, site.host) == before
    site.echoes()


def test_a_limited_run_still_trusts_all_hosts(site: Site) -> None:
    for host in (site.host, site.apps[0]):
        result = site.pyinfra("deploy.py", "-y", "--json", "--limit", host.name)
        assert result.code == 0, result.output
        assert result.totals["success"] == 0, result.changed


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
    sandbox.up(lost.name)

    def reached() -> bool:
        with contextlib.ExitStack() as stack:
            for _ in range(16):
                stack.enter_context(site.client())
            query = f"( sport = :8100 or sport = :8101 ) and dst {site.host.address}"
            rows = site.ssh(f"ss --no-header --tcp state established '{query}'", lost)
        return len(rows.splitlines()) >= 4

    wait_until(reached)
    site.converged()


def test_switching_it_off_refuses_nobody(site: Site) -> None:
    with site.under_load() as outcome:
        site.deploy(internal_tls="False")
    assert outcome["failed"] == {}
    assert outcome["codes"] == {"1012": HELD}
    site.converged()
    for host in site.apps:
        left = "/etc/systemd/system/ws-internal* /etc/ws/internal/*"
        assert site.ssh(f"ls -d {left} 2>/dev/null || true", host) == ""
        assert ":81" not in site.ssh("ss --no-header --listening --numeric --tcp", host)
