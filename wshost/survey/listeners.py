"""Sockets that others could reach, and which of them is SSH."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wshost.requests import Listener


SSH = re.compile(r"(ssh|sshd|sshd@.*|dropbear)\.(service|socket)")
LOOPBACK = re.compile(r"127\.|\[::1\]|\[::ffff:127\.")


def parse(listing: str) -> list[Listener]:
    """Read what `ss --listening --numeric --extended` prints, without what listens on loopback."""
    found: dict[tuple[str, int, str], Listener] = {}
    for line in listing.splitlines():
        words = line.split()
        if len(words) < 6:
            continue
        protocol, where = words[0], words[4]
        address, _, port = where.rpartition(":")
        if LOOPBACK.match(address) or "%lo" in address or not port.isdigit():
            continue
        group = next((w.partition(":")[2] for w in words if w.startswith("cgroup:")), "")
        parts = [part for part in group.split("/") if part.endswith((".service", ".socket"))]
        unit = parts[-1] if parts else ""
        found[protocol, int(port), unit] = {"protocol": protocol, "port": int(port), "unit": unit}
    return [found[key] for key in sorted(found)]


def is_ssh(listener: Listener) -> bool:
    """Tell whether a socket is that of an SSH server."""
    return listener["protocol"] == "tcp" and SSH.fullmatch(listener["unit"]) is not None


def ssh_ports(found: list[Listener], environments: list[str]) -> list[int]:
    """Return the ports of SSH servers, and the one that this program's own connection came to.

    environments: of the processes that this one comes from, as in /proc/PID/environ.
    """
    ports = {listener["port"] for listener in found if is_ssh(listener)}
    for environment in environments:
        # Client's address and port, this host's address and port.
        match = re.search(r"(?:^|\0)SSH_CONNECTION=\S+ \d+ \S+ (\d+)", environment)
        if match:
            ports.add(int(match[1]))
    return sorted(ports)


def app_ports(rules: str) -> list[int]:
    r"""Return the app's ports that a file with rules speaks of (templates/system/firewall.nft.j2).

    >>> app_ports("# app ports: 8000 8001\n")
    [8000, 8001]
    """
    match = re.search(r"^# app ports:([ 0-9]*)$", rules, re.MULTILINE)
    return [int(word) for word in match[1].split()] if match else []
