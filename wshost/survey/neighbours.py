"""What else is on this host, for a service that comes here for the first time. Changes nothing."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import os
import re
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wshost import requests


STATE = "/var/lib/wsdeploy"
PORTS = (80, 443)

CONFIGURED = {
    "nginx": ("/etc/nginx/nginx.conf", "/etc/nginx/conf.d/*.conf", "/etc/nginx/sites-enabled/*"),
    "haproxy": ("/etc/haproxy/haproxy.cfg", "/etc/haproxy/conf.d/*.cfg"),
}
"""Where somebody's configuration of a proxy is, if it is one."""
DEBIANS = ("/etc/nginx/sites-enabled/default",)
"""What is there after Debian's package is installed, but is no file of it."""
OURS = "# This file replaces Debian's and includes nothing of it"
"""What our own configuration of a proxy begins with."""
PACKAGES = ("nginx", "nginx-common", "haproxy")


def report(name: str, markers: list[str]) -> requests.Neighbours | None:
    """Return what a first deployment of a service should know; None if it has been here.

    markers: files that are there when it has.
    """
    if all(os.path.exists(marker) for marker in markers):
        return None
    return {
        "services": services(name),
        "proxies": {proxy: foreign(proxy) for proxy in CONFIGURED},
        "ports": ports(),
        "filters": filters(name),
        "folders": [
            path
            for path in (f"/srv/{name}", f"/etc/{name}", f"/var/lib/{name}", f"/var/log/{name}")
            # After a removal the data stays, with the user that it belongs to.
            if os.path.exists(path) and not os.path.exists(f"{STATE}/kept/{name}")
        ],
    }


def services(name: str) -> list[str]:
    """Return the other services of wsdeploy that are on this host."""
    found = {
        os.path.basename(path).removesuffix("-system.json")
        for path in glob.glob(f"{STATE}/sets/*-system.json")
    }
    return sorted(found - {name})


def foreign(proxy: str) -> list[str]:
    """Return the files of a proxy's configuration that are neither Debian's nor ours."""
    ours = set()
    for marker in glob.glob(f"{STATE}/sets/*-{proxy}.json"):
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError), open(marker) as file:
            ours |= set(json.load(file)["paths"])
    packaged = conffiles()
    found = [path for pattern in CONFIGURED[proxy] for path in sorted(glob.glob(pattern))]
    return [
        path
        for path in found
        if path not in ours
        and path not in DEBIANS
        and packaged.get(path) != digest(path)
        and not left_over(path)
    ]


def left_over(path: str) -> bool:
    """Tell whether a file is one of ours that a removal by hand has left."""
    with contextlib.suppress(OSError, ValueError), open(path) as file:
        return OURS in file.read(500)
    return False


def conffiles() -> dict[str, str]:
    """Return the digests that configuration files of the proxies' packages had when they came."""
    command = ("dpkg-query", "-W", "-f", "${Conffiles}\n", *PACKAGES)
    words = [line.split() for line in _output(*command).splitlines()]
    return {row[0]: row[1] for row in words if len(row) >= 2}


def digest(path: str) -> str:
    """Return a file's digest as dpkg notes it; empty if it can't be read."""
    try:
        with open(path, "rb") as file:
            return hashlib.md5(file.read(), usedforsecurity=False).hexdigest()
    except OSError:
        return ""


def ports() -> dict[str, str]:
    """Return who listens on the ports of a proxy: its unit, or else its program."""
    found = {}
    listing = _output("ss", "-H", "--listening", "--numeric", "--tcp", "--extended", "--processes")
    for line in listing.splitlines():
        words = line.split()
        port = words[3].rpartition(":")[2] if len(words) > 3 else ""
        if port.isdigit() and int(port) in PORTS:
            unit = re.search(r"cgroup:\S*?/([^/\s]+\.(?:service|socket))(?:\s|/|$)", line)
            program = re.search(r'users:\(\("([^"]+)"', line)
            found[port] = unit[1] if unit else program[1] if program else "an unknown program"
    return found


def filters(name: str) -> list[requests.Filter]:
    """Return chains of others that drop what comes in unless it is allowed, with their tables."""
    with contextlib.suppress(ValueError, KeyError, TypeError):
        found: list[requests.Filter] = []
        for entry in json.loads(_output("nft", "--json", "list", "chains"))["nftables"]:
            chain = entry.get("chain", {})
            table = f"{chain.get('family')} {chain.get('table')}"
            ours = chain.get("table") == name
            if chain.get("hook") == "input" and chain.get("policy") == "drop" and not ours:
                text = _output("nft", "list", "table", *table.split())
                numbers = sorted({int(word) for word in re.findall(r"\b\d{1,5}\b", text)})
                found.append({"table": table, "chain": chain["name"], "numbers": numbers})
        return found
    return []


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        return ""
