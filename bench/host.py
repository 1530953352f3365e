"""A host under test: deploying to it, running commands on it, and what its services take."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import wsdeploy_sandbox as sandbox
from wsdeploy_sandbox import cgroups, network, ssh
from wsdeploy_sandbox.command import run, succeeds

PROJECT = Path(__file__).resolve().parents[1]
PROXIES = ("nginx", "haproxy")
"""One host for each."""

UNTRACKED = """
table inet wsdeploy_bench {{}}
delete table inet wsdeploy_bench
table inet wsdeploy_bench {{
    chain arriving {{ type filter hook prerouting priority raw; {match} notrack; }}
    chain leaving {{ type filter hook output priority raw; {match} notrack; }}
}}
"""
"""No connection tracking, which the deployed firewall saves the service. Neither the set-ups next
to it should pay for it, nor this machine, which has it only because hosts go online through it."""


@dataclass(frozen=True)
class Host:
    """A sandbox host with the service on it."""

    proxy: str
    """One of PROXIES."""
    name: str
    address: str
    domain: str

    def shell(self, script: str) -> str:
        """Run a script as root; return what it printed."""
        return run(*ssh.command("root", self.address, "sh", "-es"), stdin=script)

    def write(self, path: str, content: str) -> None:
        """Write a file, readable for all."""
        run(*ssh.command("root", self.address, f"umask 022; cat >{path}"), stdin=content)

    def copy(self, file: Path, path: str) -> None:
        """Copy a program to a path."""
        command = ssh.command("root", self.address, f"cat >{path} && chmod 755 {path}")
        with file.open("rb") as content:
            subprocess.run(command, stdin=content, check=True)

    def processor(self, unit: str) -> float:
        """Return the seconds of processor time that a systemd unit has taken so far."""
        lines = (self._group(unit) / "cpu.stat").read_text().splitlines()
        return int(dict(line.split() for line in lines)["usage_usec"]) / 1e6

    def memory(self, unit: str) -> int:
        """Return the bytes of memory of a unit's processes: their proportional set size."""
        files = self._group(unit).rglob("cgroup.procs")
        return sum(_proportional(pid) for file in files for pid in file.read_text().split())

    def _group(self, unit: str) -> Path:
        return cgroups.group(self.name) / cgroups.MACHINE / "payload/system.slice" / unit


def _proportional(pid: str) -> int:
    try:
        rollup = Path("/proc", pid, "smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next(int(line.split()[1]) * 1024 for line in rollup.splitlines() if line[:4] == "Pss:")


@contextlib.contextmanager
def deployed() -> Iterator[list[Host]]:
    """Boot a host for each proxy and deploy the service to it; delete the hosts at the end."""
    try:
        found = []
        for proxy in PROXIES:
            pyinfra(proxy, "deploy.py", "-y")
            host = sandbox.find(f"bench-{proxy}")
            found.append(Host(proxy, host.name, host.address, host.domain))
            found[-1].shell(f"nft -f - <<'E'\n{UNTRACKED.format(match='')}E")
        subnets = network.planned()
        assert subnets is not None
        within = f"ip saddr {subnets.v4} ip daddr {subnets.v4}"
        run("nft", "-f", "-", stdin=UNTRACKED.format(match=within))
        yield found
    finally:
        succeeds(["nft", "delete", "table", "inet", "wsdeploy_bench"])
        sandbox.down(*(f"bench-{proxy}" for proxy in PROXIES))


def pyinfra(proxy: str, *arguments: str) -> float:
    """Run pyinfra on a proxy's host; return its seconds. Raises RuntimeError if it fails."""
    began = time.monotonic()
    done = subprocess.run(
        [str(Path(sys.executable).with_name("pyinfra")), "bench/inventory.py", *arguments],
        cwd=PROJECT,
        env=os.environ | {"BENCH_PROXY": proxy, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"pyinfra {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
    return time.monotonic() - began
