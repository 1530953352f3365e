"""Deploy to throwaway hosts with the real command line, as a user would."""

import json
import os
import shutil
import ssl
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from websockets.sync.client import connect

from wsdeploy import sandbox
from wsdeploy.plan import places

PROJECT = Path(__file__).resolve().parents[2]
PYINFRA = Path(sys.executable).with_name("pyinfra")

INVENTORY = """\
from wsdeploy import *

settings = Settings({settings})
app = settings.group([({name!r}, {data!r})])
proxy = app
"""


@dataclass
class Result:
    """How a run of pyinfra ended."""

    code: int
    output: str
    """What it printed for people."""
    totals: dict
    operations: dict
    """Names of operations, to `success` (which is pyinfra's word for changed), `error` or
    `no_change`."""


@dataclass
class Site:
    """A throwaway host, its inventory, and a checkout of the project to deploy it with."""

    host: sandbox.SandboxHost
    user: str
    folder: Path
    settings: dict = field(default_factory=dict)
    project: Path = PROJECT

    @property
    def inventory(self) -> Path:
        return self.folder / "inventory.py"

    def write(self, **changes: str) -> None:
        """Write the inventory with these settings, given as Python source."""
        self.settings |= changes
        text = ", ".join(f"{name}={source}" for name, source in self.settings.items())
        self.inventory.write_text(
            INVENTORY.format(settings=text, name=self.host.name, data=self.host.ssh_data(self.user))
        )

    def command(self, *arguments: str) -> list[str]:
        return [str(PYINFRA), str(self.inventory), *(arguments or ("deploy.py", "-y", "--json"))]

    def environment(self) -> dict[str, str]:
        return os.environ | {"PYTHONPATH": str(self.project)}

    def pyinfra(self, *arguments: str) -> Result:
        """Run pyinfra on this host; without arguments, deploy."""
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.project,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        # Nothing on standard output means that the run was aborted.
        results = json.loads(done.stdout)["results"] if done.stdout.startswith("{") else {}
        operations = {
            entry["name"]: next(k for k in ("error", "success", "no_change") if entry[k])
            for entry in results.get("operations", ())
            if entry["success"] or entry["error"] or entry["no_change"]
        }
        return Result(done.returncode, done.stderr, results.get("totals", {}), operations)

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
        assert (result.totals["success"], result.totals["error"]) == (0, 0), result.operations

    def ssh(self, command: str, **options) -> str:
        """Run a shell command on the host as root and return what it prints."""
        return subprocess.run(
            [
                "ssh", "-i", self.host.key, "-o", f"UserKnownHostsFile={self.host.known_hosts}",
                "-o", "BatchMode=yes", f"root@{self.host.address}", command,
            ],
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
            **options,
        ).stdout  # fmt: skip

    def client(self, **options):
        """Open a WebSocket to the service, with its certificate verified."""
        pem = self.ssh(f"cat {places.certificate('ws')}")
        return connect(
            f"wss://{self.host.domain}/",
            ssl=ssl.create_default_context(cadata=pem),
            proxy=None,
            **options,
        )

    def echoes(self) -> None:
        """Send a message through the proxy; the same must come back."""
        with self.client() as websocket:
            websocket.send("marco")
            assert websocket.recv(10) == "marco"

    def live_generation(self) -> str:
        return self.ssh("readlink /run/ws/current").strip()


@pytest.fixture(scope="module", params=["bookworm", "trixie"])
def suite(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def site(suite, tmp_path_factory):
    """A fresh host; as root on one Debian release, as a user with sudo on the other."""
    name = f"test-{suite}"
    sandbox.down(name)
    host = sandbox.up(f"{name}:{suite}")[0]
    site = Site(
        host,
        user="root" if suite == "bookworm" else "admin",
        folder=tmp_path_factory.mktemp(name),
        settings={
            "domain": repr(host.domain),
            "app": 'App("files/app.py", processes=3, drain=2, '
            'probe=Probe(send="hello", expect="hello"))',
            "tls": "SelfSigned()",
        },
    )
    site.write()
    yield site
    sandbox.down(name)


@pytest.fixture
def copy(site, tmp_path):
    """A copy of the project, to break something in; the site deploys with it meanwhile."""
    target = tmp_path / "project"
    ignored = shutil.ignore_patterns(".venv", ".git", "__pycache__", "certificates", "tests")
    shutil.copytree(PROJECT, target, ignore=ignored)
    site.project = target
    yield target
    site.project = PROJECT
