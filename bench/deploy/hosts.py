"""The hosts that runs are measured on: throwaway ones, fresh or as an earlier run left them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import wsdeploy_sandbox as sandbox
from wsdeploy_sandbox import SandboxHost

SUITE = "bookworm"


@dataclass(frozen=True)
class Target:
    """A host, as a contender reaches it: directly, or through a relay."""

    host: SandboxHost
    address: str
    port: int
    known_hosts: Path

    @property
    def key(self) -> str:
        """Path of the private key that logs in as root."""
        return self.host.key


def names(purpose: str, number: int) -> list[str]:
    """Return the names of hosts for a purpose, such as `pyinfra`."""
    return [f"bdeploy-{purpose}-{each}" for each in range(number)]


def fresh(wanted: Sequence[str]) -> list[Target]:
    """Return hosts that have just booted for the first time, in place of those of the same names.

    Each lies on the same Debian base, and has an empty package cache and no package lists.
    """
    sandbox.down(*wanted)
    return [direct(host) for host in sandbox.up(*(f"{name}:{SUITE}" for name in wanted))]


def direct(host: SandboxHost) -> Target:
    """Return a host as it is reached without a relay."""
    return Target(host, host.address, 22, Path(host.known_hosts))


def relayed(targets: Sequence[Target], ports: Sequence[int], known_hosts: Path) -> list[Target]:
    """Return the same hosts behind relays on loopback, whose names `known_hosts` is filled with."""
    lines = []
    for target, port in zip(targets, ports, strict=True):
        for line in target.known_hosts.read_text().splitlines():
            hosts, _, key = line.partition(" ")
            if target.address in hosts.split(","):
                lines.append(f"[127.0.0.1]:{port} {key}\n")
    known_hosts.write_text("".join(lines))
    return [
        Target(target.host, "127.0.0.1", port, known_hosts)
        for target, port in zip(targets, ports, strict=True)
    ]
