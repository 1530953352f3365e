"""A host under test: deploying to it, running commands on it, and what its services take."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import wsdeploy_sandbox as sandbox
from bench.machine import PROJECT
from wsdeploy_sandbox import cgroups, ssh
from wsdeploy_sandbox.command import run

INVENTORY = "bench/traffic/inventory.py"
DRAIN = 0
"""Seconds, unless a benchmark is about deployments."""
CONNECTIONS = 10_000
"""Clients that a host should hold: the default, unless a benchmark is about that."""
SUITES = {"nginx": "bookworm", "haproxy": "trixie"}
"""Proxies, and the Debian release that each is measured on."""


@dataclass(frozen=True)
class Host:
    """A sandbox host with the service on it."""

    proxy: str
    """`nginx` or `haproxy`."""
    name: str
    address: str
    domain: str

    def shell(self, script: str, *words: str) -> str:
        """Run a script as root; `words` are its arguments. Returns what it printed."""
        return run(*ssh.command("root", self.address, "sh", "-es", "-", *words), stdin=script)

    def write(self, path: str, content: str) -> None:
        """Write a file, readable for all."""
        run(*ssh.command("root", self.address, f"umask 022; cat >{path}"), stdin=content)

    def _group(self, unit: str) -> Path:
        return cgroups.group(self.name) / cgroups.MACHINE / "payload/system.slice" / unit

    def processor(self, unit: str) -> float:
        """Return the seconds of processor time that a unit has taken so far."""
        return _processor(self._group(unit))

    def others(self) -> float:
        """Return the seconds of processor time that all but this host has taken so far."""
        values = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:8]
        user, nice, system, _idle, _waiting, irq, softirq = map(int, values)
        busy = (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")
        return busy - _processor(cgroups.group(self.name))

    def memory(self, unit: str) -> int:
        """Return the bytes of memory of a unit's processes, what they share in proportion (PSS)."""
        return sum(_proportional(pid) for pid in self.pids(unit))

    def pids(self, unit: str) -> list[int]:
        """Return the numbers of a unit's processes, as this machine has them."""
        files = self._group(unit).rglob("cgroup.procs")
        return [int(pid) for file in files for pid in file.read_text().split()]


def _processor(group: Path) -> float:
    values = dict(line.split() for line in (group / "cpu.stat").read_text().splitlines())
    return int(values["usage_usec"]) / 1e6


def _proportional(pid: int) -> int:
    try:
        rollup = Path("/proc", str(pid), "smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next(int(line.split()[1]) * 1024 for line in rollup.splitlines() if line[:4] == "Pss:")


def kernel_memory() -> int:
    """Return the bytes that the kernel has taken for sockets, open files and the like.

    Of slab, what it can't give back, and the inodes of sockets; not what it remembers of files on
    disks, which others read meanwhile.
    """
    lines = Path("/proc/meminfo").read_text().splitlines()
    kept = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("SUnreclaim:"))
    for line in Path("/proc/slabinfo").read_text().splitlines():
        name, active, _, size = [*line.split(), "", "", ""][:4]
        if name == "sock_inode_cache":
            kept += int(active) * int(size)
    return kept


def deploy(proxy: str, drain: int = DRAIN, connections: int = CONNECTIONS) -> Host:
    """Bring a host up, deploy the service to it with the real command, and return it.

    drain: seconds over which the app closes its connections when it is replaced. connections:
    clients that the host should hold.
    """
    pyinfra(proxy, "deploy.py", drain, connections)
    found = sandbox.find(f"traffic-{proxy}")
    return Host(proxy, found.name, found.address, found.domain)


def pyinfra(proxy: str, operation: str, drain: int = DRAIN, connections: int = CONNECTIONS) -> None:
    """Run one of pyinfra's commands on a host. Raises RuntimeError with its words if it fails."""
    done = subprocess.run(
        [str(Path(sys.executable).with_name("pyinfra")), "-y", INVENTORY, operation],
        cwd=PROJECT,
        env=os.environ
        | {
            "BENCH_PROXY": proxy,
            "BENCH_DRAIN": str(drain),
            "BENCH_CONNECTIONS": str(connections),
            "PYTHONPATH": str(PROJECT),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{operation} failed:\n{done.stdout}{done.stderr}")


def down() -> None:
    """Throw all hosts of this benchmark away."""
    sandbox.down(*(f"traffic-{proxy}" for proxy in SUITES))
