"""A machine that sets itself up from user data and a bundle, and leaves when its cloud says so.

The tests of this file are steps on one host, in the order they stand in; the last is on three more.
A host's cloud is cloud-init's NoCloud: files on its disk; the metadata of another are made up on
loopback.
"""

import contextlib
import dataclasses
import functools
import http.client
import http.server
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

import wsdeploy_sandbox as sandbox
from tests.sandbox.balancer import Balancer, Clients, Target
from tests.sandbox.conftest import installed
from tests.sandbox.site import CROWD, PROJECT, Site
from wsdeploy_sandbox import Layer, machine, network, state

COMBINATIONS = [("bookworm", "HAProxy")]

METADATA = 8169
CLOUD_CONFIG = """\
network: {config: disabled}
ssh_deletekeys: false
disable_root: false
preserve_hostname: true
manage_etc_hosts: false
locale: false
"""
# What Amazon's metadata say, as far as they are asked: the state is what a file says.
FAKE = """
import http.server, pathlib
class Handler(http.server.BaseHTTPRequestHandler):
    def do_PUT(self):
        self.answer(200, "token")
    def do_GET(self):
        state = pathlib.Path("/run/lifecycle-state")
        if self.headers["X-aws-ec2-metadata-token"] != "token":
            self.answer(401, "")
        elif self.path.endswith("/target-lifecycle-state") and state.exists():
            self.answer(200, state.read_text())
        else:
            self.answer(404, "")
    def answer(self, status, text):
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())
http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
"""
CLIENTS = 100
SECRET = "a-secret-of-the-machine"

MACHINES = int(os.environ.get("MACHINES", "10"))
"""How many come and go in turn: fewer, to try that by hand."""
PLACES = ("join1", "join2", "join3")
"""Hosts that the machines are in turn: one comes, one serves, one goes."""
KINDS = [("bookworm", "HAProxy"), ("trixie", "Nginx")]
"""What the machines are in turn."""
DOMAIN = "join.sandbox.test"
RATE, STAYING = 20, 50


@dataclass
class Group:
    """What makes machines: a place with bundles, and the user data that lead there."""

    site: Site
    url: str

    @property
    def folder(self) -> Path:
        return self.site.folder

    def bundle(self) -> str:
        """Make a bundle of the site's settings, and return the user data for it."""
        done = subprocess.run(
            [
                str(Path(sys.executable).with_name("wsdeploy")), "bundle", "inventories/own.py",
                "ws.bundle", "--key", "key", "--url", f"{self.url}/ws.bundle",
                "--debian", "12" if self.site.host.suite == "bookworm" else "13",
            ],
            cwd=self.folder, capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def power_on(self, user_data: str, files: dict[str, str] | None = None) -> float:
        """Let the machine boot as one that its cloud has just made; return when it began.

        files: what its disk has beside that.
        """
        name = self.site.host.name
        seed = {
            "etc/cloud/cloud.cfg.d/99-sandbox.cfg": CLOUD_CONFIG,
            "var/lib/cloud/seed/nocloud/meta-data": f"instance-id: {time.time()}\n",
            "var/lib/cloud/seed/nocloud/user-data": user_data,
        }
        sandbox.poweroff(name)
        self.write(seed | (files or {}))
        began = time.monotonic()
        sandbox.up(name)
        return began

    def write(self, files: dict[str, str]) -> None:
        """Write files to the disk of the machine while it is off, as whoever makes images could."""
        record = state.records()[self.site.host.name]
        machine.mount(record)
        for path, text in files.items():
            file = record.root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            file.chmod(0o600 if "key" in path or "token" in path else 0o644)

    def seal(self) -> dict[str, str]:
        """Seal the machine and power it off; return what a new machine of an image has anew."""
        own = {
            path: self.site.ssh(f"cat /{path}")
            for path in ("etc/ssh/ssh_host_ed25519_key", "etc/machine-id", "etc/ws-token")
        }
        self.site.ssh("/opt/ws/run wsdeploy.seal >/dev/null 2>&1")
        sandbox.poweroff(self.site.host.name)
        return own

    def joined(self) -> str:
        """Wait until the machine is set up, and return what that has said."""
        return self.said("ws-join", "Deactivated successfully")

    def said(self, unit: str, awaited: str) -> str:
        """Wait until a unit has said something since the boot, and return all that it has said."""
        end = time.monotonic() + 120
        while True:
            told = self.site.ssh(f"journalctl --boot --unit {unit} --output cat --no-pager")
            if awaited in told:
                return told
            assert time.monotonic() < end, told
            time.sleep(0.5)

    def give_metadata(self) -> None:
        """Let the machine's cloud answer what is asked of it."""
        self.site.ssh(
            "cat >/run/metadata.py && systemd-run --quiet python3 /run/metadata.py",
            text=FAKE.replace("PORT", str(METADATA)),
        )

    def take_away(self) -> None:
        """Let its cloud say that the machine goes."""
        self.site.ssh("echo -n Terminated >/run/lifecycle-state")


def healthy(address: str) -> int:
    """Return the status of a balancer's health check."""
    connection = http.client.HTTPConnection(address, timeout=10)
    connection.request("GET", "/healthz")
    status = connection.getresponse().status
    connection.close()
    return status


def ready(address: str) -> bool:
    """Tell whether a machine answers the health check, and well."""
    try:
        return healthy(address) == 200
    except OSError:
        return False


def wait_until(condition: Callable[[], object], most: float = 60) -> None:
    """Wait until a condition is true; fail after most seconds."""
    end = time.monotonic() + most
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.fixture(scope="module")
def group(make_group: Callable[[], Group]) -> Group:
    return make_group()


def image(proxy: str) -> Layer:
    """Return what a cloud's image has: the packages, and cloud-init."""
    layer = installed(proxy)
    return Layer((*layer.packages, "cloud-init"), layer.disabled)


def write_project(folder: Path, settings: dict[str, str]) -> None:
    """Write a project with these settings, given as Python source, and a key to sign bundles."""
    for part in ("inventories", "files"):
        (folder / part).mkdir(parents=True)
    for path in ("deploy.py", "config.py", "files/app.py", "files/requirements.txt"):
        (folder / path).write_bytes((PROJECT / path).read_bytes())
    text = ", ".join(f"{key}={source}" for key, source in settings.items())
    (folder / "inventories/own.py").write_text(
        f"from wsdeploy import *\nsettings = Settings({text})\n"
        'app, proxy = hosts(settings, app=["@local"])\n'
    )
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "key"], cwd=folder, check=True
    )


@contextlib.contextmanager
def publish(folder: Path) -> Iterator[str]:
    """Serve a folder to hosts, one of which is there already; yield its URL."""
    subnets = network.planned()
    assert subnets is not None

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(folder))
    gateway = subnets.address(network.GATEWAY_NUMBER)
    server = http.server.ThreadingHTTPServer((gateway, 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://{gateway}:{server.server_port}"
    server.shutdown()


@pytest.fixture(scope="module")
def make_group(
    combination: tuple[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], Group]]:
    suite, proxy = combination
    name = f"join-{suite}-{proxy.lower()}"
    folder = tmp_path_factory.mktemp(name)
    sandbox.down(name)
    (host,) = sandbox.up(f"{name}:{suite}", layer=image(proxy))
    settings = {
        "domain": repr(host.domain),
        "app": 'App("files/app.py", processes=2, drain=5, shutdown_drain=3, '
        'probe=Probe(send="hello", expect="hello"), secrets={"TOKEN": FromFile("/etc/ws-token")})',
        "proxy": f"{proxy}()",
        "tls": "SelfSigned()",
        "edge": CROWD,
        "leaving": f'Leaving("aws", quiet=3, metadata="http://127.0.0.1:{METADATA}")',
    }
    site = Site([host], [host], "root", folder, settings)
    write_project(folder, settings)
    site.ssh(f"umask 077; echo {SECRET} >/etc/ws-token")
    with publish(folder) as url:
        yield lambda: Group(site, url)
    sandbox.down(name)


@dataclass
class Machine:
    """One of those that come and go in turn."""

    group: Group
    target: Target


@dataclass
class Fleet:
    """Machines behind a balancer, of each of KINDS in turn."""

    folder: Path
    balancer: Balancer
    served: contextlib.ExitStack
    """Ends what serves the bundles."""
    bundles: dict[str, tuple[Group, str]] = field(default_factory=dict)
    """Where machines of a Debian release come from, and their user data."""

    def come(self, number: int) -> Machine:
        """Let a machine come; return when the balancer passes connections to it."""
        suite, proxy = KINDS[number % len(KINDS)]
        name = PLACES[number % len(PLACES)]
        (host,) = sandbox.up(f"{name}:{suite}", layer=image(proxy))
        folder = self.folder / suite
        settings = {
            "domain": repr(DOMAIN),
            "app": 'App("files/app.py", processes=2, drain=5, shutdown_drain=3, '
            'probe=Probe(send="hello", expect="hello"))',
            "proxy": f"{proxy}()",
            "tls": 'CertFiles("/etc/ws-tls/fullchain.pem", "/etc/ws-tls/privkey.pem")',
            "edge": CROWD,
            "leaving": f'Leaving("aws", metadata="http://127.0.0.1:{METADATA}")',
        }
        site = Site([host], [host], "root", folder, settings)
        if suite not in self.bundles:
            write_project(folder, settings)
            first = Group(site, self.served.enter_context(publish(folder)))
            self.bundles[suite] = first, first.bundle()
        group, user_data = self.bundles[suite]
        group = dataclasses.replace(group, site=site)
        target = self.balancer.add(f"machine {number + 1}, {name} with {proxy}", host.address)
        pair = {f"etc/ws-tls/{path.name}": path.read_text() for path in self.folder.glob("*.pem")}
        began = group.power_on(user_data, pair)
        wait_until(lambda: ready(host.address), 180)
        print(f"{target.name}: {time.monotonic() - began:.1f} s from power-on to ready")
        group.give_metadata()
        wait_until(lambda: target.ready)
        return Machine(group, target)

    def remove(self, machine: Machine) -> None:
        """Power a machine off that was told to go, when it has closed its clients."""
        machine.group.said("ws-leaving", "all connections are closed")
        wait_until(lambda: machine.target.connected == 0)
        self.balancer.remove(machine.target)
        sandbox.poweroff(machine.group.site.host.name)
        sandbox.down(machine.group.site.host.name)


@pytest.fixture(scope="module")
def site(group: Group) -> Site:
    return group.site


def test_it_sets_itself_up(group: Group, site: Site) -> None:
    began = time.monotonic()
    group.power_on(group.bundle())
    assert "serves at wss://" in group.joined()
    site.serves()
    site.echoes()
    print(f"{time.monotonic() - began:.1f} s from the bundle to an echo")
    assert site.ssh("cloud-init status").strip() == "status: done"


def test_the_next_boot_changes_nothing(group: Group, site: Site) -> None:
    sandbox.reboot(site.host.name)
    site.serves()
    assert "ws: nothing to do" in group.joined()


def test_the_bundle_has_no_secret(group: Group, site: Site) -> None:
    assert SECRET in site.ssh("cat /etc/ws/*.env")
    assert site.ssh(f"grep -rl {SECRET} /opt/ws || true") == ""


def test_a_machine_of_a_sealed_image_serves(group: Group, site: Site) -> None:
    key = site.ssh("cat /etc/ws/tls/key.pem").splitlines()[1]
    own = group.seal()
    identity = own["etc/ssh/ssh_host_ed25519_key"].splitlines()[2], own["etc/machine-id"].strip()
    disk = state.HOSTS / site.host.name / "upper"
    for word in (SECRET, key, *identity):
        command = ["grep", "-rlF", "--", word, str(disk)]
        found = subprocess.run(command, capture_output=True, text=True, check=False)
        assert found.stdout == "", word
    # Of the sandbox, so that it can log in again.
    group.write({**own, "etc/machine-id": f"{'0123456789abcdef' * 2}\n"})
    began = time.monotonic()
    sandbox.up(site.host.name)
    # It has a new key, whose certificate is not there yet.
    wait_until(lambda: ready(site.host.address), 120)
    site.echoes()
    print(f"{time.monotonic() - began:.1f} s from the power-on of an image to an echo")
    assert "serves at wss://" in group.joined()


def test_it_leaves_when_the_cloud_says_so(group: Group, site: Site) -> None:
    group.give_metadata()
    clients = [site.client(ping_interval=None) for _ in range(CLIENTS)]
    began = time.monotonic()
    group.take_away()
    end = time.monotonic() + 20
    while healthy(site.host.address) != 503:
        assert time.monotonic() < end, "the health check goes on"
        time.sleep(0.1)
    # The balancer is to notice, while everyone is served.
    site.echoes()
    codes = []
    for client in clients:
        try:
            client.recv(60)
        except ConnectionClosed as closed:
            codes.append(closed.rcvd.code if closed.rcvd else 1006)
    assert codes == [1012] * CLIENTS
    assert time.monotonic() - began < 60


def test_a_machine_with_a_bad_release_never_becomes_ready(group: Group, site: Site) -> None:
    sandbox.reboot(site.host.name)
    site.serves()
    group.joined()
    own = group.seal()
    (group.folder / "files/app.py").write_text("raise SystemExit('broken')\n")
    group.write(own)
    group.power_on(group.bundle())
    end = time.monotonic() + 120
    told = ""
    while "Scheduled restart job" not in told:
        with pytest.raises(OSError, match="refused"):
            healthy(site.host.address)
        assert time.monotonic() < end, told
        told = site.ssh("journalctl --boot --unit ws-join --output cat --no-pager")
    assert "broken" in told or "unhealthy" in told or "exited" in told, told


@pytest.fixture
def fleet(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fleet]:
    if not request.config.getoption("--matrix"):
        pytest.skip("only with --matrix")
    folder = tmp_path_factory.mktemp("machines")
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-noenc", "-days", "30", "-subj", f"/CN={DOMAIN}",
            "-addext", f"subjectAltName=DNS:{DOMAIN}",
            "-keyout", "privkey.pem", "-out", "fullchain.pem",
        ],
        cwd=folder, capture_output=True, check=True,
    )  # fmt: skip
    sandbox.down(*PLACES)
    with contextlib.ExitStack() as served:
        yield Fleet(folder, Balancer(), served)
    if not os.environ.get("KEEP_SANDBOX"):
        sandbox.down(*PLACES)


def test_machines_come_and_go_under_load_and_refuse_nobody(fleet: Fleet) -> None:
    clients = Clients(fleet.balancer, DOMAIN, fleet.folder / "fullchain.pem")
    machines = [fleet.come(0)]
    began = time.monotonic()
    clients.begin(RATE, STAYING)
    for number in range(1, MACHINES):
        machines.append(fleet.come(number))
        # The one that was told to go before has had the time in which this one came.
        for gone in machines[-3:-2]:
            fleet.remove(gone)
        machines[-2].group.take_away()
    fleet.remove(machines[-2])
    clients.end()
    print(f"{time.monotonic() - began:.0f} s under load")
    machines[-1].group.take_away()
    fleet.remove(machines[-1])
    for target in [each.target for each in machines]:
        print(f"{target.name}: {target.served} handshakes, {dict(target.codes)}")
        assert target.served > 0
        assert set(target.codes) == {1012}, target
    assert clients.refused == []
