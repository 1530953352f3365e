"""A host's addresses, and its ways to other hosts. Changes nothing."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wshost import requests

VENDOR = "/sys/class/dmi/id/sys_vendor"
CONTAINER = "/run/systemd/container"
"""There in a container, which sees the vendor of the machine around it."""


def report(peers: list[str]) -> requests.Network:
    """Return this host's addresses by interface, and its way to each of the other hosts."""
    return {
        "addresses": addresses(_ip("address", "show")),
        "routes": {
            peer: route for peer in peers if (route := way(_ip("route", "get", peer))) is not None
        },
        "vendor": vendor(),
    }


def addresses(listing: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Return addresses with the length of their networks, by interface, as `ip -json` lists them.

    >>> addresses([{"ifname": "lo", "addr_info": [{"local": "::1", "prefixlen": 128}]}])
    {'lo': ['::1/128']}
    """
    return {
        link["ifname"]: [
            f"{each['local']}/{each['prefixlen']}" for each in link["addr_info"] if "local" in each
        ]
        for link in listing
        if link.get("addr_info")
    }


def way(listing: list[dict[str, Any]]) -> requests.Way | None:
    """Return by which interface another host is reached, and the router in between, if any.

    >>> way([{"dst": "10.0.0.2", "dev": "eth1", "prefsrc": "10.0.0.1"}])
    {'interface': 'eth1', 'router': None}
    """
    for route in listing:
        if "dev" in route:
            return {"interface": route["dev"], "router": route.get("gateway")}
    return None


def vendor() -> str:
    """Return who made this machine, by its firmware; nothing in a container."""
    if os.path.exists(CONTAINER):
        return ""
    with contextlib.suppress(OSError), open(VENDOR, errors="replace") as file:
        return file.read().strip()
    return ""


def _ip(*words: str) -> list[dict[str, Any]]:
    try:
        done = subprocess.run(("ip", "-json", *words), capture_output=True, text=True, check=False)
        return json.loads(done.stdout) if done.returncode == 0 else []
    except (FileNotFoundError, ValueError):
        return []
