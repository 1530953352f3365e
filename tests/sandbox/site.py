"""A service on throwaway hosts, its inventory, and a checkout of the project to deploy it with."""

import atexit
import contextlib
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from websockets.exceptions import InvalidStatus

from tests import pyinfra_server
from wsdeploy.checks.client import Client, connect
from wsdeploy.plan.host import paths
from wsdeploy_sandbox import SandboxHost

PROJECT = Path(__file__).resolve().parents[2]
PYINFRA = Path(sys.executable).with_name("pyinfra")

# For tests whose one machine stands for many clients: more come from it than from one address.
CROWD = 'Edge(unlimited_networks=["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fd00::/8"])'

# Commands on a host share a connection: a login of its own costs both sides more than most of them.
# The path has to be short, for a socket's name.
CONNECTIONS = Path(tempfile.mkdtemp(prefix="ssh-"))


@atexit.register
def _disconnect() -> None:
    for connection in CONNECTIONS.iterdir():
        subprocess.run(
            ["ssh", "-O", "exit", "-o", f"ControlPath={connection}", "host"],
            capture_output=True,
            check=False,
        )
    shutil.rmtree(CONNECTIONS, ignore_errors=True)


# What a host has to say about a test that failed.
REPORT = """
supervisorctl status
systemctl --failed --no-pager --plain
tail -n 20 /var/log/ws/deploys.log /var/log/ws/*/*.log /var/log/nginx/error.log 2>/dev/null
journalctl --no-pager --lines 150 --output short-precise
"""

# Of each generation, the processes that have its environment.
MARKED = """
import collections, glob
found = collections.Counter()
for path in glob.glob("/proc/[0-9]*/environ"):
    try:
        words = open(path, "rb").read().decode(errors="replace").split("\\0")
    except OSError:
        continue
    for word in words:
        name, _, value = word.partition("=")
        if name == "SUPERVISOR_GROUP_NAME":
            found[value.removeprefix("ws-")] += 1
print(dict(found))
"""

WITH_CHILDREN = PROJECT / "tests" / "apps" / "children" / "app.py"

RATE = 25
"""Handshakes a second while something happens that nobody may notice: some in each of its steps,
and few enough for a machine with other work to do."""
HELD = 60
"""Clients that are there before and stay."""

OUTCOMES = ("error", "success", "no_change")

INVENTORY = """\
from wsdeploy import *

settings = Settings({settings})
app, proxy = hosts(settings, app={apps!r}, proxy={proxies!r}, spare_addresses={spare!r})
"""


@dataclass
class Result:
    """How a run of pyinfra ended."""

    code: int
    output: str
    """What it printed for people."""
    totals: dict[str, int]
    operations: dict[str, str]
    """Names of operations, to `success` (which is pyinfra's word for changed), `error` or
    `no_change`."""

    @property
    def changed(self) -> list[str]:
        return [name for name, outcome in self.operations.items() if outcome == "success"]


@dataclass
class Site:
    apps: list[SandboxHost]
    proxies: list[SandboxHost]
    user: str
    folder: Path
    settings: dict[str, str]
    project: Path = PROJECT
    trusted: Path | None = None
    """Certificates to trust, where the proxies' own are from an authority."""
    bundle: Path = field(init=False)
    spare: list[str] = field(default_factory=list)
    """Addresses of app hosts that may not exist."""
    said: list[str] = field(default_factory=list)
    """What runs have printed in the present test, for the report if it fails."""

    def __post_init__(self) -> None:
        self.bundle = self.folder / "certificates.pem"

    @property
    def host(self) -> SandboxHost:
        """The proxy that the domain leads to."""
        return self.proxies[0]

    @property
    def inventory(self) -> Path:
        return self.folder / "inventory.py"

    def write(self, **changes: str) -> None:
        """Write the inventory with these settings, given as Python source."""
        self.settings |= changes

        def entries(hosts: list[SandboxHost]) -> list[tuple[str, dict[str, Any]]]:
            return [
                (host.name, host.ssh_data(self.user) | {"private_address": host.address})
                for host in hosts
            ]

        text = ", ".join(f"{name}={source}" for name, source in self.settings.items())
        self.inventory.write_text(
            INVENTORY.format(
                settings=text,
                apps=entries(self.apps),
                proxies=entries(self.proxies),
                spare=self.spare,
            )
        )

    def command(self, *arguments: str) -> list[str]:
        return [str(PYINFRA), str(self.inventory), *(arguments or ("deploy.py", "-y", "--json"))]

    def environment(self) -> dict[str, str]:
        return os.environ | {"PYTHONPATH": str(self.project)}

    def pyinfra(self, *arguments: str) -> Result:
        """Run pyinfra on this site; without arguments, deploy."""
        program, *words = self.command(*arguments)
        if self.project == PROJECT:
            done = pyinfra_server.run(
                words, cwd=PROJECT, env=self.environment(), timeout=600, in_turn=True
            )
        else:
            done = self.command_line(program, *words)
        self.note(words, done.returncode, done.stderr)
        # Nothing on standard output means that the run was aborted.
        results = json.loads(done.stdout)["results"] if done.stdout.startswith("{") else {}
        operations: dict[str, str] = {}
        for entry in results.get("operations", ()):
            # Those that hosts take turns with are there once for each turn.
            found = [k for k in OUTCOMES if entry[k] or operations.get(entry["name"]) == k]
            if found:
                operations[entry["name"]] = found[0]
        return Result(done.returncode, done.stderr, results.get("totals", {}), operations)

    def command_line(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run pyinfra as users do, in a process of its own."""
        return subprocess.run(
            words,
            cwd=self.project,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )

    def note(self, words: list[str], code: object, output: str) -> None:
        """Keep what a run has said, for the report of a test that fails."""
        self.said.append(f"pyinfra {' '.join(words)}: exit code {code}\n{output}")

    def deploy(self, **changes: str) -> Result:
        """Deploy with these settings, which must work."""
        self.write(**changes)
        result = self.pyinfra()
        assert result.code == 0, result.output
        assert result.totals.get("error") == 0, result.output
        return result

    def converged(self) -> None:
        """Deploy again; nothing may change."""
        result = self.pyinfra()
        assert result.code == 0, result.output
        assert (result.totals["success"], result.totals["error"]) == (0, 0), result.changed

    def checked(self, *options: str) -> None:
        """Run the checks for deployed fleets; all must pass."""
        done = subprocess.run(
            [
                sys.executable, "-m", "pytest", "-q", "tests/hosts",
                "--inventory", str(self.inventory), *options,
            ],
            cwd=PROJECT,
            env=os.environ | ({"SSL_CERT_FILE": str(self.trusted)} if self.trusted else {}),
            capture_output=True,
            text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout

    def ssh(
        self, command: str, host: SandboxHost | None = None, text: str = "", *, anew: bool = False
    ) -> str:
        """Run a shell command on a host as root, the proxy unless told, and return its output.

        text: what the command reads from standard input.
        anew: log in for it, instead of using the connection that is there.
        """
        done = subprocess.run(
            self.ssh_command(command, host, anew=anew),
            input=text,
            capture_output=True,
            text=True,
            # Logs hold what clients have sent.
            errors="replace",
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def ssh_command(
        self, command: str, host: SandboxHost | None = None, *, anew: bool = False
    ) -> list[str]:
        """Return the command for this machine that runs a shell command on a host as root."""
        host = host or self.host
        shared = [
            "-o", "ControlMaster=auto", "-o", f"ControlPath={CONNECTIONS}/%C",
            "-o", "ControlPersist=120", "-o", "ServerAliveInterval=15",
        ]  # fmt: skip
        return [
            "ssh", "-i", host.key, "-o", f"UserKnownHostsFile={host.known_hosts}",
            "-o", "BatchMode=yes", *([] if anew else shared), f"root@{host.address}", command,
        ]  # fmt: skip

    def fetch_certificate(self) -> Path:
        """Write what clients verify with to a file, and return its path."""
        if self.trusted:
            return self.trusted
        self.bundle.write_text(self.ssh(f"cat {paths.certificate('ws')}"))
        return self.bundle

    def client(self, **options: Any) -> Client:
        """Open a WebSocket to the service, with its certificate verified."""
        return connect(
            f"wss://{self.host.domain}/",
            ssl=ssl.create_default_context(cafile=self.fetch_certificate()),
            **options,
        )

    def echoes(self) -> None:
        """Send a message through the proxy; the same must come back."""
        with self.client() as websocket:
            websocket.send("marco")
            assert websocket.recv(60) == "marco"

    def serves(self) -> None:
        """Wait until the service is up, for its processes start by themselves after the host."""
        end = time.monotonic() + 60
        while True:
            try:
                self.client().close()
            except (OSError, InvalidStatus):
                assert time.monotonic() < end, "the service does not come up"
                time.sleep(0.2)
            else:
                return

    @contextlib.contextmanager
    def under_load(
        self, rate: int = RATE, held: int = HELD, echo_every: float = 0, returning: bool = False
    ) -> Iterator[dict[str, Any]]:
        """Make `rate` handshakes a second while the body runs, with `held` clients from before.

        echo_every: seconds between two messages of a held client; 0 for none.
        returning: whether who comes and is closed with 1012 before it has its answer comes back
        once, for which it is counted in `returned`; else it has failed.
        Yields a dict that is filled when the body has ended: `passed`, `failed` (reasons to how
        many), `failed_at` (when those handshakes were begun) `codes` (close codes of the held
        clients to how many), `closed_at`, `echoes` (how many), `unanswered` (messages whose echo
        never came) and `slowest` (seconds for one).
        """
        load = subprocess.Popen(
            [
                sys.executable, str(Path(__file__).with_name("load.py")),
                f"wss://{self.host.domain}/", str(self.fetch_certificate()), str(rate), str(held),
                str(echo_every), *(["returning"] if returning else []),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        outcome: dict[str, Any] = {}
        try:
            assert load.stdout is not None
            assert load.stdout.readline() == "ready\n"
            yield outcome
            answer, _ = load.communicate("stop\n", timeout=120)
            outcome.update(json.loads(answer))
        finally:
            load.kill()
            load.wait()

    @contextlib.contextmanager
    def with_clients_that_stay(self, rate: float = 20, held: int = 0) -> Iterator[dict[str, Any]]:
        """Let clients come while the body runs, who stay, and come back when they are closed.

        Yields a dict that is filled when the body has ended: `handshakes`, each as when it was
        begun, how many seconds it took, and what went wrong or None; `closed`, each as when and
        with which code.
        """
        clients = subprocess.Popen(
            [
                sys.executable, str(Path(__file__).with_name("stay.py")),
                f"wss://{self.host.domain}/", str(self.fetch_certificate()), str(rate), str(held),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        outcome: dict[str, Any] = {}
        try:
            assert clients.stdout is not None
            assert clients.stdout.readline() == "ready\n"
            yield outcome
            answer, _ = clients.communicate("stop\n", timeout=120)
            outcome.update(json.loads(answer))
        finally:
            clients.kill()
            clients.wait()

    def reports(self) -> Iterator[tuple[str, str]]:
        """Yield titles and texts: what the runs of this test and the hosts have said."""
        for text in self.said:
            yield "run", text
        for host in dict.fromkeys([*self.apps, *self.proxies]):
            done = subprocess.run(
                self.ssh_command(REPORT, host),
                capture_output=True, text=True, errors="replace", check=False, timeout=60,
            )  # fmt: skip
            yield host.name, done.stdout + done.stderr

    def marked(self) -> dict[str, int]:
        """Return how many processes each generation has, whoever has started them."""
        found = self.ssh("python3 -", text=MARKED)
        return {name: int(n) for name, n in re.findall(r"'([0-9a-f-]+)': (\d+)", found)}

    def live_generation(self, host: SandboxHost | None = None) -> str:
        return self.ssh("readlink /run/ws/current", host or self.apps[0]).strip()
